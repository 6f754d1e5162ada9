import type { LeaveOptions } from '../config/commands/leave.ts'
import { kafkaConnection } from '../config/kafka.ts'
import { kafkaClient } from '../kafka/client.ts'
import { removeStaticMember } from '../kafka/group/remove.ts'
import { createLogger } from '../runtime/log.ts'
import { Proxies } from '../runtime/proxies.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'

/**
 * Removes a static member from the group, so that others have its partitions at once instead of
 * after the session timeout.
 * @throws ArchiverError `UNREACHABLE`, or `NOT_FOUND` if the group has no such member
 */
export async function leave(options: LeaveOptions): Promise<void> {
  const log = createLogger({ level: options.logLevel, stream: standardError })
  const connection = kafkaConnection(options, new Proxies(process.env))
  const kafka = kafkaClient(connection, { clientId: 'archiver-leave', log, retry: { retries: 4 } })
  const { group, groupInstanceId: id } = options
  await removeStaticMember(kafka, options.brokers, { group, id: id! })
  standardOutput.print(`${id} has left group ${group}; its partitions go to the other workers`)
}
