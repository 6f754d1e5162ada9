import { count, digits, list, nullable, object, optional, text } from '../../runtime/shape.ts'
import type { PatientClient } from './patient-client.ts'
import { type Hit, hitsIn, scrollIdIn } from './raw-answer.ts'
import { searchQuery } from './search-query.ts'

const maxPageDocuments = 5000
const pageBytes = 32 * 2 ** 20
/** How much smaller an index is than its sources: the max of what was seen. */
const compression = 10
const scrollKeepAlive = '2m'

/** Some documents of one index. */
export interface DocumentPage {
  readonly index: string
  /** It is a rejected index: sources are not lines. */
  readonly isRejected: boolean
  readonly hits: readonly Hit[]
}

interface ListedIndex {
  readonly index: string
  readonly 'pri.store.size'?: string | null
}

const listedShape = list(
  object({
    index: text,
    'pri.store.size': optional(nullable(digits)),
  }),
)

/**
 * Every document of some indices, index by index in the order in which the engine keeps them.
 * Sources are the bytes that were stored, good until the next page.
 *
 * @param indices as an expression. `rejectedPrefix`: of indices whose sources are not lines
 * @param topics only documents of these; undefined: all
 */
export async function* scanDocuments(
  client: PatientClient,
  { indices, rejectedPrefix }: { readonly indices: string; readonly rejectedPrefix: string },
  topics: readonly string[] | undefined,
): AsyncGenerator<DocumentPage> {
  const listed = await client.ask<readonly ListedIndex[]>(
    {
      method: 'GET',
      path: ['_cat', 'indices', indices],
      query: {
        format: 'json',
        h: 'index,pri.store.size',
        bytes: 'b',
        expand_wildcards: 'open',
      },
    },
    listedShape,
  )
  const query = topics === undefined ? { match_all: {} } : { terms: { 'kafka.topic': topics } }
  for (const one of listed) {
    const isRejected = one.index.startsWith(rejectedPrefix)
    const size = documentsAtOnce(one, await countIn(client, one.index))
    const body = { size, sort: ['_doc'], query }
    for await (const hits of pagesOf(client, one.index, body))
      yield { index: one.index, isRejected, hits }
  }
}

async function* pagesOf(
  client: PatientClient,
  index: string,
  body: Readonly<Record<string, unknown>>,
): AsyncGenerator<readonly Hit[]> {
  const query = { ...searchQuery, scroll: scrollKeepAlive }
  let answer = await client.raw({ method: 'POST', path: [index, '_search'], body, query })
  const scrollId = scrollIdIn(answer)
  const path = ['_search', 'scroll']
  try {
    for (;;) {
      const hits = [...hitsIn(answer)]
      if (hits.length === 0) return
      yield hits
      const next = { scroll: scrollKeepAlive, scroll_id: scrollId }
      // Asked twice, it would skip a page.
      answer = await client.raw({ method: 'POST', path, body: next }, { once: true })
    }
  } finally {
    if (scrollId !== undefined)
      await client.forget({ method: 'DELETE', path, body: { scroll_id: scrollId } })
  }
}

/** Documents that a search finds: the list of indices counts nested ones as well. */
async function countIn(client: PatientClient, index: string): Promise<number> {
  const query = { ignore_unavailable: 'true', allow_no_indices: 'true' }
  const question = { method: 'GET', path: [index, '_count'], query }
  const answer = await client.ask<{ readonly count: number }>(question, object({ count }))
  return answer.count
}

/** How many documents of an index a page has, so that it is not much larger than `pageBytes`. */
function documentsAtOnce({ 'pri.store.size': bytes }: ListedIndex, documents: number): number {
  const bytesEach = (Number(bytes ?? 0) / Math.max(1, documents)) * compression
  return Math.max(10, Math.min(maxPageDocuments, Math.floor(pageBytes / Math.max(1, bytesEach))))
}
