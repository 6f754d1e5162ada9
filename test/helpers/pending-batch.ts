import { type PendingBatch, PendingBatches } from '../../src/delivery/pending.ts'
import type { RecordBatch } from '../../src/record/record.ts'

/** A batch that was written to a sink, and a call that gives its partition up. */
export function pendingBatch(batch: RecordBatch): {
  readonly pending: PendingBatch
  readonly close: () => void
} {
  const batches = new PendingBatches(2 ** 30)
  batches.open(batch)
  return { pending: batches.add(batch)!, close: () => void batches.close(batch) }
}
