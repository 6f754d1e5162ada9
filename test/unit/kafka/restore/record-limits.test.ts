import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkTopicName, RecordLimits } from '../../../../src/kafka/restore/record-limits.ts'
import type { SourceRecord } from '../../../../src/record/record.ts'

const now = Date.UTC(2026, 0, 1)
const day = 86_400_000
const none: ReadonlyMap<string, string> = new Map()

const record = (bytes: number, key: Buffer | null = Buffer.from('k')): SourceRecord => ({
  offset: 7,
  timestamp: now,
  key,
  value: Buffer.alloc(bytes),
  headers: [],
})
const facts = (timestamp = now) => ({ partition: 1, offset: 7, timestamp })

/** The settings that refuse a record of a time, or remove it. */
function timeTroubles(settings: Record<string, string>, timestamp: number) {
  const limits = new RecordLimits('t', new Map(Object.entries(settings)), none, now)
  limits.checkTime(facts(timestamp))
  const names = [...limits.refused, ...limits.expired].map(({ setting }) => setting)
  assert.equal(limits.takesTimes(timestamp, timestamp), names.length === 0)
  return names
}

test('times before and after what a topic takes', () => {
  const before = { 'message.timestamp.before.max.ms': String(day) }
  const after = { 'message.timestamp.after.max.ms': '3600000' }
  assert.deepEqual(timeTroubles(before, now - day), [])
  assert.deepEqual(timeTroubles(before, now - day - 1), ['message.timestamp.before.max.ms'])
  assert.deepEqual(timeTroubles(before, -2), ['message.timestamp.before.max.ms'])
  assert.deepEqual(timeTroubles(before, -1), [], 'no timestamp')
  assert.deepEqual(timeTroubles(after, now + 3_600_000), [])
  assert.deepEqual(timeTroubles(after, now + 3_600_001), ['message.timestamp.after.max.ms'])
  const forEver = String(2n ** 63n - 1n)
  const all = {
    'message.timestamp.before.max.ms': forEver,
    'message.timestamp.after.max.ms': forEver,
  }
  for (const timestamp of [-(2 ** 63), -1, 0, now, 2 ** 53, 2 ** 63])
    assert.deepEqual(timeTroubles(all, timestamp), [])
  const old = { ...all, 'message.timestamp.difference.max.ms': String(day) }
  assert.deepEqual(timeTroubles(old, now - 2 * day), ['message.timestamp.difference.max.ms'])
  assert.deepEqual(timeTroubles(old, now + 2 * day), ['message.timestamp.difference.max.ms'])
})

test('retention counts only if the policy deletes', () => {
  const week = { 'retention.ms': String(7 * day) }
  assert.deepEqual(timeTroubles({ ...week, 'cleanup.policy': 'delete' }, now - 8 * day), [
    'retention.ms',
  ])
  assert.deepEqual(timeTroubles({ ...week, 'cleanup.policy': 'compact,delete' }, now - 8 * day), [
    'retention.ms',
  ])
  assert.deepEqual(timeTroubles({ ...week, 'cleanup.policy': 'compact' }, now - 8 * day), [])
  assert.deepEqual(timeTroubles({ 'retention.ms': '-1', 'cleanup.policy': 'delete' }, 0), [])
  assert.deepEqual(timeTroubles({ 'retention.ms': '0', 'cleanup.policy': 'delete' }, now - 1), [
    'retention.ms',
  ])
})

test('sizes: the limits of topic, segment and request, each by its name, to the byte', () => {
  const overhead = 61 + 2 + 1 + 1 + 1 + 1 + 1 + 2 + 1
  const settings = new Map([
    ['max.message.bytes', '1000'],
    ['segment.bytes', '2000'],
  ])
  const limits = new RecordLimits(
    't',
    settings,
    new Map([['socket.request.max.bytes', '3202']]),
    now,
  )
  assert.equal(limits.batchBytes, 1000)
  assert.ok(limits.takesLines(1000) && !limits.takesLines(1001))
  limits.checkRecord(facts(), record(1000 - overhead))
  assert.deepEqual(limits.refused, [])
  limits.checkRecord(facts(), record(1001 - overhead))
  assert.deepEqual(
    limits.refused.map(({ setting, figure }) => [setting, figure]),
    [['max.message.bytes', 1001]],
  )
  limits.checkRecord({ ...facts(), offset: 8 }, record(4000))
  assert.deepEqual(
    limits.refused.map(({ setting, offset, records }) => [setting, offset, records]),
    [
      ['max.message.bytes', 7, 2],
      ['segment.bytes', 8, 1],
      ['socket.request.max.bytes of the brokers', 8, 1],
    ],
  )
  assert.ok(limits.largest > 4000)
  assert.equal(
    limits.describe(limits.refused[0]!),
    'topic t: max.message.bytes=1000 refuses the record at offset 7 of partition 1 (and 1 more), of 1001 bytes',
  )
})

test('a topic that compacts takes no record without a key', () => {
  const limits = new RecordLimits('t', new Map([['cleanup.policy', 'delete,compact']]), none, now)
  assert.ok(limits.needsKeys)
  limits.checkRecord(facts(), record(1, Buffer.alloc(0)))
  assert.deepEqual(limits.refused, [])
  limits.checkRecord(facts(), record(1, null))
  assert.match(
    limits.describe(limits.refused[0]!),
    /cleanup.policy=compact takes no record without a key.*offset 7/,
  )
})

test('names that no topic may have', () => {
  for (const name of ['', '.', '..', 'a b', 'a/b', '__consumer_offsets', 'ä', 'x'.repeat(250)]) {
    assert.throws(() => checkTopicName(name), /--to-topic/, name)
  }
  for (const name of ['a', '_a', 'A.b-c_1', 'x'.repeat(249)]) checkTopicName(name)
})
