import { valueOfLine } from '../../record/line/decoder.ts'
import { lineStart, type RecordBatch } from '../../record/record.ts'
import type { IndexNames } from '../index-name.ts'
import type { Rejection } from '../rejected.ts'
import {
  type BulkItem,
  type ItemError,
  isAboutShards,
  isUnrecognized,
  judgeItem,
  kindOf,
  reasonOf,
  rejectionOf,
  type Scope,
  sayableOf,
} from './answer.ts'
import type { HoldReason } from './held-indices.ts'
import { indexOf, type Part, rejectIn } from './part.ts'

/**
 * What becomes of a document, by what Elasticsearch answered.
 *
 * - stored: it is durable.
 * - conflict: a document has its id already, and is to be compared with it.
 * - retry: it is sent again later.
 * - rename: it is sent again, and names no dynamic templates to its index any more.
 * - hold: it waits with its index.
 * - reject: it will never be taken as it is.
 */
export type Verdict =
  | { readonly is: 'stored' }
  | { readonly is: 'conflict' }
  | { readonly is: 'retry'; readonly error: ItemError | undefined }
  | { readonly is: 'rename' }
  | { readonly is: 'hold'; readonly reason: HoldReason }
  | { readonly is: 'reject'; readonly rejection: Rejection; readonly kind: string }

/** One document of a request, and what was answered to it. */
export interface AnsweredDocument {
  readonly part: Part
  readonly i: number
  readonly index: string
  readonly item: BulkItem
  readonly scope: Scope
}

/** What the answers before this one have taught. */
export interface Circumstances {
  /** Why an index is held; undefined if it is not. */
  reasonOf(index: string): HoldReason | undefined
  /** Refusals of this kind were held for their max time. */
  isExpired(index: string, kind: string): boolean
  /** Indices for which this answer trips the breaker. */
  readonly tripped: ReadonlyMap<string, HoldReason>
  /** How long an index is held for refusals, in ms. */
  readonly holdMs: number
  /** Log lines and states for people may quote records. */
  readonly quotes: boolean
}

/** Reasons quote values: this many characters of each are kept. */
export const maxReason = 500
const space = 0x20
const openBrace = 0x7b

const stored: Verdict = { is: 'stored' }
const conflict: Verdict = { is: 'conflict' }
const rename: Verdict = { is: 'rename' }

/** The documents of a request, in order. @param itemOf what was answered to document `n` */
export function answered(
  names: IndexNames,
  parts: readonly Part[],
  itemOf: (n: number) => BulkItem,
): AnsweredDocument[] {
  const documents: AnsweredDocument[] = []
  for (const part of parts) {
    for (let i = part.start; i < part.end; i++) {
      const item = itemOf(documents.length)
      documents.push({ part, i, item, index: indexOf(names, part, i), scope: judgeItem(item) })
    }
  }
  return documents
}

/** The verdict on a document. Pure. */
export function verdictOf(document: AnsweredDocument, circumstances: Circumstances): Verdict {
  const { item, scope } = document
  switch (scope) {
    case 'stored':
      return stored
    case 'exists':
      return conflict
    case 'template':
      return rename
    case 'request':
      // The shards of one index: other indices need not wait.
      return isAboutShards(item.error)
        ? hold(indexReason(item, circumstances))
        : { is: 'retry', error: item.error }
    case 'index':
      return verdictOnIndex(document, circumstances)
    case 'document':
      return verdictOnRefusal(document, circumstances)
  }
}

function verdictOnIndex(
  { part, index, item }: AnsweredDocument,
  circumstances: Circumstances,
): Verdict {
  const reason = indexReason(item, circumstances)
  // A reject has no mapped fields, so an unrecognized error must concern the rejected index itself.
  if (!isUnrecognized(item) || part.content.is !== 'record') return hold(reason)
  const kind = kindOfRefusal(item)
  if (circumstances.isExpired(index, kind)) return reject(item)
  const { holdMs: maxMs } = circumstances
  return hold({ is: 'unrecognized', message: reason.message, kind, maxMs })
}

function verdictOnRefusal(
  { part, index, item }: AnsweredDocument,
  circumstances: Circumstances,
): Verdict {
  // Not even the envelope is taken: that is the rejected index's own fault.
  if (rejectIn(part)?.valueOmitted === true) return hold(indexReason(item, circumstances))
  if (circumstances.isExpired(index, kindOfRefusal(item))) return reject(item)
  const held = circumstances.reasonOf(index)
  const reason = held?.is === 'refusals' ? held : circumstances.tripped.get(index)
  return reason === undefined ? reject(item) : hold(reason)
}

function hold(reason: HoldReason): Verdict {
  return { is: 'hold', reason }
}

function reject(item: BulkItem): Verdict {
  return { is: 'reject', rejection: rejectionOf(item, maxReason), kind: kindOfRefusal(item) }
}

function indexReason({ error }: BulkItem, { quotes }: Circumstances): HoldReason {
  return { is: 'index', message: wordsOf(error, quotes) }
}

/** An error in words for people. `quotes`: they may quote the record. */
export function wordsOf(error: ItemError | undefined, quotes: boolean): string {
  if (error === undefined) return 'no reason given'
  return quotes ? `${error.type}: ${reasonOf(error, maxReason)}` : sayableOf(error, maxReason)
}

/** The documents of an index that were stored, and those refused, by kind of refusal. */
export interface Refusals {
  stored: number
  readonly refused: Map<string, number>
}

/**
 * Counts stored and refused documents by index, for the breaker. A reject says nothing of a
 * mapping, nor does a value without fields.
 */
export function refusalsOf(documents: readonly AnsweredDocument[]): ReadonlyMap<string, Refusals> {
  const counted = new Map<string, Refusals>()
  for (const { part, i, index, item, scope } of documents) {
    if (part.content.is !== 'record' || (scope !== 'stored' && scope !== 'document')) continue
    if (scope === 'document' && isWithoutFields(part.pending.batch, i)) continue
    let ofIndex = counted.get(index)
    if (ofIndex === undefined) {
      ofIndex = { stored: 0, refused: new Map() }
      counted.set(index, ofIndex)
    }
    if (scope === 'stored') ofIndex.stored++
    else {
      const kind = kindOfRefusal(item)
      ofIndex.refused.set(kind, (ofIndex.refused.get(kind) ?? 0) + 1)
    }
  }
  return counted
}

/** Why an index is held for which the breaker tripped, by the kind of its refusals. */
export function trippedReason(
  kind: string,
  { holdMs: maxMs, quotes }: Pick<Circumstances, 'holdMs' | 'quotes'>,
): HoldReason {
  const words = quotes ? kind : kind.slice(0, kind.indexOf(':'))
  return { is: 'refusals', message: `most of its documents are refused (${words})`, kind, maxMs }
}

/**
 * A number, a text, a list: if `value` is mapped as an object, it is refused for what it is, and
 * says nothing of the template.
 */
function isWithoutFields(batch: RecordBatch, i: number): boolean {
  const value = valueOfLine(batch.lines.subarray(lineStart(batch, i), batch.ends[i]!))
  return value !== undefined && value.find((byte) => byte > space) !== openBrace
}

function kindOfRefusal(item: BulkItem): string {
  return item.error === undefined ? rejectionOf(item, maxReason).type : kindOf(item.error)
}

/** Whether a probe says that its index takes documents again. */
export function isTaken(verdicts: readonly Verdict[], reason: HoldReason | undefined): boolean {
  const waiting = verdicts.filter(({ is }) => is === 'hold' || is === 'retry').length
  return reason?.is === 'refusals' ? waiting * 2 <= verdicts.length : waiting === 0
}
