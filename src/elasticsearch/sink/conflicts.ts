import { list, number, object, optional } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { RequestFailure } from '../client/failure.ts'
import type { IndexNames } from '../index-name.ts'
import type { ItemError } from './answer.ts'
import { itemErrorShape } from './bulk-item.ts'
import { documentId, indexOf, type Part, rejectIn } from './part.ts'

/**
 * What a 409 turns out to be.
 *
 * - same: the stored record is the same one, which is an acknowledgement.
 * - other: another record has the id, with this Kafka timestamp.
 * - gone: it was deleted meanwhile.
 * - unreadable: the index does not give its documents.
 */
export type Conflict =
  | { readonly is: 'same' }
  | { readonly is: 'other'; readonly timestamp: number | undefined }
  | { readonly is: 'gone' }
  | { readonly is: 'unreadable'; readonly error: ItemError }

/** Documents of one multi-get. */
export const maxConflicts = 1000

const mgetShape = object({
  docs: list(
    object({
      error: optional(itemErrorShape),
      _source: optional(object({ kafka: optional(object({ timestamp: optional(number) })) })),
    }),
  ),
})

interface StoredDocument {
  readonly found?: boolean
  readonly error?: ItemError
  readonly _source?: { readonly kafka?: { readonly timestamp?: number } }
}

/**
 * Compares documents with those that have their ids.
 * @param parts of one document each, at most `maxConflicts`
 * @returns a conflict a part, in order
 * @throws RequestFailure
 */
export async function compareConflicts(
  client: Elasticsearch,
  names: IndexNames,
  parts: readonly Part[],
  signal: AbortSignal,
): Promise<readonly Conflict[]> {
  const docs = parts.map((part) => {
    const { batch } = part.pending
    const id = documentId(batch, batch.offsets[part.start]!)
    return {
      _index: indexOf(names, part, part.start),
      _id: `${id}${rejectIn(part)?.idSuffix ?? ''}`,
      _source: ['kafka.timestamp'],
    }
  })
  const { body } = await client.request<{ readonly docs: readonly StoredDocument[] }>(
    'POST',
    ['_mget'],
    { body: { docs }, shape: mgetShape, signal },
  )
  if (body.docs.length !== docs.length) throw new RequestFailure('not an answer to _mget')
  return parts.map((part, i) => conflictWith(body.docs[i]!, timestampOf(part)))
}

/** The Kafka timestamp of a part of one record. */
export function timestampOf({ pending, start }: Part): number {
  return pending.batch.timestamps[start]!
}

function conflictWith({ found, error, _source }: StoredDocument, timestamp: number): Conflict {
  if (error !== undefined) return { is: 'unreadable', error }
  if (found !== true) return { is: 'gone' }
  const stored = _source?.kafka?.timestamp
  return stored === timestamp ? { is: 'same' } : { is: 'other', timestamp: stored }
}
