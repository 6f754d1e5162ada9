import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { CommitLog } from '../../../../src/files/log/commit-log.ts'
import { manifestPieces, printManifest, readManifest } from '../../../../src/files/log/manifest.ts'
import { manifestDirectory, manifestName } from '../../../../src/files/log/path.ts'
import { bucketBytes } from '../../../../src/files/write/line-memory.ts'
import { writeDurably } from '../../../../src/home/posix/durable.ts'
import { LineEncoder } from '../../../../src/record/line/encoder.ts'
import type { RecordBatch } from '../../../../src/record/record.ts'
import { checkPartition } from '../../../../src/verify/partition.ts'
import { august, manifestsOf } from '../../../helpers/archive.ts'
import { createFilesSink } from '../../../helpers/files-sink.ts'
import { homeAt, stagedAt } from '../../../helpers/home.ts'
import { temporaryDirectory } from '../../../helpers/servers.ts'

const tp = { topic: 'events', partition: 0 }
const encoder = new LineEncoder({ from: 'value', path: ['type'] })

/** A batch `[from, next)` with a record at each of some offsets, of a type each. */
function batchOf(
  from: number,
  next: number,
  records: readonly { offset: number; type: string }[],
): RecordBatch {
  return encoder.encode({
    ...tp,
    from,
    next,
    records: records.map(({ offset, type }) => ({
      offset,
      timestamp: august,
      key: null,
      value: Buffer.from(JSON.stringify({ type })),
      headers: [],
    })),
  })
}

/** Every record has a type of its own, as if `--type-path` names an id. */
function typeEach(from: number, next: number): RecordBatch {
  return batchOf(
    from,
    next,
    Array.from({ length: next - from }, (_, i) => ({
      offset: from + i,
      type: `device-${from + i}`,
    })),
  )
}

async function openSink(t: TestContext, options: Parameters<typeof createFilesSink>[1]) {
  const root = join(await temporaryDirectory(t), 'archive')
  const sink = createFilesSink(root, options)
  await sink.start(() => {})
  t.after(() => sink.stop())
  await sink.open(tp, 0)
  return { root, sink }
}

async function assertProven(root: string, records: number): Promise<void> {
  const options = {
    home: homeAt(root),
    tp,
    thoroughness: 'full',
    elasticsearch: undefined,
    kafka: undefined,
  } as const
  const verdict = await checkPartition({ ...options, onProgress: () => {} })
  assert.deepEqual(verdict.problems, [])
  assert.equal(verdict.records, records)
}

test('a range is cut before it has too many buckets, also within one batch', async (t) => {
  const { root, sink } = await openSink(t, { maxBuckets: 10 })
  const written = sink.write(typeEach(0, 35))
  assert.equal(sink.openBuckets, 5)
  await sink.flush([tp])
  await written
  assert.deepEqual(
    (await manifestsOf(root, tp)).map(({ from, next, files }) => [from, next, files.length]),
    [
      [0, 10, 10],
      [10, 20, 10],
      [20, 30, 10],
      [30, 35, 5],
    ],
  )
  await assertProven(root, 35)
})

test('wherever ranges are cut, they tile, and every record and gap is in one of them', async (t) => {
  const piece = fc.record({
    gap: fc.nat({ max: 3 }),
    types: fc.array(fc.nat({ max: 12 }), { maxLength: 12 }),
    behind: fc.nat({ max: 2 }),
  })
  const isWhole = fc.asyncProperty(
    fc.array(piece, { minLength: 1, maxLength: 5 }),
    fc.integer({ min: 1, max: 6 }),
    async (pieces, maxBuckets) => {
      const { root, sink } = await openSink(t, { maxBuckets })
      const writes: Promise<void>[] = []
      let next = 0
      let records = 0
      for (const { gap, types, behind } of pieces) {
        const from = next
        // Every other record is one that Kafka did not deliver.
        const made = types.map((type, i) => ({ offset: from + gap + 2 * i, type: `type-${type}` }))
        next = (made.at(-1)?.offset ?? from + gap) + 1 + behind
        records += made.length
        writes.push(sink.write(batchOf(from, next, made)))
      }
      await sink.flush([tp])
      await Promise.all(writes)
      for (const { files } of await manifestsOf(root, tp)) assert.ok(files.length <= maxBuckets)
      assert.equal(await (await CommitLog.open(homeAt(root), tp)).next(), next)
      await assertProven(root, records)
      assert.equal(sink.heldBytes, 0)
    },
  )
  await fc.assert(isWhole, { numRuns: 25 })
})

