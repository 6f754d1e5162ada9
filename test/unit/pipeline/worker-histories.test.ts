import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { Coordinator } from '../../../src/pipeline/offsets/coordinator.ts'
import type { Sink, SinkPosition } from '../../../src/pipeline/sink.ts'
import { Worker } from '../../../src/pipeline/worker.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import {
  type Gap,
  type OffsetRange,
  partitionKey,
  type RecordBatch,
  type TopicPartition,
} from '../../../src/record/record.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { Backoff } from '../../../src/runtime/retry.ts'
import { FakeSource } from '../../helpers/fake-source.ts'
import { until } from '../../helpers/servers.ts'

/**
 * Random histories of a whole worker: the group gives partitions and takes them, sinks are away,
 * fail and are fenced, retention cuts the logs, Kafka does not answer. In the end all works again,
 * and every record that Kafka did not remove is in both sinks.
 */

const tps = [0, 1, 2].map((partition) => ({ topic: 'events', partition }))

interface Taken {
  readonly batch: RecordBatch
  readonly written: PromiseWithResolvers<void>
}

/** A sink that stores on demand. One that `remembers` knows its position, as files do. */
class ModelSink implements Sink {
  readonly name: string
  readonly waiting = undefined
  readonly heldBytes = 0
  readonly keepsLines = true
  readonly #remembers: boolean
  readonly #stored = new Map<string, Set<number>>()
  #taken: Taken[] = []
  isAway = false
  /** The ends of the ranges that are lost. */
  readonly gaps: { readonly partition: number; readonly next: number }[] = []
  #roomFreed: () => void = () => {}

  constructor(name: string, remembers: boolean) {
    this.name = name
    this.#remembers = remembers
  }

  async start(roomFreed: () => void): Promise<void> {
    this.#roomFreed = roomFreed
  }

  async open(tp: TopicPartition): Promise<SinkPosition> {
    const next = this.#remembers ? this.next(tp) : undefined
    return { next, origin: 0, committed: undefined }
  }

  write(batch: RecordBatch): Promise<void> {
    const written = Promise.withResolvers<void>()
    this.#taken.push({ batch, written })
    if (!this.isAway) this.store()
    return written.promise
  }

  /** Stores all that was taken. */
  store(): void {
    for (const { batch, written } of this.#taken.splice(0)) {
      const stored = this.stored(batch)
      for (const offset of batch.offsets) stored.add(offset)
      for (const gap of batch.gaps) add(stored, gap)
      this.gaps.push(...batch.gaps.map(({ next }) => ({ partition: batch.partition, next })))
      written.resolve()
    }
    this.#roomFreed()
  }

  /** Loses what was taken of a partition, as after an error of the disk. */
  fail(tp: TopicPartition, error: Error): void {
    const lost = this.#taken.filter(({ batch }) => batch.partition === tp.partition)
    this.#taken = this.#taken.filter((taken) => !lost.includes(taken))
    for (const { written } of lost) written.reject(error)
  }

  async flush(asked: readonly TopicPartition[]): Promise<void> {
    const keys = new Set(asked.map(partitionKey))
    while (this.#taken.some(({ batch }) => keys.has(partitionKey(batch)))) await turn()
  }

  async close(tp: TopicPartition): Promise<void> {
    this.#taken = this.#taken.filter(({ batch }) => batch.partition !== tp.partition)
  }

  async stop(): Promise<void> {
    this.#taken = []
  }

  pressure(tp: TopicPartition): number {
    return this.#taken.filter(({ batch }) => batch.partition === tp.partition).length / 3
  }

  /** Offsets that are durable; those of a gap count as well. */
  stored(tp: TopicPartition): Set<number> {
    const key = partitionKey(tp)
    const stored = this.#stored.get(key) ?? new Set()
    this.#stored.set(key, stored)
    return stored
  }

  /** The end of the contiguous prefix. */
  next(tp: TopicPartition): number {
    const stored = this.stored(tp)
    let next = 0
    while (stored.has(next)) next++
    return next
  }
}

function add(offsets: Set<number>, { from, next }: OffsetRange | Gap): void {
  for (let offset = from; offset < next; offset++) offsets.add(offset)
}

const weights = {
  append: 6,
  away: 3,
  back: 3,
  fail: 2,
  fence: 2,
  lose: 2,
  gain: 3,
  revoke: 2,
  rejoin: 2,
  retention: 1,
  forget: 1,
  deaf: 1,
  hears: 2,
  refuse: 1,
  commit: 3,
  compare: 2,
} as const
type What = keyof typeof weights
const step = fc.oneof(
  ...(Object.keys(weights) as What[]).map((what) => ({
    weight: weights[what],
    arbitrary: fc.record({
      what: fc.constant(what),
      which: fc.nat(2),
      n: fc.integer({ min: 1, max: 150 }),
    }),
  })),
)

class World {
  readonly source = new FakeSource()
  readonly sinks = [new ModelSink('files', true), new ModelSink('elasticsearch', false)]
  readonly logs = tps.map(() => ({ start: 0, end: 0 }))
  readonly owned = new Set([0, 1, 2])

