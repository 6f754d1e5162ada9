import type { Part as Slice } from '../../delivery/part-queue.ts'
import type { PendingBatch } from '../../delivery/pending.ts'
import { lineStart, type RecordBatch, type TopicPartition } from '../../record/record.ts'
import type { IndexNames } from '../index-name.ts'
import { fitsReject, type Rejection, rejectedDocument } from '../rejected.ts'

/** What is kept of a record that Elasticsearch refused, as a document. */
export interface Reject {
  readonly index: string
  readonly source: Buffer
  /** Why the record is not there as it is. */
  readonly rejection: Rejection
  /** What it has in common with others that were refused for the same thing: for log lines. */
  readonly kind: string
  /** It has nothing of the value: what is left can hardly be refused. */
  readonly valueOmitted: boolean
  /** Follows the record's own `_id`, if another record has that in this index; else empty. */
  readonly idSuffix: string
}

/**
 * What is sent for a record.
 *
 * - record: its own line.
 * - reject: what is kept of it, because it was refused.
 * - trial: a reject in the place of a document whose request was refused as a whole. The document
 *   is to blame only if the request of the trial passes.
 */
export type Content =
  | { readonly is: 'record' }
  | { readonly is: 'reject'; readonly reject: Reject }
  | { readonly is: 'trial'; readonly reject: Reject; readonly insteadOf: Part }

/** Records that go the same way. A part of another content than `record` has one record. */
export interface Part extends Slice {
  readonly content: Content
  /** A request with it ended without an answer of Elasticsearch. */
  readonly unanswered: boolean
}

const asRecord: Content = { is: 'record' }

/** All records of a batch, as they are. */
export function partOf(pending: PendingBatch): Part {
  return { pending, start: 0, end: pending.batch.count, content: asRecord, unanswered: false }
}

/** What is kept of record `i` of a batch. `kind`: as in `Reject`, if it is not the type alone. */
export function rejectOf(
  names: IndexNames,
  batch: RecordBatch,
  i: number,
  rejection: Rejection,
  options: { readonly valueOmitted: boolean; readonly kind?: string },
): Reject {
  const valueOmitted = options.valueOmitted || !fitsReject(batch, i)
  return {
    index: names.rejected(batch.hours[i]!),
    source: rejectedDocument(batch, i, rejection, !valueOmitted),
    rejection,
    kind: options.kind ?? rejection.type,
    valueOmitted,
    idSuffix: '',
  }
}

/** One record of a batch, sent as this. */
export function partAs(pending: PendingBatch, i: number, content: Content): Part {
  return { pending, start: i, end: i + 1, content, unanswered: false }
}

/** A reject in the place of a document whose request was refused as a whole. */
export function trialOf(
  names: IndexNames,
  part: Part,
  rejection: Rejection,
  options: { readonly valueOmitted: boolean },
): Part {
  const { pending, start } = part
  const reject = rejectOf(names, pending.batch, start, rejection, options)
  return partAs(pending, start, { is: 'trial', reject, insteadOf: original(part) })
}

/** The reject that is sent in place of the record, if one is. */
export function rejectIn({ content }: Part): Reject | undefined {
  return content.is === 'record' ? undefined : content.reject
}

/** The document itself: a trial is sent in the place of another one. */
export function original(part: Part): Part {
  return part.content.is === 'trial' ? part.content.insteadOf : part
}

/** The index of record `i` of a part. */
export function indexOf(names: IndexNames, part: Part, i: number): string {
  const { batch } = part.pending
  return rejectIn(part)?.index ?? names.of(batch.types[batch.typeIndexes[i]!]!, batch.hours[i]!)
}

/** The `_id` of a record: the same wherever and whenever it is sent. */
export function documentId({ topic, partition }: TopicPartition, offset: number): string {
  return `${topic}+${partition}+${offset}`
}

/** Bytes of the documents of a part. */
export function bytesOfPart(part: Part): number {
  const reject = rejectIn(part)
  if (reject !== undefined) return reject.source.length
  const { batch } = part.pending
  const { start, end } = part
  return end === start ? 0 : batch.ends[end - 1]! - lineStart(batch, start)
}