test('buckets count against the memory limit by themselves, until they are committed or given up', async (t) => {
  const { sink } = await openSink(t, { memoryLimit: 1000 * bucketBytes })
  const written = sink.write(typeEach(0, 200))
  assert.ok(sink.pressure() >= 0.2, `${sink.pressure()}`)
  assert.ok(sink.heldBytes >= 200 * bucketBytes)
  await sink.flush([tp])
  await written
  assert.equal(sink.heldBytes, 0)
  // No caller waits for what is given up.
  void sink.write(typeEach(200, 300))
  assert.ok(sink.heldBytes > 0)
  await sink.close(tp)
  assert.equal(sink.heldBytes, 0)
})

test('the partition with the largest number of buckets is flushed when they take half of the memory', async (t) => {
  const { root, sink } = await openSink(t, { memoryLimit: 400 * bucketBytes })
  const writes: Promise<void>[] = []
  for (let from = 0; from < 1000; from += 50) {
    writes.push(sink.write(typeEach(from, from + 50)))
    assert.ok(sink.openBuckets <= 250, `${sink.openBuckets}`)
    await setImmediate()
  }
  await sink.flush([tp])
  await Promise.all(writes)
  assert.ok((await manifestsOf(root, tp)).length >= 4)
})

test('a manifest in pieces is the text of its JSON, and is read as it was', async (t) => {
  const root = await temporaryDirectory(t)
  const { sink, root: archive } = await openSink(t, {})
  const written = sink.write(typeEach(0, 450))
  await sink.flush([tp])
  await written
  const [manifest] = await manifestsOf(archive, tp)
  for (const one of [
    manifest!,
    { ...manifest!, files: [] },
    { ...manifest!, gaps: [{ from: 3, next: 4, reason: 'retention' as const }] },
  ]) {
    assert.equal(printManifest(one), `${JSON.stringify(one, undefined, 1)}\n`)
    const pieces = [...manifestPieces(one)]
    for (const piece of pieces) assert.ok(piece.length < 200_000)
    await writeDurably(join(root, 'manifest.json'), pieces)
  }
  // Other hands write JSON otherwise: in one line, with the fields in any order.
  const { files, gaps, ...head } = manifest!
  await writeDurably(
    join(archive, manifestDirectory(tp), manifestName(0)),
    JSON.stringify({ gaps, files, ...head }),
  )
  assert.deepEqual(await readManifest(homeAt(archive), tp, 0), manifest)
})

test('a manifest of 100,000 files of an earlier version is read in turns', async (t) => {
  const { sink, root } = await openSink(t, {})
  const written = sink.write(typeEach(0, 1))
  await sink.flush([tp])
  await written
  const [manifest] = await manifestsOf(root, tp)
  const [file] = manifest!.files
  const digits = (offset: number) => String(offset).padStart(20, '0')
  const count = 100_000
  const files = Array.from({ length: count }, (_, offset) => ({
    ...file!,
    path: file!.path.replace(/\d{20}-\d{20}/, `${digits(offset)}-${digits(offset)}`),
    staged: stagedAt(file!).replace(/\d{20}/, digits(offset)),
    first: offset,
    last: offset,
  }))
  const path = join(root, manifestDirectory(tp), manifestName(0))
  await writeDurably(path, manifestPieces({ ...manifest!, next: count, records: count, files }))
  let turns = 0
  let isRead = false
  const reading = readManifest(homeAt(root), tp, 0).then((read) => {
    isRead = true
    assert.equal(read?.files.length, count)
  })
  for (; !isRead; turns++) await setImmediate()
  await reading
  // A piece of text and a thousand entries a turn: others have some hundred turns, and not one.
  assert.ok(turns > 200, `${turns} turns`)
})
