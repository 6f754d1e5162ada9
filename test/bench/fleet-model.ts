import { assignPartitions, type GroupMember } from '../../src/kafka/group/assign.ts'
import { textTable } from './table.ts'

/**
 * A model of what does not fit on one machine: fifty workers with ten thousand partitions, each
 * restarted once. The assigner is the real one; times are those that `npm run bench -- rolling` and
 * `-- opening` measure. Prints the table of docs/operations.md.
 */

const workers = 50
const topics = 1000
const partitionsPerTopic = 10
const partitions = topics * partitionsPerTopic

/** In seconds. */
const times = {
  /** A worker that joins or leaves is noticed at the next heartbeat of the others. */
  heartbeat: 1,
  /** JoinGroup and SyncGroup, once all know. */
  join: 0.2,
  /** The flush and the commit of what one worker gives up. */
  flush: 0.3,
  /** Opening 200 partitions. */
  open: 0.5,
  /** From the signal until the new process of the same worker has joined. */
  restart: 7,
}

const layout = new Map(
  Array.from({ length: topics }, (_, i) => [`topic-${i}`, partitionsPerTopic] as const),
)
const wants = () => true

interface Counts {
  rebalances: number
  moves: number
  files: number
  /** Of all partitions together, in seconds. */
  silence: number
  /** Of one partition in one restart, in seconds. */
  longest: number
}

type Group = Map<string, GroupMember>

const none: Counts = { rebalances: 0, moves: 0, files: 0, silence: 0, longest: 0 }

/** Rebalances until nobody has to give anything up, and counts what that costs. */
class Fleet {
  readonly #members: Group = new Map()
  /** Who had each partition last. */
  readonly #owners = new Map<string, string>()
  #generation = 0
  counts: Counts = { ...none }

  join(id: string): void {
    this.#members.set(id, { id, wants, claims: [] })
    this.#rebalance(times.heartbeat + times.join)
  }

  /** It flushes what it has, and leaves. */
  leave(id: string): void {
    this.counts.files += this.#ownedBy(id)
    this.#members.delete(id)
    this.#rebalance(times.flush + times.heartbeat + times.join)
  }

  /** A static member is away for a while. The group does not change. */
  restartInPlace(id: string): void {
    const owned = this.#ownedBy(id)
    this.counts.files += owned
    this.#silent(owned, times.flush + times.restart + times.open)
  }

  #ownedBy(id: string): number {
    return [...this.#owners.values()].filter((owner) => owner === id).length
  }

  #silent(count: number, seconds: number): void {
    if (count === 0) return
    this.counts.silence += count * seconds
    this.counts.longest = Math.max(this.counts.longest, seconds)
  }

  #rebalance(untilAssigned: number): void {
    this.counts.rebalances++
    this.#generation++
    const { given, givingUp } = assignPartitions([...this.#members.values()], layout)
    let moved = 0
    for (const [id, ofMember] of given) {
      for (const [topic, numbers] of ofMember) {
        for (const number of numbers) {
          const key = `${topic}/${number}`
          const before = this.#owners.get(key)
          if (before !== undefined && before !== id) moved++
          this.#owners.set(key, id)
        }
      }
      const claim = { generation: this.#generation, partitions: ofMember }
      this.#members.set(id, { id, wants, claims: [claim] })
    }
    this.counts.moves += moved
    this.#silent(moved, untilAssigned + times.open)
    if (givingUp.size === 0) return
    // What is given up is flushed; then its member joins again.
    const assigned = [...given.values()].flatMap((ofMember) => [...ofMember.values()])
    this.counts.files += partitions - assigned.reduce((sum, { length }) => sum + length, 0)
    this.#rebalance(times.flush + times.heartbeat + times.join)
  }
}

function names(): string[] {
  return Array.from({ length: workers }, (_, i) => `worker-${String(i).padStart(2, '0')}`)
}

function deploy(restart: (fleet: Fleet, id: string) => void): Counts {
  const fleet = new Fleet()
  for (const id of names()) fleet.join(id)
  fleet.counts = { ...none }
  for (const id of names()) restart(fleet, id)
  return fleet.counts
}

/**
 * The versions before: members take turns with the partitions, all join twice a restart, and each
 * partition is flushed before each join.
 */
function deployRoundRobin(): Counts {
  const counts = { ...none }
  const keys = Array.from({ length: partitions }, (_, i) => i)
  let owners: readonly string[] = keys.map((i) => names()[i % workers]!)
  const silence = times.heartbeat + times.join + times.flush + times.open
  const rebalance = (members: readonly string[]) => {
    const next = keys.map((i) => members[i % members.length]!)
    counts.rebalances++
    counts.moves += next.filter((owner, i) => owner !== owners[i]).length
    counts.files += partitions
    counts.silence += partitions * silence
    owners = next
  }
  for (const id of names()) {
    rebalance(names().filter((other) => other !== id))
    rebalance(names())
  }
  return { ...counts, longest: silence }
}

const deployments: readonly (readonly [string, () => Counts])[] = [
  ['round robin, as before', deployRoundRobin],
  [
    'cooperative, one after another',
    () =>
      deploy((fleet, id) => {
        fleet.leave(id)
        fleet.join(`${id}-new`)
      }),
  ],
  [
    'cooperative, the new one first',
    () =>
      deploy((fleet, id) => {
        fleet.join(`${id}-new`)
        fleet.leave(id)
      }),
  ],
  ['static members', () => deploy((fleet, id) => fleet.restartInPlace(id))],
]

const whole = (value: number) => Math.round(value).toLocaleString('en-US')
const rows = deployments.map(([name, run]) => ({ name, ...run() }))

process.stdout.write(
  `${workers} workers, ${whole(partitions)} partitions of ${whole(topics)} topics, one type; each worker restarts once

${textTable(
  [
    { title: '', cell: ({ name }) => name },
    { title: 'rebalances', cell: ({ rebalances }) => whole(rebalances) },
    { title: 'moves', cell: ({ moves }) => whole(moves) },
    { title: 'extra files', cell: ({ files }) => whole(files) },
    { title: 'silence, s a partition', cell: ({ silence }) => (silence / partitions).toFixed(1) },
    { title: 'longest s', cell: ({ longest }) => longest.toFixed(1) },
  ],
  rows,
)}
`,
)
