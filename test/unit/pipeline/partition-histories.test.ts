import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Coordinator } from '../../../src/pipeline/offsets/coordinator.ts'
import type { Tracker } from '../../../src/pipeline/offsets/tracker.ts'
import { Partition } from '../../../src/pipeline/partition.ts'
import { judge } from '../../../src/pipeline/standing.ts'
import type { OffsetRange } from '../../../src/record/record.ts'

/**
 * Random histories of one partition: the state machine with the real coordinator. Around it are a
 * log that retention cuts, a group, and two sinks that store in any order, fail and lose what they
 * took.
 */

const tp = { topic: 'events', partition: 0 }
const sinkNames = ['files', 'elasticsearch'] as const
type SinkName = (typeof sinkNames)[number]

/** What happens to a worker; `n` chooses a range, an offset or a batch's length. */
const weights = {
  fetch: 8,
  files: 8,
  elasticsearch: 8,
  answer: 6,
  commit: 3,
  room: 3,
  elsewhere: 1,
  doubt: 1,
  unreadable: 1,
  full: 1,
  fail: 1,
  fenced: 1,
  stale: 1,
  retention: 1,
  drain: 1,
  lost: 1,
  gained: 2,
} as const
type What = keyof typeof weights

const step = fc.oneof(
  ...(Object.keys(weights) as What[]).map((what) => ({
    weight: weights[what],
    arbitrary: fc.record({ what: fc.constant(what), n: fc.nat(5) }),
  })),
)
const history = fc.array(step, { maxLength: 80, size: 'max' })

interface Taken extends OffsetRange {
  readonly tracker: Tracker
}

