import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createCluster } from '../../src/kafka/cluster.ts'
import { Leader } from '../../src/kafka/group/leader.ts'
import { decodeAssignment } from '../../src/kafka/group/member-data.ts'
import { offersOf } from '../../src/kafka/group/offers.ts'
import {
  type GroupBroker,
  heartbeat,
  joinGroup,
  leaveGroup,
  syncGroup,
} from '../../src/kafka/group/requests.ts'
import { type Membership, membershipOf, noMembership } from '../../src/kafka/membership.ts'
import { PositionLookup } from '../../src/kafka/position-lookup.ts'
import { RecordLookup } from '../../src/kafka/record-lookup.ts'
import { partitionKey } from '../../src/record/record.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { testKafka, uniqueName, until } from '../helpers/servers.ts'

const members = 50
const topics = 1000
const partitionsPerTopic = 10
/** Kafka's default for a record of `__consumer_offsets`. */
const maxRecordBytes = 1_048_588

/** Names of an ordinary length. The broker does not look whether they exist. */
const layout = new Map(
  Array.from({ length: topics }, (_, i) => [
    `events.region-eu.service-${String(i).padStart(4, '0')}`,
    partitionsPerTopic,
  ]),
)
const log = createLogger({ level: 'silent', stream: process.stderr })

/** A member of a group that takes what it is given, and fetches nothing. */
class ProtocolMember {
  readonly #group: string
  readonly #broker: GroupBroker
  readonly #leader = new Leader(log)
  readonly #disconnect: () => Promise<void>
  #isLeader = false
  membership: Membership = noMembership
  joins = 0

  private constructor(group: string, broker: GroupBroker, disconnect: () => Promise<void>) {
    this.#group = group
    this.#broker = broker
    this.#disconnect = disconnect
  }

  static async connect(groupId: string): Promise<ProtocolMember> {
    const cluster = createCluster(testKafka())
    await cluster.connect()
    const broker = (await cluster.findGroupCoordinator({ groupId })) as unknown as GroupBroker
    return new ProtocolMember(groupId, broker, () => cluster.disconnect())
  }

  /** Joins again whenever the group rebalances, until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (await this.#join()) continue
      await this.#untilRebalance(signal)
    }
    await leaveGroup(this.#broker, this.#names())
    await this.#disconnect()
  }

  #names() {
    return {
      groupId: this.#group,
      memberId: this.membership.memberId!,
      groupInstanceId: null,
    }
  }

  /** @returns true if it is to join again at once */
  async #join(): Promise<boolean> {
    this.joins++
    const offers = offersOf({
      wish: { pattern: '^events' },
      topics: [...layout.keys()],
      listsAll: this.#isLeader,
      membership: this.membership,
    })
    const answer = await joinGroup(this.#broker, {
      groupId: this.#group,
      sessionTimeout: 30_000,
      rebalanceTimeout: 30_000,
      memberId: this.membership.memberId ?? '',
      groupInstanceId: null,
      groupProtocols: offers,
    })
    const { memberId, leaderId, generationId } = answer
    this.#isLeader = memberId === leaderId
    this.membership = { ...this.membership, memberId }
    try {
      const given = decodeAssignment(
        await syncGroup(this.#broker, {
          ...this.#names(),
          generationId,
          groupAssignment: this.#isLeader ? this.#leader.assign(answer, layout) : [],
        }),
      )
      this.membership = membershipOf(memberId, generationId, given.partitions)
      return given.again === true
    } catch (error) {
      if (isRebalance(error)) return true
      throw error
    }
  }

  async #untilRebalance(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, 500))
      try {
        const groupGenerationId = this.membership.generation
        await heartbeat(this.#broker, { ...this.#names(), groupGenerationId })
      } catch (error) {
        if (isRebalance(error)) return
        throw error
      }
    }
  }
}

function isRebalance(error: unknown): boolean {
  return error instanceof Error && 'type' in error && String(error.type) === 'REBALANCE_IN_PROGRESS'
}

test('fifty members form a group on a thousand topics, and its record is small', async (t) => {
  const group = uniqueName('large')
  const stopping = new AbortController()
  const all = await Promise.all(
    Array.from({ length: members }, () => ProtocolMember.connect(group)),
  )
  const running = all.map((member) => member.run(stopping.signal))
  t.after(async () => {
    stopping.abort()
    await Promise.allSettled(running)
  })
  const failure = Promise.race(running)
  const isWhole = () => {
    const counts = all.map(({ membership }) => membership.partitions.length)
    return counts.every((count) => count === (topics * partitionsPerTopic) / members)
  }
  await Promise.race([
    until('all partitions are given out, in equal parts', isWhole, 60_000),
    failure,
  ])
  const keys = new Set(all.flatMap(({ membership }) => membership.partitions.map(partitionKey)))
  assert.equal(keys.size, topics * partitionsPerTopic, 'none is given to two')

  const bytes = await groupRecordBytes(t, group)
  t.diagnostic(`${bytes.length} records, the largest of ${Math.max(...bytes)} bytes`)
  t.diagnostic(`${Math.max(...all.map(({ joins }) => joins))} joins at most`)
  assert.ok(bytes.length > 0)
  assert.ok(Math.max(...bytes) < maxRecordBytes / 2, `${bytes}`)
})

/** The sizes of the records that Kafka keeps of a group (`GroupMetadataKey`, version 2). */
async function groupRecordBytes(t: TestContext, group: string): Promise<readonly number[]> {
  const kafka = testKafka()
  const failed = (error: unknown) => assert.fail(String(error))
  const positions = new PositionLookup(kafka, group, failed)
  const lookup = new RecordLookup(kafka, failed)
  t.after(() => Promise.all([positions.disconnect(), lookup.disconnect()]))
  const name = Buffer.from(group)
  const key = Buffer.concat([Buffer.from([0, 2, 0, name.length]), name])
  const tps = await positions.partitionsOf(['__consumer_offsets'])
  const { found } = await positions.bounds(tps)
  const sizes: number[] = []
  for (const tp of tps) {
    const { start, end } = found.get(partitionKey(tp))!
    for (let offset = start; offset < end; ) {
      const records = await lookup.records(tp, offset)
      for (const record of records)
        if (record.key?.equals(key) === true && record.value !== null)
          sizes.push(record.value.length)
      // The log is compacted: what is no more is passed over.
      offset = (records.at(-1)?.offset ?? offset) + 1
    }
  }
  return sizes
}
