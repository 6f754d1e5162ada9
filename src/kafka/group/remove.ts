import type { Kafka } from 'kafkajs'
import { ArchiverError } from '../../runtime/errors.ts'
import { createCluster } from '../cluster.ts'
import { connectFailure } from '../security.ts'
import { knowsStaticMembers, leaveGroup } from './requests.ts'

/**
 * Removes a static member from its group (KIP-345). A worker that still runs under the id joins
 * again.
 * @throws ArchiverError `UNREACHABLE`, or `NOT_FOUND` if the group has no such member
 */
export async function removeStaticMember(
  kafka: Kafka,
  brokers: readonly string[],
  { group, id }: { readonly group: string; readonly id: string },
): Promise<void> {
  const cluster = createCluster(kafka)
  try {
    await cluster.connect().catch((error: unknown) => {
      throw new ArchiverError('UNREACHABLE', connectFailure(error, brokers.join(', ')), {}, error)
    })
    const coordinator = await cluster.findGroupCoordinator({ groupId: group })
    if (!knowsStaticMembers(coordinator))
      throw new ArchiverError('UNREACHABLE', 'the broker does not know static members (Kafka 2.3)')
    await leaveGroup(coordinator, { groupId: group, memberId: '', groupInstanceId: id })
  } catch (error) {
    if ((error as { readonly type?: string }).type !== 'UNKNOWN_MEMBER_ID') throw error
    throw new ArchiverError('NOT_FOUND', `group ${group} has no member ${id}`, { group, id }, error)
  } finally {
    await cluster.disconnect()
  }
}
