import type { SourceEdit } from './source-edits.ts'

/**
 * kafkajs takes what stands before the first colon of `host:port` for the host, which of
 * `[::1]:9092` is `[`. Every broker that the cluster names afterwards has its host and port apart,
 * and an address of IPv6 without brackets.
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
