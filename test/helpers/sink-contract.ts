import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { Sink } from '../../src/pipeline/sink.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import {
  emptyBatch,
  lineStart,
  type RecordBatch,
  type TopicPartition,
} from '../../src/record/record.ts'
import { until } from './servers.ts'

/** A store that sinks write to, one after another or at once, as processes would. */
export interface SinkStore {
  /** A new sink on this store. It must not flush by itself within the time of a test. */
  readonly sink: () => Sink
  /** Every line in the store, in any order. */
  readonly lines: () => Promise<readonly string[]>
  /** A topic of this test's own. */
  readonly topic: string
  /** The bytes at which a sink is full. */
  readonly memoryLimit: number
}

const encoder = new LineEncoder({ from: 'value', path: ['type'] })

function batchOf(
  { topic, partition }: TopicPartition,
  from: number,
  next: number,
  size = 20,
): RecordBatch {
  const records = Array.from({ length: next - from }, (_, i) => ({
    offset: from + i,
    timestamp: Date.UTC(2019, 7, 1, 3) + (from + i) * 60_000,
    key: null,
    headers: [],
    value: Buffer.from(
      `{"type":"type.${(from + i) % 3}","i":${from + i},"text":"${'x'.repeat(size)}"}`,
    ),
  }))
  return encoder.encode({ topic, partition, from, next, records })
}

function linesOf(...batches: readonly RecordBatch[]): string[] {
  return batches.flatMap((batch) =>
    Array.from({ length: batch.count }, (_, i) =>
      batch.lines.toString('utf8', lineStart(batch, i), batch.ends[i]! - 1),
    ),
  )
}

/** Whether a promise is settled by now, given every chance to be. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const marker = {}
  const turns = new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(marker))))
  return (await Promise.race([promise.catch(() => {}), turns])) !== marker
}

/**
 * The contract of `src/pipeline/sink.ts`, for one implementation. A new sink is done when this is
 * green.
 *
 * `create` makes an empty store for a test.
 */
