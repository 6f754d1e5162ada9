import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Coordinator } from '../../../src/pipeline/offsets/coordinator.ts'
import type { Sink, SinkPosition } from '../../../src/pipeline/sink.ts'
import { Worker, type WorkerOptions } from '../../../src/pipeline/worker.ts'
import { LineEncoder } from '../../../src/record/line.ts'
import {
  type Gap,
  partitionKey,
  type RecordBatch,
  type TopicPartition,
} from '../../../src/record/record.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { Backoff } from '../../../src/runtime/retry.ts'
import { FakeSource, recordsOf } from '../../helpers/fake-source.ts'
import { until } from '../../helpers/servers.ts'

const tp = { topic: 'events', partition: 0 }
const key = partitionKey(tp)
/** How often a worker compares what it believes with Kafka. */
const compareMs = 20_000

interface Taken {
  readonly batch: RecordBatch
  readonly stored: () => void
}

/**
 * A sink whose server a test takes away and gives back. One that `remembers` knows where it stands,
 * as files do.
 */
class FakeSink implements Sink {
  readonly name: string
  readonly remembers: boolean
  /** The offsets of one partition that are durable. */
  readonly durable: number[] = []
  readonly gaps: Gap[] = []
  readonly waiting = undefined
  readonly heldBytes = 0
  /** Records of this partition that were dropped before they were durable. */
  dropped = 0
  away = false
  next: number | undefined
  openError: Error | undefined
  committedBefore: number | undefined
  #taken: Taken[] = []
  #relieved: () => void = () => {}
  /** At which records wait, as `Sink.pressure`. */
  most = Number.POSITIVE_INFINITY

  constructor(name: string, remembers: boolean) {
    this.name = name
    this.remembers = remembers
  }

  async start(relieved: () => void): Promise<void> {
    this.#relieved = relieved
  }

  async open(_tp: TopicPartition, fallback: number): Promise<SinkPosition> {
    if (this.openError !== undefined) throw this.openError
    const next = this.remembers ? (this.next ?? fallback) : undefined
    return { next, origin: undefined, committed: this.committedBefore }
  }

  write(batch: RecordBatch): Promise<void> {
    return new Promise((stored) => {
      this.#taken.push({ batch, stored })
      if (!this.away) this.back()
    })
  }

  /** Stores all that was taken. */
  back(): void {
    this.away = false
    const taken = this.#taken
    this.#taken = []
    for (const { batch, stored } of taken) {
      this.durable.push(...batch.offsets)
      this.gaps.push(...batch.gaps)
      this.next = batch.next
      stored()
    }
    this.#relieved()
  }

