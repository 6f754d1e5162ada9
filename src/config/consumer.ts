import { group, integer, oneOf, text } from './options.ts'

/** Kafka's rule for the id of a static member (KIP-345), the same as for the name of a topic. */
const memberName = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/

/** The group of workers, and a member of it. */
export const membersGroup = group('Kafka', {
  group: text({
    default: 'archiver',
    explanation:
      'Consumer group: the workers of one group share the partitions. An archive belongs to one group.',
  }),
  groupInstanceId: text({
    explanation:
      'Name of this worker in the group (static membership): if it restarts within --session-timeout, no partition moves. Give each worker a name of its own, e.g. that of its pod. It stays in the group when it stops, until archiver leave or the session timeout.',
    check: (id) => {
      if (!memberName.test(id))
        throw new Error('1 to 249 of A-Z a-z 0-9 . _ -, and neither . nor .., as Kafka wants it')
    },
  }),
})

/** For the command that joins the group. */
export const consumerGroup = group('Kafka', {
  heartbeatInterval: integer({
    default: '1000',
    min: 100,
    max: 60_000,
    unit: 'ms',
    explanation:
      'How often a worker tells Kafka that it is alive, and hears of a rebalance; a third of --session-timeout at most. Azure Event Hubs wants 3000.',
  }),
  startAt: oneOf(['beginning', 'latest'], {
    default: 'beginning',
    explanation:
      'Where to start a partition that has never been archived: at its oldest record or at the next new one. Topics and partitions that are created while a worker runs start at their beginning.',
  }),
  rackId: text({
    explanation:
      "Rack or zone of this worker, as in broker.rack. Fetches records from a replica there if Kafka's replica.selector.class allows it.",
  }),
})
