import { lineStart, type RecordBatch } from './record.ts'

/** The records of a batch with offsets that are not in `held`; the batch itself if it keeps all. */
export function withoutOffsets(batch: RecordBatch, held: ReadonlySet<number>): RecordBatch {
  if (held.size === 0) return batch
  const kept: number[] = []
  for (let i = 0; i < batch.count; i++) if (!held.has(batch.offsets[i]!)) kept.push(i)
  if (kept.length === batch.count) return batch
  let end = 0
  const ends = kept.map((i) => {
    end += batch.ends[i]! - lineStart(batch, i)
    return end
  })
  return {
    ...batch,
    count: kept.length,
    lines: Buffer.concat(
      kept.map((i) => batch.lines.subarray(lineStart(batch, i), batch.ends[i]!)),
    ),
    ends: Uint32Array.from(ends),
    offsets: Float64Array.from(kept, (i) => batch.offsets[i]!),
    timestamps: Float64Array.from(kept, (i) => batch.timestamps[i]!),
    hours: Int32Array.from(kept, (i) => batch.hours[i]!),
    typeIndexes: Uint32Array.from(kept, (i) => batch.typeIndexes[i]!),
  }
}