  async flush(): Promise<void> {
    while (this.#taken.length > 0) await new Promise((resolve) => setTimeout(resolve, 1))
  }

  async close(): Promise<void> {
    this.dropped += this.#taken.reduce((sum, { batch }) => sum + batch.count, 0)
    this.#taken = []
  }

  async stop(): Promise<void> {
    this.#taken = []
  }

  pressure(): number {
    return this.#taken.reduce((sum, { batch }) => sum + batch.count, 0) / this.most
  }
}

interface Running {
  readonly worker: Worker
  readonly ended: Promise<void>
  readonly stop: () => void
  /** What was logged at warning and above. */
  readonly told: () => string[]
  /**
   * Lets as much time pass for what is done at intervals, and then what follows from it at once.
   */
  readonly pass: (ms: number) => Promise<void>
  readonly partition: () => ReturnType<Worker['status']>[number]
}

async function startWorker(
  t: TestContext,
  source: FakeSource,
  sinks: readonly Sink[],
  options: Partial<WorkerOptions> = {},
): Promise<Running> {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let output = ''
  const log = createLogger({
    level: 'warn',
    stream: {
      write: (text: string) => {
        output += text
      },
    },
  })
  const worker = new Worker({
    source,
    sinks,
    encoder: new LineEncoder({ from: 'value', path: ['type'] }),
    coordinator: new Coordinator(sinks.map(({ name }) => name)),
    options: {
      untilEnd: false,
      startAt: 'beginning',
      onGap: 'stop',
      commitIntervalMs: 10,
      memoryBudget: 256 * 2 ** 20,
      drainTimeoutMs: 20,
      shutdownTimeoutMs: 20,
      ...options,
    },
    log,
  })
  for (const sink of sinks) await sink.start(() => worker.relieved())
  const stopping = new AbortController()
  const ended = worker.run(stopping.signal)
  const stop = () => stopping.abort()
  t.after(async () => {
    stop()
    await Promise.allSettled([ended])
    for (const sink of sinks) await sink.stop()
  })
  return {
    worker,
    ended,
    stop,
    told: () =>
      output
        .split('\n')
        .flatMap((line) => (line === '' ? [] : [(JSON.parse(line) as { msg: string }).msg])),
    pass: async (ms) => {
      t.mock.timers.tick(ms)
      await settled()
    },
    partition: () => worker.status()[0]!,
  }
}

/** Longer than any timeout that the workers of these tests have. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 60))
}

/**
 * A worker that read 100 records which a sink, being away, could not store, and whose log retention
 * then cut off behind them.
 */
async function overtaken(
  t: TestContext,
  sinks: readonly FakeSink[],
  options: Partial<WorkerOptions> = {},
) {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 150 })
  const slow = sinks.at(-1)!
  slow.away = true
  slow.most = 50
  const running = await startWorker(t, source, sinks, options)
  await until('all is read', () => running.partition().position === 100)
  await running.pass(10)
  assert.equal(source.group.get(key), 0)
  source.setLog(tp, { start: 200, end: 300 })
  return { source, slow, ...running }
}

for (const files of [false, true]) {
  test(`retention overtakes while a sink is away, ${files ? 'with' : 'without'} files: what was read is stored, and only the rest is lost`, async (t) => {
    const sinks = [
      ...(files ? [new FakeSink('files', true)] : []),
      new FakeSink('elasticsearch', false),
    ]
    const { source, slow, pass, partition, worker, told } = await overtaken(t, sinks)
    // kafkajs did this where it reset an offset.
    source.group.delete(key)
    await pass(compareMs)
    assert.equal(source.group.get(key), 0, 'the group has its offset again at once')
    await pass(compareMs)
    assert.equal(slow.dropped, 0)
    assert.equal(partition().state, 'open')
    assert.match(partition().waiting!, /Kafka has no offset 100 any more/)
    slow.back()
    await pass(10)
    await until('it stops', () => partition().state === 'stopped')
    assert.equal(source.group.get(key), 100)
    for (const { durable, dropped } of sinks) assert.deepEqual([durable.length, dropped], [100, 0])
    assert.equal(worker.counts.lostOffsets, 100)
    assert.ok(told().some((line) => line.includes('offsets 100 to 199 are gone from Kafka')))
  })
}

test('what was stored is told to the group before the loss is looked at, however long the group refuses it', async (t) => {
  const { source, slow, pass, partition, worker } = await overtaken(
    t,
    [new FakeSink('elasticsearch', false)],
    {
      onGap: 'continue',
    },
  )
  source.refusal.commit = new Error('not authorized')
  await pass(compareMs)
  slow.back()
  await settled()
  assert.equal(worker.counts.lostOffsets, 0)
  source.refusal = {}
  await until('it goes on behind the loss', () => partition().position === 300)
  assert.deepEqual([slow.durable.length, worker.counts.lostOffsets], [200, 100])
  assert.deepEqual(slow.gaps, [{ from: 100, next: 200, reason: 'retention' }])
})

test('a worker that waits for a sink because retention overtook it stops at a signal', async (t) => {
  const { pass, stop, ended, slow } = await overtaken(t, [new FakeSink('elasticsearch', false)])
  await pass(compareMs)
  stop()
  await ended
  assert.equal(slow.durable.length, 0)
})

