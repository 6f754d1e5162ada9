import { createHash } from 'node:crypto'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { load } from '../repairs/modules.ts'
import type { PartitionsByTopic } from './assign.ts'
import type { Wish } from './wish.ts'

/**
 * What members and their leader tell each other. The frame is Kafka's own (ConsumerProtocol,
 * version 0), so brokers and tools read topics and partitions from it. The rest is in the user
 * data, which they pass on unread.
 *
 * Kafka keeps all of a group in one record of at most 1 MiB. So what many members repeat is small:
 * names of topics are compressed together, and a long list of topics is left out of `topics`.
 */

/** kafkajs's encoder of the frame. */
interface AssignerProtocol {
  readonly MemberMetadata: {
    encode(data: {
      readonly version: number
      readonly topics: readonly string[]
      readonly userData: Buffer
    }): Buffer
    decode(bytes: Buffer): { readonly topics: string[]; readonly userData: Buffer | null }
  }
  readonly MemberAssignment: {
    encode(data: {
      readonly version: number
      readonly assignment: Readonly<Record<string, readonly number[]>>
      readonly userData: Buffer
    }): Buffer
    decode(bytes: Buffer): {
      readonly assignment: Readonly<Record<string, number[]>>
      readonly userData: Buffer | null
    } | null
  }
}

const frame = () => load('consumer/assignerProtocol') as AssignerProtocol
const frameVersion = 0
/** What another member sends cannot take more memory than this. */
const maxStateBytes = 16 * 2 ** 20

/** What a member says when it joins. */
export interface MemberData {
  readonly wish: Wish
  /** The generation in which it was given what it works on; -1 without any. */
  readonly generation: number
  /** What it works on. */
  readonly owned: PartitionsByTopic
}

export interface Subscription {
  /** The topics that Kafka sees; a member may want others, too. */
  readonly topics: readonly string[]
  /** Undefined for other programs, and for workers of an older version. */
  readonly data: MemberData | undefined
  /** Null: it has no pattern. Undefined: it does not say. Also known of workers of before. */
  readonly pattern: string | null | undefined
}

/** As JSON in the user data. Workers of before have only the pattern. */
interface SubscriptionData {
  readonly archiver: {
    readonly topics_regex: string | null
    readonly generation?: number
    /** `MemberState` as JSON, deflated, in base64. */
    readonly state?: string
  }
}

interface MemberState {
  readonly owned: Readonly<Record<string, readonly number[]>>
  readonly names?: readonly string[]
}

export function encodeSubscription(
  topics: readonly string[],
  { wish, generation, owned }: MemberData,
): Buffer {
  const state: MemberState = {
    owned: Object.fromEntries(owned),
    ...(wish.names === undefined ? {} : { names: wish.names }),
  }
  const data: SubscriptionData = {
    archiver: {
      topics_regex: wish.pattern ?? null,
      generation,
      state: deflateRawSync(JSON.stringify(state)).toString('base64'),
    },
  }
  return frame().MemberMetadata.encode({
    version: frameVersion,
    topics,
    userData: Buffer.from(JSON.stringify(data)),
  })
}

/** What is no subscription of this program has no `data`; what is none of Kafka's, no topics. */
export function decodeSubscription(bytes: Buffer): Subscription {
  let topics: readonly string[] = []
  try {
    const decoded = frame().MemberMetadata.decode(bytes)
    topics = decoded.topics
    const { archiver } = JSON.parse(String(decoded.userData)) as SubscriptionData
    const pattern = archiver.topics_regex
    if (archiver.generation === undefined || archiver.state === undefined)
      return { topics, data: undefined, pattern }
    const deflated = Buffer.from(archiver.state, 'base64')
    const inflated = inflateRawSync(deflated, { maxOutputLength: maxStateBytes })
    const { owned, names } = JSON.parse(String(inflated)) as MemberState
    const wish = pattern === null ? { names: names ?? topics } : { pattern }
    const data = { wish, generation: archiver.generation, owned: new Map(Object.entries(owned)) }
    return { topics, data, pattern }
  } catch {
    // Another program's data, or none.
    return { topics, data: undefined, pattern: undefined }
  }
}

/** What the leader gives to a member. */
export interface Given {
  readonly partitions: PartitionsByTopic
  /** The topics that exist and that the member wants, as the leader knows, by `topicsHash`. */
  readonly topics?: string | undefined
  /** The same with the number of partitions, by `layoutHash`. */
  readonly layout?: string | undefined
  /** The member is to join again, once it has given up what it does not have any more. */
  readonly again?: boolean | undefined
  /** Some member is to join again, so the next rebalance follows soon. */
  readonly follows?: boolean | undefined
}

interface AssignmentData {
  readonly archiver: Omit<Given, 'partitions'>
}

export function encodeAssignment({ partitions, ...rest }: Given): Buffer {
  const data: AssignmentData = { archiver: rest }
  return frame().MemberAssignment.encode({
    version: frameVersion,
    assignment: Object.fromEntries(partitions),
    userData: Buffer.from(JSON.stringify(data)),
  })
}

/** Empty for a member that the leader left out. */
export function decodeAssignment(bytes: Buffer): Given {
  const decoded = frame().MemberAssignment.decode(bytes)
  if (decoded === null) return { partitions: new Map() }
  const partitions = new Map(Object.entries(decoded.assignment))
  try {
    const { archiver } = JSON.parse(String(decoded.userData)) as AssignmentData
    return { partitions, ...archiver }
  } catch {
    // The leader is a worker of an older version.
    return { partitions }
  }
}

/** The same for the same topics, in any order. */
export function topicsHash(topics: Iterable<string>): string {
  const hash = createHash('sha256')
  for (const topic of [...topics].sort()) hash.update(`${topic}\n`)
  return hash.digest('base64').slice(0, 16)
}

/** The same while the wanted topics have the same numbers of partitions. */
export function layoutHash(
  layout: ReadonlyMap<string, number>,
  wants: (topic: string) => boolean,
): string {
  const wanted = [...layout].filter(([topic]) => wants(topic))
  return topicsHash(wanted.map(([topic, count]) => `${topic}/${count}`))
}
