import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { WorkerOptions } from '../../../src/pipeline/worker.ts'
import { partitionKey } from '../../../src/record/record.ts'
import { Backoff } from '../../../src/runtime/retry.ts'
import { FakeSink, filesWith } from '../../helpers/fake-sink.ts'
import { FakeSource } from '../../helpers/fake-source.ts'
import { compareMs, missingOffset, settled, startWorker } from '../../helpers/running-worker.ts'
import { until } from '../../helpers/servers.ts'

const tp = { topic: 'events', partition: 0 }
const key = partitionKey(tp)

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
  slow.full = 50
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
    const { source, slow, pass, partition, worker, logged } = await overtaken(t, sinks)
    // kafkajs did this when it reset an offset.
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
    const lost = logged().filter(({ event }) => event === 'records_lost')
    assert.deepEqual(
      lost.map(({ level, from, next, reason, stopped }) => ({
        level,
        from,
        next,
        reason,
        stopped,
      })),
      [{ level: 'error', from: 100, next: 200, reason: 'retention', stopped: true }],
    )
    assert.match(String(lost[0]!.detail), /offsets 100 to 199 are gone from Kafka/)
  })
}

test('what was stored is committed before the loss is looked at, however long the group refuses commits', async (t) => {
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

test('while a position cannot be looked up, nothing is dropped', async (t) => {
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

test('a comparison that fails is logged, and that of other topics continues', async (t) => {
  const other = { topic: 'other', partition: 0 }
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 10 })
  source.setLog(other, { start: 0, end: 10 })
  const { worker, logged, pass } = await startWorker(t, source, [
    new FakeSink('elasticsearch', false),
  ])
  await until('both are read', () => worker.status().every(({ position }) => position === 10))
  source.unknown.add(tp.topic)
  source.group.set(partitionKey(other), 3)
  await pass(compareMs)
  await pass(10)
  assert.ok(
    logged().some(({ event, err }) => event === 'comparison_failed' && err === 'no topic events'),
  )
  assert.equal(
    source.group.get(partitionKey(other)),
    10,
    'an older offset that another committed over ours',
  )
})

test('a group that loses its offset while a worker runs gets it again, and that is logged', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const { worker, logged, pass, partition } = await startWorker(t, source, [
    new FakeSink('elasticsearch', false),
  ])
  await until('all is read', () => partition().position === 100)
  await pass(10)
  source.group.delete(key)
  await pass(compareMs)
  await pass(10)
  assert.deepEqual([source.group.get(key), worker.counts.missingGroupOffsets], [100, 1])
  assert.deepEqual(logged().flatMap(missingOffset), [
    { level: 'error', ...tp, committed: 100, next: 100, comparison: 'unknown' },
  ])
})

test('a batch that cannot be encoded holds back its partition alone, and is read again until it can', async (t) => {
  const source = new FakeSource()
  source.poison = 150
  source.setLog(tp, { start: 0, end: 250 })
  const other = { topic: 'events', partition: 1 }
  source.setLog(other, { start: 0, end: 120 })
  const sink = new FakeSink('elasticsearch', false)
  const { partition, logged, pass } = await startWorker(t, source, [sink])
  await until(
    'the rest is read',
    () => sink.durable.length === 100 + 120 && partition().waiting !== undefined,
  )
  await pass(10)
  assert.deepEqual([source.group.get(key), source.group.get(partitionKey(other))], [100, 120])
  assert.equal(partition().state, 'open')
  assert.match(
    partition().waiting!,
    /^the batch at offset 100 cannot be read: .*offset 99 came where/,
  )
  const unreadable = logged().filter(({ event }) => event === 'batch_unreadable')
  assert.deepEqual(
    unreadable.map(({ topic, partition, offset }) => ({ topic, partition, offset })),
    [{ ...tp, offset: 100 }],
    'it is said once',
  )
  assert.equal(typeof unreadable[0]!.retry_ms, 'number')
  source.poison = undefined
  await until('it goes on', () => sink.durable.length === 250 + 120)
  await pass(10)
  assert.equal(source.group.get(key), 250)
  assert.equal(partition().waiting, undefined)
})

test('a batch that will never be readable stops its partition by name, with what was read before', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const { partition, logged } = await startWorker(t, source, [new FakeSink('elasticsearch', false)])
  await until('all is read', () => partition().position === 100)
  source.unreadable({
    ...tp,
    offset: 100,
    error: new Error('only what lies before it'),
    canPass: false,
  })
  assert.equal(partition().state, 'stopped')
  assert.match(
    partition().waiting!,
    /^the batch at offset 100 cannot be read: only what lies before it/,
  )
  assert.deepEqual(
    logged().map(({ level, event, offset, stopped }) => ({ level, event, offset, stopped })),
    [{ level: 'error', event: 'batch_unreadable', offset: 100, stopped: true }],
  )
})

test('a batch that stays unreadable ends a worker that is to end, with the name of the partition', async (t) => {
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
    source.unreadable({ ...tp, offset: 100, error: new Error('corrupt'), canPass: true })
    return partition().state === 'stopped'
  })
  assert.ok(tries > 10)
  await rejected
})

test('a topic that is recreated under a running worker stops, and no offset of it is committed any more', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const files = filesWith(0, undefined)
  const { logged, pass, partition } = await startWorker(t, source, [files])
  await until('all is read', () => partition().position === 100)
  await pass(10)
  source.group.delete(key)
  source.life = 2
  source.setLog(tp, { start: 0, end: 500 })
  await pass(compareMs)
  await until('the partition stops', () => partition().state === 'stopped')
  await pass(10)
  const last = logged().at(-1)!
  assert.deepEqual([last.event, last.reason, last.stopped], ['records_lost', 'recreated', true])
  assert.match(String(last.detail), /^Kafka's record at offset \d+ is not the archived one/)
  assert.equal(source.group.has(key), false)
})
