import './stack.ts'
import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { compressionTypes } from '../../src/kafka/batch/codecs.ts'
import { manifestsOf } from '../helpers/archive.ts'
import { messages } from '../helpers/exactly-once.ts'
import { committedAndEnds, createScenario } from '../helpers/scenario.ts'
import { createTopic, produce } from '../helpers/servers.ts'
import { readFiles } from '../helpers/stores.ts'
import { stack, useStack } from './stack.ts'

useStack()

/** Damages the second record batch of partition 0 where the broker keeps it. */
async function damageSecondBatch(topic: string): Promise<void> {
  const path = join(stack.settings.dir, 'kafka', 'data', `${topic}-0`, `${'0'.repeat(20)}.log`)
  const file = await open(path, 'r+')
  try {
    const log = await file.readFile()
    const second = 12 + log.readInt32BE(8)
    // Behind the header of 61 bytes: what is compressed.
    await file.write(Buffer.alloc(16, 0x55), 0, 16, second + 61 + 2)
  } finally {
    await file.close()
  }
}

test('a record batch that was damaged on the disk of the broker is logged and recorded as a gap, and all others are archived', async (t) => {
  const topic = await createTopic(t, { stem: 'damaged', partitions: 2 })
  const scenario = await createScenario(t)
  const batches = [messages(50), messages(50, 50), messages(50, 100)]
  for (const batch of batches) {
    const values = batch.map((message) => ({ ...message, partition: 0 }))
    await produce(
      t,
      topic,
      [...values, ...values.map((message) => ({ ...message, partition: 1 }))],
      compressionTypes.gzip,
    )
  }
  await damageSecondBatch(topic)
  const stopped = await scenario.untilEnd('--topics', topic)
  assert.equal(stopped.code, 1, stopped.output)
  const [line] = stopped.log.filter(({ event }) => event === 'records_lost')
  assert.deepEqual(
    [line?.topic, line?.partition, line?.reason, line?.from, line?.stopped],
    [topic, 0, 'unreadable', 50, true],
  )
  assert.match(String(line?.detail), /^the record batch at offset 50 cannot be read: /)
  const offsets = await committedAndEnds(t, scenario.group, [topic])
  assert.deepEqual(
    offsets.get(`${topic}/1`),
    { committed: 150, end: 150 },
    'the other partition went on',
  )
  assert.equal(offsets.get(`${topic}/0`)?.committed, 50)
  const goneOn = await scenario.untilEnd('--topics', topic, '--on-gap', 'continue')
  assert.equal(goneOn.code, 0, goneOn.output)
  const held = (await readFiles(scenario.root)).filter(({ partition }) => partition === 0)
  assert.deepEqual(
    held.map(({ offset }) => offset).sort((a, b) => a - b),
    Array.from({ length: 150 }, (_, i) => i).filter((offset) => offset < 50 || offset >= 100),
  )
  const manifests = await manifestsOf(scenario.root, { topic, partition: 0 })
  assert.deepEqual(
    manifests.flatMap(({ gaps }) => gaps),
    [{ from: 50, next: 100, reason: 'unreadable' }],
  )
})
