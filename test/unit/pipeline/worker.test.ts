import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionKey, type RecordBatch } from '../../../src/record/record.ts'
import { FakeSink } from '../../helpers/fake-sink.ts'
import { FakeSource } from '../../helpers/fake-source.ts'
import { startWorker } from '../../helpers/running-worker.ts'
import { until } from '../../helpers/servers.ts'

const tp = { topic: 'events', partition: 0 }
const key = partitionKey(tp)

test('commits that fail are logged and counted, and after a minute they are what the worker waits for', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const { worker, logged, pass, partition } = await startWorker(t, source, [
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
    logged().filter(
      ({ event, err }) => event === 'commit_failed' && /^Not authorized/.test(String(err)),
    ).length
  assert.deepEqual([lines(), worker.counts.commitFailures], [1, 2])
  assert.deepEqual([partition().waiting, worker.problems], [undefined, []])
  later = 61_000
  await pass(10)
  assert.equal(lines(), 2)
  assert.match(partition().waiting!, /Not authorized/)
  assert.match(worker.problems.join(), /Not authorized/)
  source.refusal = {}
  await pass(10)
  assert.deepEqual(
    [source.group.get(key), partition().waiting, worker.problems],
    [100, undefined, []],
  )
})

test('commits that were refused are no problem once the partition is given up', async (t) => {
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
  assert.equal(worker.problems.length, 1)
  source.assign([])
  await pass(10)
  assert.deepEqual(worker.problems, [])
})

test('an unresponsive Kafka is a problem of the worker', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 10 })
  const { worker, partition } = await startWorker(t, source, [new FakeSink('elasticsearch', false)])
  await until('all is read', () => partition().position === 10)
  assert.deepEqual(worker.problems, [])
  source.silentMs = 45_000
  assert.deepEqual(worker.problems, ['Kafka has not answered for 45 s'])
})

test('a worker that ends opens no partition that the group still gives it, so it does end', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 10 })
  const sink = new FakeSink('files', true)
  // The last flush waits for it until the shutdown timeout.
  sink.away = true
  const { worker, ended, stop, partition } = await startWorker(t, source, [sink])
  await until('all is read', () => partition().position === 10)
  stop()
  await new Promise((resolve) => setImmediate(resolve))
  sink.openError = new Error('gave up')
  const later = { topic: 'events', partition: 1 }
  source.setLog(later, { start: 0, end: 10 })
  source.rebalance({ gained: [later] })
  assert.deepEqual(
    worker.status().map((status) => status.partition),
    [0],
  )
  await ended
})

/** A sink that shows what it was given. */
class ShowingSink extends FakeSink {
  readonly given: RecordBatch[] = []

  override write(batch: RecordBatch): Promise<void> {
    this.given.push(batch)
    return super.write(batch)
  }
}

test('lines are there until all sinks that keep them hold them durably, and no longer', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const [copying, ...keeping] = ['files', 'elasticsearch', 'mysql'].map(
    (name) => new ShowingSink(name, false),
  ) as [ShowingSink, ShowingSink, ShowingSink]
  copying.keepsLines = false
  for (const sink of [copying, ...keeping]) sink.away = true
  await startWorker(t, source, [copying, ...keeping])
  await until('it is given', () => copying.given.length === 1)
  const { lines } = copying.given[0]!
  const bytes = lines.length
  assert.ok(bytes > 0)
  for (const sink of keeping) {
    assert.equal(lines.length, bytes)
    sink.back()
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal(lines.length, 0)
})

test('lines that no sink keeps are gone once all have copied them', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 100 })
  const files = new ShowingSink('files', true)
  Object.assign(files, { keepsLines: false, away: true })
  const { worker, partition } = await startWorker(t, source, [files])
  await until('all is read', () => partition().position === 100)
  assert.deepEqual(
    files.given.map(({ lines }) => lines.length),
    files.given.map(() => 0),
  )
  files.back()
  await until('it is acknowledged', () => worker.counts.acknowledged.get('files') === 100)
  assert.equal(worker.counts.acknowledgedBytes.get('files'), worker.counts.bytes)
})