test('--until-end ends where retention overtook it, once the sink is back', async (t) => {
  const { pass, ended, slow } = await overtaken(t, [new FakeSink('elasticsearch', false)], {
    untilEnd: true,
  })
  const failed = assert.rejects(ended, /offsets 100 to 199 are gone/)
  await pass(compareMs)
  slow.back()
  await failed
  assert.equal(slow.durable.length, 100)
})

test('a position that cannot be looked up for a while drops nothing', async (t) => {
  const { source, slow, pass, partition } = await overtaken(t, [
    new FakeSink('elasticsearch', false),
  ])
  source.setLog(tp, { start: 0, end: 100 })
  slow.back()
  await pass(10)
  slow.away = true
  source.refusal.bounds = new Error('the broker is away')
  source.setLog(tp, { start: 200, end: 300 })
  await settled()
  assert.equal(partition().state, 'open')
  source.refusal = {}
  await until('it stops', () => partition().state === 'stopped')
  assert.deepEqual([slow.durable.length, slow.dropped, source.group.get(key)], [100, 0, 100])
})

test('the lag grows while a partition is paused, being opened or stopped', async (t) => {
  const { source, slow, pass, partition } = await overtaken(t, [
    new FakeSink('elasticsearch', false),
  ])
  source.setLog(tp, { start: 0, end: 500 })
  await pass(compareMs)
  assert.deepEqual([partition().position, partition().lag], [100, 400])
  source.setLog(tp, { start: 200, end: 600 })
  await pass(compareMs)
  slow.back()
  await until('it stops', () => partition().state === 'stopped')
  assert.deepEqual(
    [partition().committed, partition().lag],
    [100, 400],
    'what is gone cannot be read',
  )
  source.setLog(tp, { start: 200, end: 700 })
  await pass(compareMs)
  assert.equal(partition().lag, 500)
})

test('a partition that cannot be opened has a lag, and what it knew of the group', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  source.group.set(key, 40)
  const sink = new FakeSink('files', true)
  sink.openError = new Error('no space left')
  const { partition, pass } = await startWorker(t, source, [sink])
  await until('it was tried', () => partition().waiting !== undefined)
  assert.deepEqual([partition().state, partition().committed, partition().lag], ['opening', 40, 60])
  source.setLog(tp, { start: 0, end: 130 })
  await pass(compareMs)
  assert.equal(partition().lag, 90)
})

test('commits that fail are said, counted, and after a minute what the worker waits for', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const { worker, told, pass, partition } = await startWorker(t, source, [
    new FakeSink('elasticsearch', false),
  ])
  await until('all is read', () => partition().position === 100)
  source.refusal.commit = new Error('Not authorized to access group')
  const now = performance.now()
  let later = 0
  t.mock.method(performance, 'now', () => now + later)
  await pass(10)
  await pass(10)
  const lines = () =>
    told().filter((line) => line.startsWith('offsets cannot be committed: Not authorized')).length
  assert.deepEqual([lines(), worker.counts.commitFailures], [1, 2])
  assert.deepEqual([partition().waiting, worker.troubles], [undefined, []])
  later = 61_000
  await pass(10)
  assert.equal(lines(), 2)
  assert.match(partition().waiting!, /Not authorized/)
  assert.match(worker.troubles.join(), /Not authorized/)
  source.refusal = {}
  await pass(10)
  assert.deepEqual(
    [source.group.get(key), partition().waiting, worker.troubles],
    [100, undefined, []],
  )
})

test('commits that were refused are no trouble once the partition is given up', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const { worker, pass, partition } = await startWorker(t, source, [
    new FakeSink('elasticsearch', false),
  ])
  await until('all is read', () => partition().position === 100)
  source.refusal.commit = new Error('Not authorized to access group')
  const now = performance.now()
  let later = 0
  t.mock.method(performance, 'now', () => now + later)
  await pass(10)
  later = 61_000
  await pass(10)
  assert.equal(worker.troubles.length, 1)
  source.assign([])
  await pass(10)
  assert.deepEqual(worker.troubles, [])
})

