import { type BulkItem, isSayable } from '../sink/answer.ts'
import { bulkItemOf } from '../sink/bulk-item.ts'
import { RequestFailure } from './failure.ts'

export const noErrors = '{"errors":false'
/**
 * Asks for what is needed to judge each document and no more: 26 bytes instead of 174 a document.
 */
export const bulkFilter = 'errors,items.*.error,items.*.status,items.*.failure_store'
const storedItem = '{"create":{"status":201}}'

/** An answer that says "no errors". It is not parsed if it says the same of every item. */
export class UnparsedBulk {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  /** True if the answer is that of exactly this many documents, all created. */
  isOf(documents: number): boolean {
    return this.text === `${noErrors},"items":[${`${storedItem},`.repeat(documents).slice(0, -1)}]}`
  }
}

export interface ParsedBulk {
  readonly errors?: boolean
  readonly items?: readonly unknown[]
}

/**
 * An item a document, in order; undefined if all of them were created.
 * @throws RequestFailure if the answer is not one for these documents
 * @throws UnlikeAnswer if an item is none
 */
export function itemsOf(
  answer: UnparsedBulk | ParsedBulk | string,
  documents: number,
): readonly BulkItem[] | undefined {
  if (answer instanceof UnparsedBulk && answer.isOf(documents)) return undefined
  const parsed = answer instanceof UnparsedBulk ? parse(answer.text) : answer
  if (
    typeof parsed !== 'object' ||
    parsed === null ||
    parsed.errors === undefined ||
    !Array.isArray(parsed.items)
  ) {
    throw new RequestFailure('the answer is not that of Elasticsearch to a bulk request')
  }
  const { length } = parsed.items
  if (length !== documents)
    throw new RequestFailure(`the answer has ${length} items for ${documents} documents`)
  return parsed.items.map(bulkItemOf)
}

function parse(text: string): ParsedBulk {
  try {
    return JSON.parse(text) as ParsedBulk
  } catch {
    throw new RequestFailure('the answer to a bulk request was cut off')
  }
}

/** The failure of a bulk request, whose reason may quote a record of the body. */
export function withoutQuotes(failure: RequestFailure): RequestFailure {
  const { status, type, message: reason } = failure
  if (status === undefined || (type !== undefined && isSayable(type))) return failure
  return new RequestFailure(`${type ?? 'refused'} (${status})`, { status, type, reason })
}
