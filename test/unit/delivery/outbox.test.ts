import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { type Courier, Outbox } from '../../../src/delivery/outbox.ts'
import { type Part, type PartQueue, recordsOf } from '../../../src/delivery/part-queue.ts'
import type { PendingBatch } from '../../../src/delivery/pending.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import type { RecordBatch } from '../../../src/record/record.ts'
import { sinkLog } from '../../helpers/observed-sink.ts'

const encoder = new LineEncoder({ from: 'topic' })
const fullRecords = 5

function batchOf(partition: number, from: number, count: number): RecordBatch {
  const records = Array.from({ length: count }, (_, i) => ({
    offset: from + i,
    timestamp: 0,
    key: null,
    headers: [],
    value: Buffer.from('1'),
  }))
  return encoder.encode({ topic: 't', partition, from, next: from + count, records })
}

type Outcome = 'stored' | 'later' | 'half' | 'away'

/** A server whose outcomes are given, and a courier that knows it. */
class FakeServer implements Courier<Part, readonly Part[], Outcome> {
  readonly fullBytes = fullRecords
  readonly outcomes: Outcome[] = []
  /** Partition and offset of every record that was stored. */
  readonly stored: string[] = []
  inFlight = 0
  maxInFlight = 0
  requests = 0
  outbox!: Outbox<Part, readonly Part[], Outcome>

  bytesOf(part: Part): number {
    return recordsOf([part])
  }

  partOf(pending: PendingBatch): Part {
    return { pending, start: 0, end: pending.batch.count }
  }

  batchesOf(parts: readonly Part[]): Iterable<PendingBatch> {
    return parts.map(({ pending }) => pending)
  }

  build(queue: PartQueue<Part>): readonly Part[] | undefined {
    const parts: Part[] = []
    for (let part = queue.peek(); part !== undefined; part = queue.peek()) {
      const room = fullRecords - recordsOf(parts)
      if (room === 0) break
      const end = Math.min(part.end, part.start + room)
      parts.push({ ...part, end })
      if (end < part.end) queue.shiftUntil(end)
      else queue.shift()
    }
    return parts.length === 0 ? undefined : parts
  }

  async send(): Promise<Outcome> {
    this.requests++
    this.inFlight++
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight)
    assert.equal(this.outbox.waitMs, 0, 'a request begins while all have to wait')
    await turn()
    this.inFlight--
    return this.outcomes.shift() ?? 'stored'
  }

  judge(parts: readonly Part[], outcome: Outcome): void {
    if (outcome === 'away') this.outbox.failed('away', 'warn')
    else if (outcome === 'later') this.outbox.pause()
    else this.outbox.recovered()
    const keeps = { stored: Infinity, half: recordsOf(parts) >> 1, later: 0, away: 0 }[outcome]
    let room = keeps
    const rest: Part[] = []
    for (const { pending, start, end } of parts) {
      const middle = Math.min(end, start + room)
      room -= middle - start
      for (let i = start; i < middle; i++)
        this.stored.push(`${pending.batch.partition}/${pending.batch.offsets[i]!}`)
      pending.acknowledge(middle - start)
      if (middle < end) rest.push({ pending, start: middle, end })
    }
    this.outbox.queue.pushFirst(rest)
  }

  putBack(parts: readonly Part[]): void {
    this.outbox.queue.pushFirst(parts)
  }
}

/** An outbox with a clock that only `pass` moves. */
function open(options: { concurrency?: number; lingerMs?: number } = {}) {
  mock.timers.enable({ apis: ['setTimeout'] })
  let now = 0
  const server = new FakeServer()
  const written = sinkLog()
  const outbox = new Outbox<Part, readonly Part[], Outcome>({
    sink: 'fake',
    courier: server,
    lingerMs: options.lingerMs ?? 100,
    concurrency: options.concurrency ?? 2,
    memoryLimit: 1e6,
    log: written.logger,
    now: () => now,
  })
  server.outbox = outbox
  return {
    ...written,
    server,
    outbox,
    /** Lets requests end, then time pass. */
    pass: async (ms: number) => {
      for (let i = 0; i < 20; i++) await turn()
      now += ms
      mock.timers.tick(ms)
      for (let i = 0; i < 20; i++) await turn()
    },
    close: () => mock.timers.reset(),
  }
}

const call = fc.oneof(
  fc.record({
    is: fc.constant('write' as const),
    partition: fc.nat({ max: 2 }),
    count: fc.integer({ min: 0, max: 12 }),
  }),
  fc.record({
    is: fc.constantFrom('flush' as const, 'close' as const),
    partition: fc.nat({ max: 2 }),
  }),
  fc.record({ is: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 400 }) }),
)

