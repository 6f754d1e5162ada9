import type { SourceEdit } from './source-edits.ts'

/**
 * kafkajs keeps what it knows of topics in plain objects. A topic named `constructor`, `toString`
 * or `hasOwnProperty` finds there what every object inherits, and one named `__proto__` replaces
 * the object's prototype. Then pausing, fetching and committing throw, for all topics of the
 * consumer. These objects get no prototype.
 *
 * The list has the objects that are read or written by the name of a topic. One that is only built
 * by an object literal and read by `Object.keys` needs nothing: a literal with a computed key makes
 * an own property of every name.
 */
export const topicMapEdits: readonly SourceEdit[] = [
  {
    module: 'consumer/subscriptionState',
    find: 'ByTopic = {}',
    replace: 'ByTopic = Object.create(null)',
    times: 2,
  },
  {
    module: 'consumer/index',
    find: 'const topics = {}',
    replace: 'const topics = Object.create(null)',
    times: 1,
  },
  {
    module: 'consumer/index',
    find: 'return { ...payload, [topic]: topicCommits }\n      },\n      {}',
    replace:
      'return { __proto__: null, ...payload, [topic]: topicCommits }\n      },\n      Object.create(null)',
    times: 1,
  },
  {
    module: 'consumer/consumerGroup',
    find: 'this.preferredReadReplicasPerTopicPartition = {}',
    replace: 'this.preferredReadReplicasPerTopicPartition = Object.create(null)',
    times: 1,
  },
  {
    module: 'consumer/consumerGroup',
    find: '...partitionsByTopic,',
    replace: '__proto__: null, ...partitionsByTopic,',
    times: 1,
  },
  {
    module: 'consumer/consumerGroup',
    find: 'const activeTopicPartitions = {}',
    replace: 'const activeTopicPartitions = Object.create(null)',
    times: 1,
  },
  {
    module: 'consumer/offsetManager/index',
    find: 'assign(obj, { [topic]: {} }), {})',
    replace: 'assign(obj, { [topic]: {} }), Object.create(null))',
    times: 1,
  },
  {
    module: 'consumer/offsetManager/index',
    find: ': {}\n    }',
    replace: ': Object.create(null)\n    }',
    times: 1,
  },
  {
    module: 'consumer/offsetManager/initializeConsumerOffsets',
    find: 'reduce(indexTopics, {})',
    replace: 'reduce(indexTopics, Object.create(null))',
    times: 2,
  },
  {
    module: 'consumer/assignerProtocol',
    find: 'reduce(indexAssignment, {})',
    replace: 'reduce(indexAssignment, Object.create(null))',
    times: 1,
  },
  {
    module: 'cluster/index',
    find: '  ...obj,\n',
    replace: '  __proto__: null,\n  ...obj,\n',
    times: 1,
  },
  {
    module: 'cluster/index',
    find: 'reduce(mergeTopics, {})',
    replace: 'reduce(mergeTopics, Object.create(null))',
    times: 1,
  },
  {
    module: 'cluster/index',
    find: 'const topicConfigurations = {}',
    replace: 'const topicConfigurations = Object.create(null)',
    times: 1,
  },
  {
    module: 'cluster/index',
    find: 'partitionsPerBroker[nodeId] || {}',
    replace: 'partitionsPerBroker[nodeId] || Object.create(null)',
    times: 1,
  },
  {
    module: 'cluster/index',
    find: 'committedOffsetsByGroup.set(groupId, {})',
    replace: 'committedOffsetsByGroup.set(groupId, Object.create(null))',
    times: 1,
  },
  {
    module: 'producer/eosManager/index',
    find: 'producerSequence = {}',
    replace: 'producerSequence = Object.create(null)',
    times: 2,
  },
  {
    module: 'producer/eosManager/index',
    find: 'ransactionTopicPartitions = {}',
    replace: 'ransactionTopicPartitions = Object.create(null)',
    times: 2,
  },
  {
    module: 'producer/eosManager/index',
    find: 'const newTopicPartitions = {}',
    replace: 'const newTopicPartitions = Object.create(null)',
    times: 1,
  },
  {
    module: 'producer/partitioners/legacy/partitioner',
    find: 'const counters = {}',
    replace: 'const counters = Object.create(null)',
    times: 1,
  },
]
