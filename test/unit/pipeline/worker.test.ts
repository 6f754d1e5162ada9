import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionKey } from '../../../src/record/record.ts'
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
    logged().filter(({ msg }) => msg.startsWith('offsets cannot be committed: Not authorized'))
      .length
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
