import type { ReadableHome } from '../../home/home.ts'
import { LF } from '../../record/ascii.ts'
import { LineHead } from '../../record/line/head.ts'
import type { RecordBatch, TopicPartition } from '../../record/record.ts'
import { hourOf } from '../../record/time.ts'
import { isTaken } from '../compact/prune.ts'
import { CommitLog, isSlice, typeOf } from '../log/commit-log.ts'
import type { ManifestFile } from '../log/manifest.ts'
import { readPruned } from '../log/pruned.ts'
import { isGone, readBlocks } from './members.ts'
import type { FileOpener } from './read-ahead.ts'
import { isWhollySelected, mayHold, type Selection } from './selection.ts'

/** The selected files of one manifest. */
export interface SelectedFiles {
  readonly log: CommitLog
  /** In the order of their first offsets. */
  readonly files: readonly ManifestFile[]
}

/**
 * The files of a partition that may hold selected records, manifest by manifest.
 * @throws ArchiverError `MANIFEST_INVALID`
 */
export async function* selectedFiles(
  home: ReadableHome,
  tp: TopicPartition,
  selection: Selection,
): AsyncGenerator<SelectedFiles> {
  const pruned = await readPruned(home, tp)
  const log = await CommitLog.open(home, tp)
  for await (const manifest of log.manifests()) {
    if ('error' in manifest) throw manifest.error
    const files: ManifestFile[] = []
    for (const file of manifest.files) {
      if (mayHold(selection, tp, file) && !(await isTaken(home, pruned.files, file)))
        files.push(file)
    }
    if (files.length > 0) yield { log, files: files.sort((a, b) => a.first - b.first) }
  }
}

/** The paths of selected files, in the order in which they are read. */
export function pathsOf({ files }: SelectedFiles): string[] {
  return files.map(({ path }) => path)
}

/**
 * The selected records of a file as batches, as a sink gets them from Kafka. Offsets between its
 * records are in other files. If the file was merged into another one meanwhile, its records come
 * from that one.
 */
export async function* batchesOf(
  home: FileOpener,
  log: CommitLog,
  file: ManifestFile,
  selection: Selection,
): AsyncGenerator<RecordBatch> {
  const { from, to } = selection
  const isInTime = isWhollySelected(selection, file)
  for await (const { block, isSlice } of blocksOf(home, log, file)) {
    const batch = batchOf(
      log.tp,
      file,
      isInTime && !isSlice ? block : linesBetween(block, file, from, to),
    )
    if (batch.count > 0) yield batch
  }
}

async function* blocksOf(
  home: FileOpener,
  log: CommitLog,
  file: ManifestFile,
): AsyncGenerator<{ readonly block: Buffer; readonly isSlice: boolean }> {
  let path = file.path
  for (;;) {
    try {
      const holdsMore = path !== file.path || isSlice(file)
      for await (const block of readBlocks(home, path)) yield { block, isSlice: holdsMore }
      return
    } catch (error) {
      const replacement = isGone(error) ? await log.replacementOf({ ...file, path }) : undefined
      if (replacement === undefined) throw error
      path = replacement.path
    }
  }
}

function batchOf(
  { topic, partition }: TopicPartition,
  file: ManifestFile,
  lines: Buffer,
): RecordBatch {
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

/** The lines of a block with offsets and timestamps in the ranges of an entry and a selection. */
function linesBetween(
  block: Buffer,
  { first, last }: ManifestFile,
  from: number | undefined,
  to: number | undefined,
): Buffer {
  const kept: Buffer[] = []
  const head = new LineHead()
  for (let start = 0, end = 0; start < block.length; start = end) {
    end = block.indexOf(LF, start) + 1
    head.read(block, start)
    const isMeant = first <= head.offset && head.offset <= last
    const isInTime =
      (from === undefined || head.timestamp >= from) && (to === undefined || head.timestamp < to)
    if (isMeant && isInTime) kept.push(block.subarray(start, end))
  }
  return Buffer.concat(kept)
}

/** A batch, and the record to be read next. */
interface Cursor {
  readonly batches: AsyncGenerator<RecordBatch>
  batch: RecordBatch
  at: number
}

/**
 * Files with at most this many bytes of lines are read whole. So thousands of files of one flush
 * are never open at once.
 */
const smallFileBytes = 2 ** 20

/**
 * The selected lines of the files of one manifest in the order of their offsets, as in Kafka,
 * without their LF. A file is opened when the offsets reach it. Memory holds a member of each file
 * that has lines in the current stretch of offsets.
 */
export async function* linesByOffset(
  home: FileOpener,
  { log, files }: SelectedFiles,
  selection: Selection,
): AsyncGenerator<Buffer> {
  const heap: Cursor[] = []
  const closed = [...files]
  const openDue = async () => {
    while (closed.length > 0 && (heap.length === 0 || closed[0]!.first <= offsetOf(heap[0]!))) {
      const file = closed.shift()!
      const batches = batchesOf(home, log, file, selection)
      const cursor = await cursorOf(
        file.line_bytes <= smallFileBytes ? await readWhole(batches) : batches,
      )
      if (cursor !== undefined) pushCursor(heap, cursor)
    }
  }
  try {
    await openDue()
    for (let cursor = heap[0]; cursor !== undefined; cursor = heap[0]) {
      const { batch, at } = cursor
      yield batch.lines.subarray(at === 0 ? 0 : batch.ends[at - 1]!, batch.ends[at]! - 1)
      cursor.at++
      if (cursor.at === batch.count && !(await loadNext(cursor))) {
        const last = heap.pop()!
        if (heap.length > 0) heap[0] = last
      }
      sinkDown(heap)
      if (closed.length > 0) await openDue()
    }
  } finally {
    for (const { batches } of heap) await batches.return(undefined)
  }
}

async function readWhole(
  batches: AsyncGenerator<RecordBatch>,
): Promise<AsyncGenerator<RecordBatch>> {
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