test('whatever the server does, each record of an open partition is stored once, and a write settles when it is', async () => {
  const outcomes = fc.array(fc.constantFrom<Outcome>('stored', 'half', 'later', 'away'), {
    maxLength: 30,
  })
  const concurrency = fc.integer({ min: 1, max: 4 })
  await fc.assert(
    fc.asyncProperty(
      fc.array(call, { maxLength: 30 }),
      outcomes,
      concurrency,
      async (calls, outcomes, concurrency) => {
        const { outbox, server, pass, close } = open({ concurrency })
        try {
          server.outcomes.push(...outcomes)
          const next = [0, 0, 0]
          const settled = new Set<string>()
          let expected: string[] = []
          for (let partition = 0; partition < 3; partition++) outbox.open({ topic: 't', partition })
          for (const one of calls) {
            if (one.is === 'pass') await pass(one.ms)
            else if (one.is === 'write') {
              const batch = batchOf(one.partition, next[one.partition]!, one.count)
              next[one.partition]! += one.count
              const names = [...batch.offsets].map((offset) => `${one.partition}/${offset}`)
              expected.push(...names)
              void outbox.write(batch).then(() => {
                for (const name of names) settled.add(name)
              })
            } else if (one.is === 'flush')
              void outbox.flush([{ topic: 't', partition: one.partition }])
            else {
              const { partition } = one
              assert.ok(outbox.close({ topic: 't', partition }))
              outbox.open({ topic: 't', partition })
              await pass(0)
              expected = expected.filter(
                (name) => !name.startsWith(`${partition}/`) || settled.has(name),
              )
            }
            assert.ok(server.inFlight <= concurrency)
            for (const name of settled) assert.ok(server.stored.includes(name), name)
          }
          // Whatever happened before: a server that takes this one is well.
          const last = batchOf(0, next[0]!, 1)
          expected.push(`0/${next[0]!}`)
          void outbox.write(last).then(() => settled.add(`0/${next[0]!}`))
          for (let i = 0; i < 100 && outbox.heldBytes > 0; i++) await pass(10_000)
          assert.equal(outbox.heldBytes, 0)
          assert.deepEqual([...settled].sort(), [...expected].sort())
          assert.equal(new Set(server.stored).size, server.stored.length, 'stored twice')
          assert.ok(server.maxInFlight <= concurrency)
          assert.equal(outbox.waiting, undefined)
          assert.equal(outbox.queue.bytes, 0)
        } finally {
          close()
        }
      },
    ),
    { numRuns: 200 },
  )
})

test('a request goes out when it is full, when it has waited, or when somebody waits for it', async () => {
  const { outbox, server, pass, close } = open()
  try {
    const tp = { topic: 't', partition: 0 }
    outbox.open(tp)
    void outbox.write(batchOf(0, 0, 3))
    await pass(99)
    assert.equal(server.requests, 0)
    await pass(1)
    assert.equal(server.requests, 1, 'it has waited')
    void outbox.write(batchOf(0, 3, 12))
    await pass(0)
    assert.equal(server.requests, 3, 'two are full, and two records wait')
    await outbox.flush([tp])
    assert.deepEqual([server.requests, server.stored.length], [4, 15], 'somebody waits')
    void outbox.write(batchOf(0, 15, 1))
    await pass(99)
    assert.equal(server.requests, 4, 'nobody waits any more')
  } finally {
    close()
  }
})

test('an outage is said once with its reason, and its end with how long it took', async () => {
  const { outbox, server, pass, events, close } = open({ lingerMs: 0 })
  try {
    outbox.open({ topic: 't', partition: 0 })
    server.outcomes.push('away', 'away')
    void outbox.write(batchOf(0, 0, 1))
    await pass(1)
    assert.equal(outbox.waiting, 'away')
    for (let i = 0; i < 10 && outbox.heldBytes > 0; i++) await pass(1000)
    assert.equal(outbox.waiting, undefined)
    assert.deepEqual(
      events('sink_waiting').map(({ level, sink, reason, tries }) => [level, sink, reason, tries]),
      [['warn', 'fake', 'away', 0]],
    )
    assert.deepEqual(
      events('sink_recovered').map(({ level, tries }) => [level, tries]),
      [['info', 2]],
    )
  } finally {
    close()
  }
})

test('a request that waits for its turn while the gate closes is not sent, and not lost', async () => {
  const { outbox, server, pass, close } = open({ concurrency: 1 })
  try {
    for (const partition of [0, 1]) outbox.open({ topic: 't', partition })
    server.outcomes.push('away')
    const first = outbox.write(batchOf(0, 0, fullRecords))
    // It is in the queue behind the one in flight, and goes out of turn.
    const second = outbox.write(batchOf(1, 0, fullRecords))
    outbox.start(server.build(outbox.queue)!)
    await pass(0)
    assert.deepEqual([server.requests, outbox.waiting], [1, 'away'])
    for (let i = 0; i < 10 && outbox.heldBytes > 0; i++) await pass(1000)
    await Promise.all([first, second])
    assert.equal(server.stored.length, 2 * fullRecords)
  } finally {
    close()
  }
})

test('what must not happen fails the writes of its request, and no others', async () => {
  const { outbox, server, pass, events, close } = open({ lingerMs: 0 })
  try {
    for (const partition of [0, 1]) outbox.open({ topic: 't', partition })
    const send = mock.method(server, 'send', () => Promise.reject(new Error('bug')), { times: 1 })
    const failed = outbox.write(batchOf(0, 0, fullRecords))
    await assert.rejects(failed, /bug/)
    assert.equal(send.mock.callCount(), 1)
    const written = outbox.write(batchOf(1, 0, fullRecords))
    await pass(1)
    await written
    assert.equal(events('delivery_bug').length, 1)
  } finally {
    close()
  }
})

test('stop sends nothing any more, and settles when nothing is in flight', async () => {
  const { outbox, server, pass, close } = open({ concurrency: 1 })
  try {
    outbox.open({ topic: 't', partition: 0 })
    void outbox.write(batchOf(0, 0, 30))
    await turn()
    assert.equal(server.inFlight, 1)
    await outbox.stop()
    assert.equal(server.inFlight, 0)
    const { requests } = server
    await pass(1000)
    assert.equal(server.requests, requests)
    assert.ok(outbox.stopping.aborted)
  } finally {
    close()
  }
})
