import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { appendFile, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { firstRecords, lastRecords } from '../../../../src/files/read/edge-records.ts'
import type { SourceRecord } from '../../../../src/record/record.ts'
import {
  august,
  type MadeUpRecord,
  makeArchive,
  manifestsOf,
  records,
} from '../../../helpers/archive.ts'
import { homeAt } from '../../../helpers/home.ts'

const tp = { topic: 'orders', partition: 0 }
const offsets = (found: readonly SourceRecord[]) => found.map(({ offset }) => offset)
/** The offsets of type `a` that end an archive of `records`, 32 at most. */
const ofTypeA = (from: number, next: number) =>
  records(from, next)
    .map(({ offset }) => offset)
    .filter((offset) => offset % 3 !== 0)
    .slice(-32)

test('the last records are the end of the file with the highest offset, the first its beginning', async (t) => {
  const root = await makeArchive(t, [
    { tp, flushes: [records(5, 40), records(40, 200), records(200, 300)] },
  ])
  assert.deepEqual(offsets(await lastRecords(homeAt(root), tp)), ofTypeA(200, 300))
  assert.deepEqual(offsets(await firstRecords(homeAt(root), tp, 0)).slice(0, 3), [5, 7, 8])
  assert.equal(
    (await firstRecords(homeAt(root), tp, 43))[0]?.offset,
    200,
    'a file that begins behind the offset',
  )
  assert.deepEqual(await firstRecords(homeAt(root), tp, 300), [])
  assert.deepEqual(await lastRecords(homeAt(root), { ...tp, partition: 1 }), [])
  const [last] = (await lastRecords(homeAt(root), tp)).slice(-1)
  assert.deepEqual(last, {
    offset: 299,
    timestamp: august + 299_000,
    key: Buffer.from('k299'),
    value: Buffer.from(JSON.stringify({ type: 'a', n: 299 })),
    headers: [],
  })
})

test('the end of a file is found whatever its members hold', async (t) => {
  // Members of a megabyte each, and of records that are larger than that; incompressible, so that
  // they are as large in the file.
  const noise = (bytes: number) =>
    Buffer.from(JSON.stringify({ type: 'a', x: randomBytes(bytes).toString('base64') }))
  for (const sizes of [
    Array.from({ length: 40 }, () => 100_000),
    [10, 3_000_000],
    [3_000_000, 10],
    [12_000_000],
  ]) {
    const flush: MadeUpRecord[] = sizes.map((bytes, offset) => ({ offset, value: noise(bytes) }))
    const root = await makeArchive(t, [{ tp, flushes: [flush] }])
    const found = await lastRecords(homeAt(root), tp)
    assert.equal(found.at(-1)?.offset, sizes.length - 1)
    for (const { offset, value } of found)
      assert.ok(value!.equals(flush[offset]!.value!), String(offset))
  }
})

test('a file that is damaged or gone has no last records, and that is no failure', async (t) => {
  const root = await makeArchive(t, [{ tp, flushes: [records(0, 10)] }])
  const [manifest] = await manifestsOf(root, tp)
  const last = manifest!.files.reduce((a, b) => (a.last > b.last ? a : b))
  await appendFile(join(root, last.path), 'no gzip')
  assert.deepEqual(await lastRecords(homeAt(root), tp), [])
  await truncate(join(root, last.path), 12)
  assert.deepEqual(await lastRecords(homeAt(root), tp), [])
  await rm(join(root, last.path))
  assert.deepEqual(await lastRecords(homeAt(root), tp), [])
})