test('a gap check that fails is said, and the check of other topics goes on', async (t) => {
  const other = { topic: 'other', partition: 0 }
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 10 })
  source.setLog(other, { start: 0, end: 10 })
  const { worker, told, pass } = await startWorker(t, source, [
    new FakeSink('elasticsearch', false),
  ])
  await until('both are read', () => worker.status().every(({ position }) => position === 10))
  source.unknown.add(tp.topic)
  source.group.set(partitionKey(other), 3)
  await pass(compareMs)
  await pass(10)
  assert.ok(
    told().some((line) =>
      line.startsWith("positions cannot be compared with Kafka's: no topic events"),
    ),
  )
  assert.equal(
    source.group.get(partitionKey(other)),
    10,
    'an older offset that another committed over ours',
  )
})

test('Kafka that does not answer is a trouble of the worker', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 10 })
  const { worker, partition } = await startWorker(t, source, [new FakeSink('elasticsearch', false)])
  await until('all is read', () => partition().position === 10)
  assert.deepEqual(worker.troubles, [])
  source.silentMs = 45_000
  assert.deepEqual(worker.troubles, ['Kafka has not answered for 45 s'])
})

test('a group without the offset that the archive says it had committed is told', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 300 })
  const files = new FakeSink('files', true)
  Object.assign(files, { next: 100, committedBefore: 90 })
  const { worker, told, partition } = await startWorker(t, source, [files])
  await until('all is read', () => partition().position === 300)
  assert.equal(worker.counts.forgottenOffsets, 1)
  assert.ok(
    told().some((line) =>
      line.startsWith(`${key}: the group has no offset, and had committed 90: `),
    ),
  )
})

test('a group that loses its offset under way is told it again, and that is said', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const { worker, told, pass, partition } = await startWorker(t, source, [
    new FakeSink('elasticsearch', false),
  ])
  await until('all is read', () => partition().position === 100)
  await pass(10)
  source.group.delete(key)
  await pass(compareMs)
  await pass(10)
  assert.deepEqual([source.group.get(key), worker.counts.forgottenOffsets], [100, 1])
  assert.ok(
    told().some((line) =>
      line.startsWith(`${key}: the group has no offset, and had committed 100: `),
    ),
  )
})

test('a record batch that cannot be read stops its partition alone, with what is before it archived', async (t) => {
  const source = new FakeSource()
  const other = { topic: 'events', partition: 1 }
  source.damaged = { from: 130, next: 140 }
  source.setLog(tp, { start: 0, end: 250 })
  source.setLog(other, { start: 0, end: 120 })
  const sink = new FakeSink('elasticsearch', false)
  const { pass, partition, worker, told } = await startWorker(t, source, [sink])
  await until('it stops', () => partition().state === 'stopped')
  await pass(10)
  assert.equal(source.group.get(key), 130)
  assert.equal(source.group.get(partitionKey(other)), 120)
  assert.equal(sink.durable.length, 130 + 120)
  assert.equal(worker.counts.lostOffsets, 10)
  assert.match(
    told().join('\n'),
    /events\/0: it is damaged; this partition stops\. Start with --on-gap continue/,
  )
  assert.match(partition().waiting!, /it is damaged/)
})

test('with --on-gap continue a record batch that cannot be read is a gap, and all others are archived', async (t) => {
  const source = new FakeSource()
  source.damaged = { from: 100, next: 140 }
  source.setLog(tp, { start: 0, end: 250 })
  const sink = new FakeSink('elasticsearch', false)
  const { ended, worker } = await startWorker(t, source, [sink], {
    onGap: 'continue',
    untilEnd: true,
  })
  await ended
  assert.equal(source.group.get(key), 250)
  assert.deepEqual(
    sink.durable.toSorted((a, b) => a - b),
    Array.from({ length: 250 }, (_, i) => i).filter((i) => i < 100 || i >= 140),
  )
  assert.deepEqual(sink.gaps, [{ from: 100, next: 140, reason: 'unreadable' }])
  assert.equal(worker.counts.lostOffsets, 40)
})

