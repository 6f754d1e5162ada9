import type { SourceEdit } from './source-edits.ts'

/**
 * kafkajs takes what is before the first colon of `host:port` for the host: `[` for `[::1]:9092`.
 * Brokers that the cluster names afterwards have host and port apart, and an IPv6 address without
 * brackets.
 */
export const brokerAddressEdits: readonly SourceEdit[] = [
  {
    module: 'cluster/connectionPoolBuilder',
    find: "randomBroker.split(':')[0]",
    replace: "randomBroker.slice(0, randomBroker.lastIndexOf(':')).replace(/^\\[(.*)\\]$/, '$1')",
    times: 1,
  },
  {
    module: 'cluster/connectionPoolBuilder',
    find: "randomBroker.split(':')[1]",
    replace: "randomBroker.slice(randomBroker.lastIndexOf(':') + 1)",
    times: 1,
  },
]
