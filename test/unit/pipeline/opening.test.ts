import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionKey } from '../../../src/record/record.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { FakeSink, filesWith } from '../../helpers/fake-sink.ts'
import { FakeSource } from '../../helpers/fake-source.ts'
import { compareMs, missingOffset, startWorker } from '../../helpers/running-worker.ts'
import { until } from '../../helpers/servers.ts'

const tp = { topic: 'events', partition: 0 }
const key = partitionKey(tp)

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

test('a worker with an end stops a partition whose log is damaged, archives the others, and ends', async (t) => {
  const source = new FakeSource()
  const whole = { topic: 'events', partition: 1 }
  source.setLog(tp, { start: 0, end: 100 })
  source.setLog(whole, { start: 0, end: 50 })
  const sink = new FakeSink('files', true)
  const open = sink.open.bind(sink)
  sink.open = async (of, fallback) => {
    if (of.partition === tp.partition)
      throw new ArchiverError('MANIFEST_INVALID', '100.json: no JSON')
    return await open(of, fallback)
  }
  const { worker, ended, logged } = await startWorker(t, source, [sink], { untilEnd: true })
  await assert.rejects(ended, { code: 'GAP', message: 'events/0: 100.json: no JSON' })
  assert.deepEqual(
    worker.status().map(({ partition, state }) => [partition, state]),
    [
      [0, 'stopped'],
      [1, 'open'],
    ],
  )
  assert.equal(source.group.get(partitionKey(whole)), 50)
  const failures = logged().filter(({ event }) => event === 'partition_not_opened')
  assert.deepEqual(
    failures.map(({ level, stopped }) => [level, stopped]),
    [
      ['warn', undefined],
      ['error', true],
    ],
  )
})

test('a group without the offset that the archive says it had committed is logged and counted', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 300 })
  const files = new FakeSink('files', true)
  Object.assign(files, { next: 100, committedBefore: 90 })
  const { worker, logged, partition } = await startWorker(t, source, [files])
  await until('all is read', () => partition().position === 300)
  assert.equal(worker.counts.missingGroupOffsets, 1)
  assert.deepEqual(logged().flatMap(missingOffset), [
    { level: 'error', ...tp, committed: 90, next: 100, comparison: 'unknown' },
  ])
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
  const { worker, logged, partition } = await startWorker(t, source, [files])
  await until('the partition is read', () => partition().position === 160)
  assert.deepEqual(
    [opened, worker.counts.lostOffsets, partition().state, logged()],
    [2, 0, 'open', []],
  )
})

for (const committedBefore of [undefined, 90]) {
  test(`a recreated topic is refused when it is opened, ${committedBefore === undefined ? 'after a short run' : 'as after a long one'}`, async (t) => {
    const source = new FakeSource()
    source.setLog(tp, { start: 0, end: 300 })
    source.life = 2
    const { worker, logged, partition } = await startWorker(
      t,
      source,
      [filesWith(100, committedBefore)],
      {
        onGap: 'continue',
      },
    )
    await until('the partition stops', () => partition().state === 'stopped')
    const [line, ...others] = logged()
    assert.deepEqual(others, [])
    assert.deepEqual(
      [line!.event, line!.topic, line!.partition, line!.reason, line!.stopped],
      ['records_lost', tp.topic, tp.partition, 'recreated', true],
    )
    assert.match(
      String(line!.detail),
      /^Kafka's record at offset 99 is not the archived one: the topic was recreated/,
    )
    assert.match(
      partition().waiting!,
      /^Kafka's record .*recreated.*; archive the topic under another --archive-dir/,
    )
    assert.deepEqual([worker.counts.lostOffsets, source.group.has(key)], [100, false])
  })
}

test('a group without offsets of the same topic is logged, and is no error', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 300 })
  const { worker, logged, partition } = await startWorker(t, source, [filesWith(100, 90)])
  await until('all is read', () => partition().position === 300)
  assert.equal(worker.counts.missingGroupOffsets, 0)
  assert.equal(logged().length, 1)
  assert.deepEqual(logged().flatMap(missingOffset), [
    { level: 'warn', ...tp, committed: 90, next: 100, comparison: 'same' },
  ])
})

test('a group that has its offset is not asked for records', async (t) => {
  const source = new FakeSource()
  source.setLog(tp, { start: 0, end: 300 })
  source.group.set(key, 100)
  source.life = 2
  const { partition } = await startWorker(t, source, [filesWith(100, 90)])
  await until('all is read', () => partition().position === 300)
})