test('with --on-gap continue an oversized record is a gap, and is counted', async (t) => {
  const source = new FakeSource()
  source.damaged = { from: 100, next: 101 }
  source.damagedBy = 'oversized'
  source.setLog(tp, { start: 0, end: 250 })
  const sink = new FakeSink('elasticsearch', false)
  const { ended, worker } = await startWorker(t, source, [sink], {
    onGap: 'continue',
    untilEnd: true,
  })
  await ended
  assert.equal(source.group.get(key), 250)
  assert.equal(sink.durable.length, 249)
  assert.deepEqual(sink.gaps, [{ from: 100, next: 101, reason: 'oversized' }])
  assert.deepEqual([worker.counts.lostOffsets, worker.counts.oversizedRecords], [1, 1])
})

test('an oversized record stops its partition, and says what keeps it', async (t) => {
  const source = new FakeSource()
  source.damaged = { from: 100, next: 101 }
  source.damagedBy = 'oversized'
  source.setLog(tp, { start: 0, end: 250 })
  const { partition, told, worker } = await startWorker(t, source, [
    new FakeSink('elasticsearch', false),
  ])
  await until('it stops', () => partition().state === 'stopped')
  assert.match(told().join('\n'), /Start with a larger --max-record-bytes/)
  assert.equal(worker.counts.oversizedRecords, 1)
})

test('a batch that cannot be encoded holds back its partition alone, and is read again until it can', async (t) => {
  const source = new FakeSource()
  source.poison = 150
  source.setLog(tp, { start: 0, end: 250 })
  const other = { topic: 'events', partition: 1 }
  source.setLog(other, { start: 0, end: 120 })
  const sink = new FakeSink('elasticsearch', false)
  const { partition, told, pass } = await startWorker(t, source, [sink])
  await until(
    'the rest is read',
    () => sink.durable.length === 100 + 120 && partition().waiting !== undefined,
  )
  await pass(10)
  assert.deepEqual([source.group.get(key), source.group.get(partitionKey(other))], [100, 120])
  assert.equal(partition().state, 'open')
  assert.match(
    partition().waiting!,
    /events\/0: the batch at offset 100 cannot be read: .*offset 99 came where/,
  )
  assert.deepEqual(
    told().filter((message) => message === 'a batch cannot be read; reading it again'),
    ['a batch cannot be read; reading it again'],
  )
  source.poison = undefined
  await until('it goes on', () => sink.durable.length === 250 + 120)
  await pass(10)
  assert.equal(source.group.get(key), 250)
  assert.equal(partition().waiting, undefined)
})

test('trouble with a batch that cannot pass stops its partition by name, with what was read before', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const { partition, told } = await startWorker(t, source, [new FakeSink('elasticsearch', false)])
  await until('all is read', () => partition().position === 100)
  source.trouble({
    ...tp,
    offset: 100,
    error: new Error('only what lies before it'),
    canPass: false,
  })
  assert.equal(partition().state, 'stopped')
  assert.match(
    partition().waiting!,
    /events\/0: the batch at offset 100 cannot be read: only what lies before it/,
  )
  assert.match(told().join('\n'), /a batch cannot be read; this partition stops/)
})

