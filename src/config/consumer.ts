import { group, oneOf, text } from './options.ts'

/** The group of workers, for the command that joins it. */
export const consumerGroup = group('Kafka', {
  group: text({
    default: 'archiver',
    explanation:
      'Consumer group: the workers of one group share the partitions. An archive belongs to one group.',
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
