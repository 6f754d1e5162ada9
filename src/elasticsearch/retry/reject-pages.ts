import type { RecordType } from '../../record/record.ts'
import {
  anything,
  count,
  list,
  nullable,
  number,
  object,
  optional,
  text,
} from '../../runtime/shape.ts'
import { AnswerTooLarge } from '../client/failure.ts'
import type { RejectedSource } from '../rejected.ts'
import type { RetryClient } from './retry-client.ts'

/** A reject may hold 8 MiB of text. */
const maxPageSize = 50

/** Which rejects are meant. */
export interface RejectSelection {
  /** All if undefined. */
  readonly types?: readonly RecordType[] | undefined
  /** An `error.type`, or words of the reason. */
  readonly reason?: string | undefined
}

/** A reject. */
export interface RejectHit {
  readonly _index: string
  readonly _id: string
  readonly _source: RejectedSource
  readonly sort: readonly unknown[]
}

interface SearchAnswer {
  readonly hits: {
    readonly total?: { readonly value: number }
    readonly hits: readonly RejectHit[]
  }
}

const headerShape = object({
  key: text,
  value: optional(nullable(text)),
  value_base64: optional(text),
})
const pageShape = object({
  hits: object({
    total: optional(object({ value: count })),
    hits: list(
      object({
        _index: text,
        _id: text,
        sort: list(anything),
        _source: object({
          type: optional(text),
          kafka: object({
            topic: text,
            partition: count,
            offset: count,
            timestamp: number,
            key: optional(text),
            key_base64: optional(text),
            headers: optional(list(headerShape)),
          }),
          value_text: optional(text),
          value_base64: optional(text),
          error: object({ type: text, reason: text }),
        }),
      }),
    ),
  }),
})
/** Some rejects, and how many there are in all. */
export interface RejectPage {
  readonly hits: readonly RejectHit[]
  readonly total: number
}

/** For every search: an index that is not there counts as empty. */
export const everywhere = { ignore_unavailable: 'true', allow_no_indices: 'true' }

/**
 * The rejects of a selection, in the order of Kafka. Of types without a name of their own there may
 * be others among them: only a document tells them apart.
 * @param options.indices as an expression
 * @param options.hasText the text of values is wanted
 */
export async function* rejectPages(
  client: RetryClient,
  selection: RejectSelection,
  options: { readonly indices: string; readonly hasText: boolean },
): AsyncGenerator<RejectPage> {
  const query = { ...everywhere, allow_partial_search_results: 'false' }
  let after: readonly unknown[] | undefined
  let total: number | undefined
  let size = maxPageSize
  for (;;) {
    const body = {
      size,
      query: queryFor(selection),
      sort: [
        { 'kafka.topic': 'asc' },
        { 'kafka.partition': 'asc' },
        { 'kafka.offset': 'asc' },
        { _index: 'asc' },
      ],
      track_total_hits: after === undefined,
      ...(options.hasText ? {} : { _source: { excludes: ['value_text'] } }),
      ...(after === undefined ? {} : { search_after: after }),
    }
    const path = [options.indices, '_search']
    const page: SearchAnswer | undefined = await client
      .ask<SearchAnswer>(path, body, query, pageShape)
      .catch((error: unknown) => {
        if (!(error instanceof AnswerTooLarge) || size === 1) throw error
        return undefined
      })
    if (page === undefined) {
      size = Math.ceil(size / 4)
      continue
    }
    total ??= page.hits.total?.value ?? 0
    const { hits } = page.hits
    if (hits.length === 0) return
    yield { hits, total }
    after = hits.at(-1)!.sort
  }
}

function queryFor({ types, reason }: RejectSelection): unknown {
  const named = {
    terms: { type: (types ?? []).filter((type) => !type.reserved).map(({ name }) => name) },
  }
  // Only a document tells what has no type of its own apart.
  const untyped = { bool: { must_not: { exists: { field: 'type' } } } }
  const mayBeUntyped = types?.some((type) => type.reserved) ?? false
  const ofType =
    types === undefined ? [] : [{ bool: { should: mayBeUntyped ? [named, untyped] : [named] } }]
  const ofReason =
    reason === undefined
      ? []
      : [
          {
            bool: {
              should: [
                { term: { 'error.type': reason } },
                { match_phrase: { 'error.reason': reason } },
              ],
            },
          },
        ]
  return { bool: { filter: [...ofType, ...ofReason] } }
}
