import { join } from 'node:path'
import { hourOf, LineHead } from '../line.ts'
import type { RecordBatch, TopicPartition } from '../record.ts'
import { CommitLog, typeOf } from './catalog.ts'
import type { Manifest, ManifestFile } from './manifest.ts'
import { isPruned, readPruned } from './pruned.ts'
import { readBlocks } from './reader.ts'
import { mayHold, type Selection } from './selection.ts'

const LF = 0x0a

/** The files of a partition that may hold what is selected, flush by flush. @throws ArchiverError `MANIFEST_INVALID` */
export async function* selectedFiles(
  root: string,
  tp: TopicPartition,
  selection: Selection,
): AsyncGenerator<{ readonly manifest: Manifest; readonly files: readonly ManifestFile[] }> {
  const pruned = await readPruned(root, tp)
  for await (const manifest of (await CommitLog.open(root, tp)).manifests()) {
    if ('error' in manifest) throw manifest.error
    const files = manifest.files.filter(
      (file) => mayHold(selection, tp, file) && !isPruned(pruned.files, manifest, file),
    )
    if (files.length > 0) yield { manifest, files }
  }
}

/** The selected records of a file as batches, as a sink gets them from Kafka. Offsets between its records are in other files. */
export async function* batchesOf(
  root: string,
  tp: TopicPartition,
  file: ManifestFile,
  { from, to }: Selection,
): AsyncGenerator<RecordBatch> {
  const isWhole = (from === undefined || file.min_timestamp >= from) && (to === undefined || file.max_timestamp < to)
  for await (const block of readBlocks(join(root, file.path))) {
    const batch = batchOf(tp, file, isWhole ? block : linesBetween(block, from, to))
    if (batch.count > 0) yield batch
  }
}

function batchOf({ topic, partition }: TopicPartition, file: ManifestFile, lines: Buffer): RecordBatch {
  const offsets: number[] = []
  const timestamps: number[] = []
  const ends: number[] = []
  const head = new LineHead()
  for (let start = 0; start < lines.length; start = ends.at(-1)!) {
    head.read(lines, start)
    offsets.push(head.offset)
    timestamps.push(head.timestamp)
    ends.push(lines.indexOf(LF, start) + 1)
  }
  const count = offsets.length
  return {
    topic,
    partition,
    from: offsets[0] ?? 0,
    next: (offsets.at(-1) ?? -1) + 1,
    count,
    lines,
    ends: Uint32Array.from(ends),
    offsets: Float64Array.from(offsets),
    timestamps: Float64Array.from(timestamps),
    hours: new Int32Array(count).fill(hourOf(file.min_timestamp)),
    typeIndexes: new Uint32Array(count),
    types: [typeOf(file)],
    gaps: [],
  }
}

function linesBetween(block: Buffer, from: number | undefined, to: number | undefined): Buffer {
  const kept: Buffer[] = []
  const head = new LineHead()
  for (let start = 0, end = 0; start < block.length; start = end) {
    end = block.indexOf(LF, start) + 1
    head.read(block, start)
    const isKept = (from === undefined || head.timestamp >= from) && (to === undefined || head.timestamp < to)
    if (isKept) kept.push(block.subarray(start, end))
  }
  return Buffer.concat(kept)
}

/** A batch and how far it has been gone through. */
interface Cursor {
  readonly batches: AsyncGenerator<RecordBatch>
  batch: RecordBatch
  at: number
}

/** Files of one flush whose lines all fit here are read whole, so that a flush of thousands of files does not keep each of them open. */
const smallFileBytes = 2 ** 20

/**
 * The selected lines of the files of one flush in the order of their offsets, as Kafka had them, without their LF. Memory holds a member of
 * each file: less than the flush was.
 */
export async function* linesByOffset(
  root: string,
  tp: TopicPartition,
  files: readonly ManifestFile[],
  selection: Selection,
): AsyncGenerator<Buffer> {
  const heap: Cursor[] = []
  for (const file of files) {
    const batches = batchesOf(root, tp, file, selection)
    const cursor = await cursorOf(file.line_bytes <= smallFileBytes ? await readWhole(batches) : batches)
    if (cursor !== undefined) pushCursor(heap, cursor)
  }
  try {
    for (let cursor = heap[0]; cursor !== undefined; cursor = heap[0]) {
      const { batch, at } = cursor
      yield batch.lines.subarray(at === 0 ? 0 : batch.ends[at - 1]!, batch.ends[at]! - 1)
      cursor.at++
      if (cursor.at === batch.count && !(await loadNext(cursor))) {
        const last = heap.pop()!
        if (heap.length > 0) heap[0] = last
      }
      sinkDown(heap)
    }
  } finally {
    for (const { batches } of heap) await batches.return(undefined)
  }
}

async function readWhole(batches: AsyncGenerator<RecordBatch>): Promise<AsyncGenerator<RecordBatch>> {
  const read: RecordBatch[] = []
  for await (const batch of batches) read.push(batch)
  return (async function* () {
    yield* read
  })()
}

async function cursorOf(batches: AsyncGenerator<RecordBatch>): Promise<Cursor | undefined> {
  const first = await batches.next()
  return first.done === true ? undefined : { batches, batch: first.value, at: 0 }
}

async function loadNext(cursor: Cursor): Promise<boolean> {
  const next = await cursor.batches.next()
  if (next.done === true) return false
  cursor.batch = next.value
  cursor.at = 0
  return true
}

function offsetOf({ batch, at }: Cursor): number {
  return batch.offsets[at]!
}

function pushCursor(heap: Cursor[], cursor: Cursor): void {
  let i = heap.push(cursor) - 1
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (offsetOf(heap[parent]!) <= offsetOf(heap[i]!)) return
    swap(heap, parent, i)
    i = parent
  }
}

function sinkDown(heap: Cursor[]): void {
  for (let i = 0; ; ) {
    const left = 2 * i + 1
    const right = left + 1
    let least = i
    if (left < heap.length && offsetOf(heap[left]!) < offsetOf(heap[least]!)) least = left
    if (right < heap.length && offsetOf(heap[right]!) < offsetOf(heap[least]!)) least = right
    if (least === i) return
    swap(heap, i, least)
    i = least
  }
}

function swap(heap: Cursor[], a: number, b: number): void {
  const kept = heap[a]!
  heap[a] = heap[b]!
  heap[b] = kept
}