test('trouble that does not pass ends a worker that is to end, with the name of the partition', async (t) => {
  const { next } = Backoff.prototype
  t.mock.method(Backoff.prototype, 'next', function (this: Backoff) {
    next.call(this)
    return 0
  })
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const sink = new FakeSink('elasticsearch', false)
  sink.away = true
  const { partition, ended } = await startWorker(t, source, [sink], { untilEnd: true })
  const rejected = assert.rejects(
    ended,
    /events\/0: the batch at offset 100 cannot be read: corrupt/,
  )
  await until('all is read', () => partition().position === 100)
  let tries = 0
  await until('the partition stops', () => {
    tries++
    source.trouble({ ...tp, offset: 100, error: new Error('corrupt'), canPass: true })
    return partition().state === 'stopped'
  })
  assert.ok(tries > 10)
  await rejected
})

test('a loss is judged once more, by younger answers, before it stops a partition', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  source.group.set(key, 100)
  const files = new FakeSink('files', true)
  // Who had the partition before archives records that this worker's first answers do not know.
  files.next = 150
  let opened = 0
  const open = files.open.bind(files)
  files.open = async (tp, fallback) => {
    const position = await open(tp, fallback)
    if (++opened === 2) source.setLog(tp, { start: 0, end: 160 })
    return position
  }
  const { worker, told, partition } = await startWorker(t, source, [files])
  await until('the partition is read', () => partition().position === 160)
  assert.deepEqual(
    [opened, worker.counts.lostOffsets, partition().state, told()],
    [2, 0, 'open', []],
  )
})

/** Files that know their last records. */
function filesWith(next: number, committedBefore: number | undefined, life = 1): FakeSink {
  const files = new FakeSink('files', true)
  return Object.assign(files, {
    next,
    committedBefore,
    lastRecords: async () => recordsOf({ from: files.next! - 5, next: files.next! }, life),
  })
}

for (const committedBefore of [undefined, 90]) {
  test(`a topic that was made again is refused when it is opened, ${committedBefore === undefined ? 'after a short run' : 'as after a long one'}`, async (t) => {
    const source = new FakeSource()
    source.setLog(tp, { start: 0, end: 300 })
    source.life = 2
    const { worker, told, partition } = await startWorker(
      t,
      source,
      [filesWith(100, committedBefore)],
      {
        onGap: 'continue',
      },
    )
    await until('the partition stops', () => partition().state === 'stopped')
    assert.equal(told().length, 1)
    assert.match(
      told()[0]!,
      /^events\/0: Kafka's record at offset 99 is not the one that is archived: the topic was deleted and made again, .* Archive the new topic under another --archive-dir/,
    )
    assert.match(partition().waiting!, /made again/)
    assert.deepEqual([worker.counts.lostOffsets, source.group.has(key)], [100, false])
  })
}

test('a group without offsets of the same topic is told, and is no error', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 300 })
  const { worker, told, partition } = await startWorker(t, source, [filesWith(100, 90)])
  await until('all is read', () => partition().position === 300)
  assert.equal(worker.counts.forgottenOffsets, 0)
  assert.deepEqual(
    told().map((line) => line.replace(/:.*:/, ':')),
    [
      'events/0: its offsets expired or were deleted, which loses nothing: Kafka has the last archived records still',
    ].map((line) => line.replace(/:.*:/, ':')),
  )
})

test('a group that has its offset is not asked for records', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 300 })
  source.group.set(key, 100)
  source.life = 2
  const { partition } = await startWorker(t, source, [filesWith(100, 90)])
  await until('all is read', () => partition().position === 300)
})

test('a topic that is made again under a running worker stops, and no offset is committed of it any more', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const files = filesWith(0, undefined)
  const { told, pass, partition } = await startWorker(t, source, [files])
  await until('all is read', () => partition().position === 100)
  await pass(10)
  source.group.delete(key)
  source.life = 2
  source.setLog(tp, { start: 0, end: 500 })
  await pass(compareMs)
  await until('the partition stops', () => partition().state === 'stopped')
  await pass(10)
  assert.match(
    told().at(-1)!,
    /^events\/0: Kafka's record at offset \d+ is not the one that is archived/,
  )
  assert.equal(source.group.has(key), false)
})