class World {
  readonly #coordinator = new Coordinator(sinkNames)
  #partition = this.#gain()
  #now = 0
  /** First offset that Kafka still has. */
  #logStart = 0
  #committed: number | undefined
  readonly #stored: Readonly<Record<SinkName, Set<number>>> = {
    files: new Set(),
    elasticsearch: new Set(),
  }
  readonly #taken: Readonly<Record<SinkName, Taken[]>> = { files: [], elasticsearch: [] }
  readonly #trackers = new Set<Tracker>()
  /** What Kafka removed before it was read, and was reported. */
  readonly #lost = new Set<number>()

  #gain(): Partition {
    return new Partition(tp, 0, () => 1)
  }

  get state() {
    return this.#partition.state.name
  }

  act(what: What, n: number): void {
    const partition = this.#partition
    const { tracker } = partition
    const position = tracker?.position ?? 0
    this.#now += 1000
    const fail = (failed: Tracker | undefined, isFenced: boolean) => {
      if (failed !== undefined)
        this.#drop(partition.failed(failed, { why: what, isFenced }, this.#now).action)
    }
    const acts: Readonly<Record<What, () => unknown>> = {
      fetch: () => this.#fetch(position, n + 1),
      elsewhere: () => this.#fetch(position + 1 + n, 1),
      files: () => this.#store('files', n),
      elasticsearch: () => this.#store('elasticsearch', n),
      answer: () => this.#answer(),
      commit: () => this.#commit(),
      room: () => partition.roomFreed(),
      full: () => partition.full(),
      doubt: () => partition.doubted(),
      unreadable: () => partition.unreadable('no memory', position, false),
      fail: () => fail(tracker, false),
      fenced: () => fail(tracker, true),
      stale: () => fail([...this.#trackers].at(-2), false),
      retention: () => {
        this.#logStart = Math.max(this.#logStart, position - 2 + n)
      },
      drain: () => this.#drop(partition.drain().action),
      lost: () => this.#drop(partition.close().action),
      gained: () => {
        if (this.state === 'closed') this.#partition = this.#gain()
      },
    }
    acts[what]()
  }

  /** The worker gives up what sinks have taken and not stored. */
  #drop(action: string): void {
    if (action !== 'reopen' && action !== 'close') return
    this.#coordinator.close(tp)
    for (const name of sinkNames) this.#taken[name].length = 0
  }

  #open(): void {
    if (this.state !== 'opening') return
    const prefix = (name: SinkName) => {
      let next = 0
      while (this.#stored[name].has(next) || this.#lost.has(next)) next++
      return next
    }
    const { start, loss } = judge({
      committed: this.#committed,
      // Files know their position; Elasticsearch relies on the group.
      positions: [
        { next: prefix('files'), origin: 0, committed: undefined },
        { next: undefined, origin: undefined, committed: undefined },
      ],
      fallback: this.#committed ?? 0,
      bounds: { start: this.#logStart, end: Number.MAX_SAFE_INTEGER },
    })
    for (let offset = loss?.from ?? 0; offset < (loss?.next ?? 0); offset++) {
      for (const name of sinkNames) assert.ok(!this.#hasTaken(name, offset))
      this.#lost.add(offset)
    }
    const tracker = this.#coordinator.open(tp, loss?.next ?? start, this.#committed)
    assert.equal(this.#partition.opened(tracker).action, 'seek')
    this.#trackers.add(tracker)
  }

  #hasTaken(name: SinkName, offset: number): boolean {
    return this.#taken[name].some(({ from, next }) => from <= offset && offset < next)
  }

  #fetch(from: number, count: number): void {
    const { position } = this.#partition.tracker ?? { position: undefined }
    const result = this.#partition.fetched(from, from + count)
    if (result.action !== 'take') return
    assert.equal(from, position, 'nothing is skipped and nothing comes twice')
    result.tracker.delivered({ from, next: from + count })
    for (const name of sinkNames)
      this.#taken[name].push({ from, next: from + count, tracker: result.tracker })
  }

  #store(name: SinkName, n: number): void {
    const [range] = this.#taken[name].splice(n % Math.max(1, this.#taken[name].length), 1)
    if (range === undefined) return
    for (let offset = range.from; offset < range.next; offset++) this.#stored[name].add(offset)
    const before = range.tracker.committable
    range.tracker.acknowledge(name, range)
    if (range.tracker.committable > before) this.#partition.progressed()
  }

  #commit(): void {
    const offsets = this.#coordinator.committable()
    for (const { offset } of offsets) this.#committed = offset
    this.#coordinator.confirm(offsets)
  }

  /** What the partition waits for comes: a try to open it, the bounds of the log, the sinks. */
  #answer(): void {
    const partition = this.#partition
    const { tracker } = partition
    if (this.state === 'opening') this.#open()
    else if (this.state === 'paused') partition.roomFreed()
    else if (this.state === 'locating' && tracker !== undefined) {
      if (tracker.position >= this.#logStart) partition.located()
      else partition.gone('the offset is gone')
    } else if (this.state === 'settling' && tracker !== undefined) {
      if (this.#committed !== tracker.position) return
      assert.equal(tracker.committable, tracker.position)
      this.#drop(partition.settled('the offset is gone', this.#now).action)
    } else if (this.state === 'draining') this.#drop(partition.close().action)
  }

  check(): void {
    const open = [...this.#trackers].filter(({ closed }) => !closed)
    assert.ok(open.length <= 1, 'never two trackers')
    if (open.length === 1) assert.equal(this.#partition.tracker, open[0])
    for (let offset = 0; offset < (this.#committed ?? 0); offset++) {
      for (const name of sinkNames) {
        const isKept = this.#stored[name].has(offset) || this.#lost.has(offset)
        assert.ok(isKept, `${offset} is committed, and ${name} does not have it`)
      }
    }
    const { tracker } = this.#partition
    if (tracker === undefined || tracker.closed) return
    for (const name of sinkNames) {
      for (let offset = tracker.start; offset < tracker.watermark(name); offset++)
        assert.ok(this.#stored[name].has(offset), `${name} did not acknowledge ${offset}`)
      for (let offset = tracker.start; offset < tracker.position; offset++) {
        const isSomewhere = this.#stored[name].has(offset) || this.#hasTaken(name, offset)
        assert.ok(isSomewhere, `${name} has neither stored nor taken ${offset}`)
      }
    }
  }

  /** Everything works again: sinks store, commits are taken, questions are answered. */
  recover(): void {
    for (let i = 0; i < 10 && !['flowing', 'stopped', 'closed'].includes(this.state); i++) {
      for (const name of sinkNames) while (this.#taken[name].length > 0) this.#store(name, 0)
      this.#commit()
      this.#answer()
    }
  }

  /** Offsets that were taken under a tracker that settles. */
  settlingUpTo(): number | undefined {
    return this.state === 'settling' ? this.#partition.tracker?.position : undefined
  }

  holds(next: number): boolean {
    return sinkNames.every((name) =>
      Array.from({ length: next }, (_, offset) => offset).every(
        (offset) => this.#stored[name].has(offset) || this.#lost.has(offset),
      ),
    )
  }
}

test('in any history nothing is skipped or committed too soon, there is one tracker, and the partition flows again', () => {
  const states = new Set<string>()
  const holds = fc.property(history, (steps) => {
    const world = new World()
    for (const { what, n } of steps) {
      world.act(what, n)
      world.check()
      states.add(world.state)
    }
    world.recover()
    world.check()
    assert.ok(['flowing', 'stopped', 'closed'].includes(world.state), world.state)
  })
  fc.assert(holds, { numRuns: 1000 })
  assert.deepEqual(
    [...states].sort(),
    ['closed', 'draining', 'flowing', 'locating', 'opening', 'paused', 'settling'],
    'the histories reach every state that a person need not decide on',
  )
})

test('a partition settles until every sink has stored what was read, or it is given up, or fails', () => {
  /** Two batches are read, and then retention overtakes the position. */
  const overtaken: readonly (readonly [What, number])[] = [
    ['answer', 0],
    ['fail', 0],
    ['answer', 0],
    ['room', 0],
    ['fetch', 3],
    ['fetch', 2],
    ['retention', 5],
    ['doubt', 0],
    ['answer', 0],
  ]
  const ends: readonly What[] = ['answer', 'fail', 'fenced', 'drain', 'lost']
  let settled = 0
  const holds = fc.property(history, (steps) => {
    const world = new World()
    for (const [what, n] of overtaken) world.act(what, n)
    assert.equal(world.state, 'settling')
    for (const { what, n } of steps) {
      const before = world.settlingUpTo()
      world.act(what, n)
      if (before === undefined || world.state === 'settling') continue
      assert.ok(ends.includes(what), `${what} ended it`)
      if (what !== 'answer') continue
      settled++
      assert.ok(world.holds(before), 'what was read before the loss is stored')
    }
  })
  fc.assert(holds, { numRuns: 1000 })
  assert.ok(settled > 20, `${settled} settled`)
})
