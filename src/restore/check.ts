import { batchesOf, selectedFiles } from '../files/read/batches.ts'
import type { RecordLimits } from '../kafka/restore/record-limits.ts'
import { decodeLine } from '../record/line/decoder.ts'
import { lineStart, type RecordBatch, type TopicPartition } from '../record/record.ts'
import type { Restore } from './job.ts'

/**
 * What is to be restored of a partition. A file that a time limit cuts in two counts as a whole.
 */
export interface Extent {
  readonly records: number
  readonly bytes: number
}

/**
 * Checks the selected records of a partition against what a topic accepts. Manifests have the times
 * of a file and the size of its lines, so a file is only read if one of these allows for a record
 * that the topic refuses.
 *
 * @throws ArchiverError `MANIFEST_INVALID`, `DAMAGED`; the signal's reason
 */
export async function checkRecords(
  { home, selection, signal, status }: Restore,
  tp: TopicPartition,
  limits: RecordLimits,
): Promise<Extent> {
  let records = 0
  let bytes = 0
  let read = 0
  for await (const { log, files } of selectedFiles(home, tp, selection)) {
    for (const file of files) {
      signal.throwIfAborted()
      records += file.records
      bytes += file.line_bytes
      const what: Checks = {
        lines: !limits.takesLines(file.line_bytes),
        times: !limits.takesTimes(file.min_timestamp, file.max_timestamp),
        keys: limits.needsKeys,
      }
      if (!what.lines && !what.times && !what.keys) continue
      for await (const batch of batchesOf(home, log, file, selection)) {
        signal.throwIfAborted()
        checkBatch(batch, limits, what)
        read += batch.count
        status(`${tp.topic}/${tp.partition}: ${read} records checked; nothing is sent yet`)
      }
    }
  }
  return { records, bytes }
}

interface Checks {
  readonly lines: boolean
  readonly times: boolean
  readonly keys: boolean
}

function checkBatch(
  batch: RecordBatch,
  limits: RecordLimits,
  { lines, times, keys }: Checks,
): void {
  for (let i = 0; i < batch.count; i++) {
    const facts = {
      partition: batch.partition,
      offset: batch.offsets[i]!,
      timestamp: batch.timestamps[i]!,
    }
    if (times) limits.checkTime(facts)
    const start = lineStart(batch, i)
    const end = batch.ends[i]!
    if (!keys && (!lines || limits.takesLines(end - start))) continue
    limits.checkRecord(facts, decodeLine(batch.lines.subarray(start, end - 1)).record)
  }
}