  act(what: What, which: number, n: number, tick: (ms: number) => void): void {
    const { source } = this
    const tp = tps[which]!
    const log = this.logs[which]!
    const sink = this.sinks[n % 2]!
    const isOwned = this.owned.has(which)
    const acts: Readonly<Record<What, () => unknown>> = {
      append: () => {
        log.end += n
        source.setLog(tp, log)
      },
      away: () => {
        sink.isAway = true
      },
      back: () => {
        sink.isAway = false
        sink.store()
      },
      fail: () => sink.fail(tp, new Error('no space left')),
      fence: () => sink.fail(tp, new ArchiverError('FENCED', 'another worker was faster')),
      lose: () => {
        if (isOwned) source.rebalance({ lost: [tp] })
        this.owned.delete(which)
      },
      gain: () => {
        if (!isOwned) source.rebalance({ gained: [tp] })
        this.owned.add(which)
      },
      revoke: () => {
        this.owned.delete(which)
        return source.revoke([tp])
      },
      rejoin: () => source.rebalance({}),
      retention: () => {
        log.start = Math.min(log.end, log.start + n)
        source.setLog(tp, log)
      },
      forget: () => source.group.delete(partitionKey(tp)),
      deaf: () => {
        source.refusal = { bounds: new Error('no answer'), committed: new Error('no answer') }
      },
      hears: () => {
        source.refusal = {}
      },
      refuse: () => {
        source.refusal = { commit: new Error('not authorized') }
      },
      commit: () => tick(10),
      compare: () => tick(20_000),
    }
    void acts[what]()
  }

  check(): void {
    for (const tp of tps) {
      const committed = this.source.group.get(partitionKey(tp)) ?? 0
      for (const sink of this.sinks)
        assert.ok(sink.next(tp) >= committed, `${committed} is committed before ${sink.name}`)
    }
    for (const { partition, next } of this.sinks.flatMap(({ gaps }) => gaps))
      assert.ok(next <= this.logs[partition]!.start, 'only what retention took is lost')
  }

  /** All works again, and this worker has all partitions. */
  recover(): void {
    this.source.refusal = {}
    for (const sink of this.sinks) {
      sink.isAway = false
      sink.store()
    }
    const gained = tps.filter((_, i) => !this.owned.has(i))
    this.source.rebalance({ gained })
  }

  isDone(): boolean {
    return tps.every(
      (tp, i) =>
        (this.source.group.get(partitionKey(tp)) ?? 0) === this.logs[i]!.end &&
        this.sinks.every((sink) => sink.next(tp) === this.logs[i]!.end),
    )
  }
}

test('after any history of a group, its sinks and Kafka, every record is stored and committed', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  t.mock.method(Backoff.prototype, 'next', () => 0)
  const log = createLogger({ level: 'silent', stream: { write: () => {} } })
  const holds = fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
    const world = new World()
    const { source, sinks, logs } = world
    tps.forEach((tp, i) => {
      source.setLog(tp, logs[i]!)
    })
    const worker = new Worker({
      source,
      sinks,
      encoder: new LineEncoder({ from: 'value', path: ['type'] }),
      coordinator: new Coordinator(sinks.map(({ name }) => name)),
      options: {
        untilEnd: false,
        startAt: 'beginning',
        onGap: 'continue',
        commitIntervalMs: 10,
        memoryBudget: 2 ** 28,
        drainTimeoutMs: 5,
        shutdownTimeoutMs: 5,
      },
      log,
    })
    for (const sink of sinks) await sink.start(() => worker.roomFreed())
    const stopping = new AbortController()
    const ended = worker.run(stopping.signal)
    try {
      for (const { what, which, n } of steps) {
        world.act(what, which, n, (ms) => t.mock.timers.tick(ms))
        for (let i = n % 5; i > 0; i--) await turn()
        world.check()
      }
      world.recover()
      await until('every record is stored and committed', () => {
        t.mock.timers.tick(20_000)
        world.check()
        return world.isDone()
      })
    } finally {
      stopping.abort()
      for (const sink of sinks) await sink.stop()
      await ended
    }
  })
  await fc.assert(holds, { numRuns: 40, endOnFailure: true })
})
