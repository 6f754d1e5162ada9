import type { Admin } from 'kafkajs'
import { kafkajs } from './kafkajs.ts'

/**
 * What a worker says to the group about its subscription. Kafka's protocol has the topics that a
 * member wants now. The expression that also matches topics created later goes into the member's
 * user data, which brokers and assigners pass on unread.
 */

const { MemberMetadata } = kafkajs.AssignerProtocol

interface UserData {
  readonly archiver: { readonly topics_regex: string | null }
}

/** A member's metadata with the expression in it; undefined for topics by name. */
export function withPattern(metadata: Buffer, pattern: RegExp | undefined): Buffer {
  const decoded = MemberMetadata.decode(metadata)
  if (decoded === null) return metadata
  const userData: UserData = { archiver: { topics_regex: pattern?.source ?? null } }
  return MemberMetadata.encode({ ...decoded, userData: Buffer.from(JSON.stringify(userData)) })
}

/** What the live members of a group consume. */
export interface Subscription {
  readonly members: number
  readonly topics: ReadonlySet<string>
  readonly patterns: readonly string[]
  /**
   * Members that do not say whether they have an expression: workers of an older version, and other
   * programs.
   */
  readonly silent: number
}

/** @throws kafkajs's error */
export async function subscriptionOf(admin: Admin, group: string): Promise<Subscription> {
  const { groups } = await admin.describeGroups([group])
  const topics = new Set<string>()
  const patterns = new Set<string>()
  let silent = 0
  const members = groups[0]?.members ?? []
  for (const { memberMetadata } of members) {
    const decoded = memberMetadata.length === 0 ? null : MemberMetadata.decode(memberMetadata)
    for (const topic of decoded?.topics ?? []) topics.add(topic)
    const pattern = decoded === null ? undefined : patternIn(decoded.userData)
    if (pattern === undefined) silent++
    else if (pattern !== null) patterns.add(pattern)
  }
  return { members: members.length, topics, patterns: [...patterns], silent }
}

/** null: it has none; undefined: it does not say. */
function patternIn(userData: Buffer | null): string | null | undefined {
  try {
    const { archiver } = JSON.parse(String(userData)) as UserData
    return archiver.topics_regex
  } catch {
    // Another program's data, or none.
    return undefined
  }
}