export function registerSinkContract(
  name: string,
  create: (t: TestContext) => Promise<SinkStore>,
): void {
  const contract = (what: string, run: (t: TestContext, store: SinkStore) => Promise<void>) =>
    test(`${name}: ${what}`, async (t) => run(t, await create(t)))

  async function started(
    t: TestContext,
    store: SinkStore,
    relieved: () => void = () => {},
  ): Promise<Sink> {
    const sink = store.sink()
    t.after(() => sink.stop())
    await sink.start(relieved)
    return sink
  }

  async function holds(store: SinkStore, ...batches: readonly RecordBatch[]): Promise<void> {
    assert.deepEqual((await store.lines()).toSorted(), linesOf(...batches).toSorted())
  }

  contract('write settles when the batch is durable, and not before', async (t, store) => {
    const tp = { topic: store.topic, partition: 0 }
    const sink = await started(t, store)
    await sink.open(tp, 0)
    const batch = batchOf(tp, 0, 30)
    const written = sink.write(batch)
    if (await isSettled(written)) await holds(store, batch)
    await sink.flush([tp])
    assert.ok(await isSettled(written), 'a flush settles what was written before it')
    await written
    await holds(store, batch)
  })

  contract(
    'lines may go when `write` settles, and before that if they are not kept',
    async (t, store) => {
      const tp = { topic: store.topic, partition: 0 }
      const sink = await started(t, store)
      await sink.open(tp, 0)
      const batches = [batchOf(tp, 0, 20), batchOf(tp, 20, 50), batchOf(tp, 50, 60)]
      const expected = linesOf(...batches)
      const written = batches.map(async (batch) => {
        const settled = sink.write(batch)
        if (sink.keepsLines) await settled
        batch.free!()
        await settled
      })
      await sink.flush([tp])
      await Promise.all(written)
      assert.deepEqual((await store.lines()).toSorted(), expected.toSorted())
      await until('what was held is given back', () => sink.heldBytes === 0, 5000)
      assert.equal(sink.pressure(tp), 0)
    },
  )

  contract('a batch that is written again changes nothing', async (t, store) => {
    const tp = { topic: store.topic, partition: 0 }
    const batches = [batchOf(tp, 0, 10), batchOf(tp, 10, 25)]
    for (let run = 0; run < 2; run++) {
      const sink = await started(t, store)
      await sink.open(tp, 0)
      const written = batches.map((batch) => sink.write(batch))
      await sink.flush([tp])
      await Promise.all(written)
      await sink.stop()
      await holds(store, ...batches)
    }
  })

  contract('a batch that is there in part is completed', async (t, store) => {
    const tp = { topic: store.topic, partition: 0 }
    const before = await started(t, store)
    await before.open(tp, 5)
    const first = before.write(batchOf(tp, 5, 15))
    await before.flush([tp])
    await first
    await before.stop()
    const after = await started(t, store)
    const { next, origin } = await after.open(tp, 0)
    assert.ok(next === undefined || next === 15, `stands at ${next}`)
    assert.ok(origin === undefined || origin === 5, `began at ${origin}`)
    const written = after.write(batchOf(tp, 10, 22))
    await after.flush([tp])
    await written
    await holds(store, batchOf(tp, 5, 22))
  })

  contract(
    'close forgets what is not durable, and who waits for it waits for ever',
    async (t, store) => {
      const tp = { topic: store.topic, partition: 0 }
      const sink = await started(t, store)
      await sink.open(tp, 0)
      const given = sink.write(batchOf(tp, 0, 10))
      await sink.close(tp)
      await sink.flush([tp])
      assert.ok(!(await isSettled(given)))
      assert.ok(
        !(await isSettled(sink.write(batchOf(tp, 10, 20)))),
        'nothing is taken of a partition that is not open',
      )
      assert.equal(sink.heldBytes, 0)
      await sink.open(tp, 0)
      const batch = batchOf(tp, 0, 20)
      const written = sink.write(batch)
      await sink.flush([tp])
      await written
      await holds(store, batch)
      assert.ok(!(await isSettled(given)))
      await sink.close(tp)
      await sink.close(tp)
    },
  )

  contract(
    'partitions are independent: closing one leaves the others as they are',
    async (t, store) => {
      const [one, two] = [0, 1].map((partition) => ({ topic: store.topic, partition })) as [
        TopicPartition,
        TopicPartition,
      ]
      const sink = await started(t, store)
      await sink.open(one, 0)
      await sink.open(two, 0)
      const batches = [batchOf(one, 0, 10), batchOf(two, 0, 10)] as const
      const given = sink.write(batches[0])
      const kept = sink.write(batches[1])
      await sink.close(one)
      await sink.flush([one, two])
      await kept
      assert.ok(!(await isSettled(given)))
      const found = await store.lines()
      for (const line of linesOf(batches[1])) assert.ok(found.includes(line))
    },
  )

  contract('a flush settles, whatever there is to flush', async (t, store) => {
    const tp = { topic: store.topic, partition: 0 }
    const sink = await started(t, store)
    await sink.flush([])
    await sink.flush([tp])
    await sink.open(tp, 0)
    await sink.flush([tp])
    const first = sink.write(batchOf(tp, 0, 10))
    const flushed = [sink.flush([tp]), sink.flush([tp])]
    const second = sink.write(batchOf(tp, 10, 20))
    await Promise.all([...flushed, sink.flush([tp])])
    await Promise.all([first, second])
    await holds(store, batchOf(tp, 0, 20))
  })

  contract(
    'pressure rises with what is held, and falls, and says that it fell',
    async (t, store) => {
      const tp = { topic: store.topic, partition: 0 }
      let relieved = 0
      const sink = await started(t, store, () => {
        relieved++
      })
      await sink.open(tp, 0)
      assert.equal(sink.pressure(tp), 0)
      assert.equal(sink.heldBytes, 0)
      const batches: RecordBatch[] = []
      const written: Promise<void>[] = []
      let before = 0
      while (sink.pressure(tp) < 1) {
        assert.ok(batches.length < 100, `still at ${sink.pressure(tp)}`)
        const from = batches.length * 10
        const batch = batchOf(tp, from, from + 10, store.memoryLimit / 100)
        batches.push(batch)
        written.push(sink.write(batch))
        assert.ok(sink.heldBytes >= before || relieved > 0)
        before = sink.heldBytes
      }
      assert.ok(sink.heldBytes > 0)
      relieved = 0
      await sink.flush([tp])
      await Promise.all(written)
      await until('what was held is given back', () => sink.heldBytes === 0, 5000)
      assert.equal(sink.pressure(tp), 0)
      assert.ok(relieved > 0)
      await holds(store, ...batches)
    },
  )

  contract('empty batches move on', async (t, store) => {
    const tp = { topic: store.topic, partition: 0 }
    const sink = await started(t, store)
    await sink.open(tp, 0)
    const gap = { from: 0, next: 100, reason: 'not-delivered' } as const
    const batch = batchOf(tp, 100, 110)
    const written = [
      sink.write(emptyBatch(tp, gap, [gap])),
      sink.write(batch),
      sink.write(emptyBatch(tp, { from: 110, next: 115 }, [])),
    ]
    await sink.flush([tp])
    await Promise.all(written)
    await holds(store, batch)
    const { next } = await sink.open(tp, 0)
    assert.ok(next === undefined || next === 115, `stands at ${next}`)
  })

  contract(
    'two sinks that both believe they own a partition leave each record once',
    async (t, store) => {
      const tp = { topic: store.topic, partition: 0 }
      const [one, two] = [await started(t, store), await started(t, store)]
      await one.open(tp, 0)
      await two.open(tp, 0)
      const batch = batchOf(tp, 0, 20)
      const written = Promise.allSettled([one.write(batch), two.write(batch)])
      await Promise.all([one.flush([tp]), two.flush([tp])])
      const outcomes = await written
      assert.ok(outcomes.some(({ status }) => status === 'fulfilled'))
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected')
          assert.equal((outcome.reason as { code?: string }).code, 'FENCED')
      }
      await holds(store, batch)
    },
  )
}
