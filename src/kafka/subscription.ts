import type { Admin } from 'kafkajs'
import { decodeSubscription } from './group/member-data.ts'

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
    const { topics: listed, data, pattern } = decodeSubscription(memberMetadata)
    for (const topic of [...listed, ...(data?.wish.names ?? [])]) topics.add(topic)
    if (pattern === undefined) silent++
    else if (pattern !== null) patterns.add(pattern)
  }
  return { members: members.length, topics, patterns: [...patterns], silent }
}
