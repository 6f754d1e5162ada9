import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { count, digits, list, nullable, object, optional, text } from '../runtime/shape.ts'
import type { Elasticsearch } from './client/client.ts'
import { RequestFailure } from './client/failure.ts'
import { IndexNames, isRebuilt } from './index-name.ts'

/** An index of a day that goes. */
export interface OldIndex {
  readonly index: string
  readonly documents: number
  readonly bytes: number
}

/** An index of an old day that stays, and why. */
export interface LeftIndex {
  readonly index: string
  readonly why: string
}

export interface OldIndices {
  readonly own: readonly OldIndex[]
  readonly left: readonly LeftIndex[]
}

/** What the archive knows of its indices. */
export interface KnownIndices {
  /** Every index that its manifests send records to. */
  readonly names: ReadonlySet<string>
  readonly topics: readonly string[]
}

interface CatRow {
  readonly index: string
  readonly status: string
  readonly 'pri.store.size': string | null
}

interface AliasRow {
  readonly alias: string
  readonly index: string
}

const rowsShape = list(
  object({
    index: text,
    status: text,
    'pri.store.size': optional(nullable(digits)),
  }),
)

/**
 * The indices of a prefix whose day, in UTC, is before `before` (ms); those of unknown days stay. A
 * name proves nothing: other programs make daily indices, too. An index is the archive's own if the
 * manifests know its type and day, and if it holds no document of somebody else.
 */
export async function oldIndices(
  client: Elasticsearch,
  prefix: string,
  before: number,
  known: KnownIndices,
): Promise<OldIndices> {
  const everyone = `${prefix}*`
  const names = new IndexNames(prefix)
  const tolerant = { ignore_unavailable: 'true', allow_no_indices: 'true' }
  const own: OldIndex[] = []
  const left: LeftIndex[] = []
  return guarded(async () => {
    // Without this, a document that no search has seen yet does not count.
    await client.request('POST', [`${everyone},${names.rebuiltPattern}`, '_refresh'], {
      query: { ...tolerant, expand_wildcards: 'open,hidden' },
    })
    const { body: rows } = await client.request<readonly CatRow[]>(
      'GET',
      ['_cat', 'indices', `${everyone},${names.rebuiltPattern}`],
      {
        query: {
          format: 'json',
          h: 'index,status,pri.store.size',
          bytes: 'b',
          s: 'index',
          expand_wildcards: 'all',
        },
        shape: rowsShape,
      },
    )
    const describe = async ({ index, 'pri.store.size': bytes }: CatRow): Promise<OldIndex> => ({
      index,
      documents: await countIn(client, index),
      bytes: Number(bytes ?? 0),
    })
    for (const row of rows) {
      const { index, status } = row
      if (!isBefore(index, before)) continue
      const why = known.names.has(index)
        ? await whyNotOurs(client, { index, isClosed: status === 'close', topics: known.topics })
        : 'no record of this archive belongs there'
      if (why !== undefined) left.push({ index, why })
      else own.push(await describe(row))
    }
    const { body: aliases } = await client.request<readonly AliasRow[]>(
      'GET',
      ['_cat', 'aliases', everyone],
      {
        query: { format: 'json', h: 'alias,index', s: 'index' },
        shape: list(object({ alias: text, index: text })),
      },
    )
    for (const { alias, index } of aliases) {
      if (!isBefore(alias, before)) continue
      const { topics } = known
      if (!known.names.has(alias)) {
        left.push({ index, why: `no record of this archive belongs into ${alias}, its alias` })
        continue
      }
      const row = rows.find((one) => one.index === index)
      // An index that `mapping --rebuild` has made: its alias goes with it.
      const why = isRebuilt(index)
        ? await whyNotOurs(client, { index, isClosed: row?.status === 'close', topics })
        : `it stands in for ${alias}, which is an alias; delete it by hand`
      if (why !== undefined) left.push({ index, why })
      else if (row !== undefined) own.push(await describe(row))
    }
    // What a rebuild that was killed has left: nobody finds it, and it holds the day once more.
    const aliased = new Set(aliases.map(({ index }) => index))
    const days = [...known.names].filter((name) => isBefore(name, before))
    const beginnings = new Set(days.map((name) => names.rebuilt(name)))
    for (const row of rows) {
      const { index, status } = row
      if (aliased.has(index) || !beginnings.has(index.replace(/\d+$/, ''))) continue
      const isClosed = status === 'close'
      const why = await whyNotOurs(client, { index, isClosed, topics: known.topics })
      if (why !== undefined) left.push({ index, why })
      else own.push(await describe(row))
    }
    return { own, left }
  })
}

function isBefore(index: string, before: number): boolean {
  const [, year, month, day] = /-(\d{4})\.(\d\d)\.(\d\d)$/.exec(index) ?? []
  return day !== undefined && Date.parse(`${year}-${month}-${day}T00:00:00Z`) < before
}

/**
 * Why an index of a known name is not the archive's alone, or is not known to be; undefined if it
 * is.
 */
async function whyNotOurs(
  client: Elasticsearch,
  {
    index,
    isClosed,
    topics,
  }: { readonly index: string; readonly isClosed: boolean; readonly topics: readonly string[] },
): Promise<string | undefined> {
  if (isClosed)
    return 'it is closed, so whose documents it holds cannot be seen; open it, and prune again'
  // Without a template of ours the topic is a text with a keyword below it.
  const ours = ['kafka.topic', 'kafka.topic.keyword'].map((field) => ({
    terms: { [field]: topics },
  }))
  const { body } = await client.request<{
    readonly hits: { readonly total: { readonly value: number } }
  }>('POST', [index, '_search'], {
    query: {
      ignore_unavailable: 'true',
      allow_no_indices: 'true',
      allow_partial_search_results: 'false',
    },
    shape: object({ hits: object({ total: object({ value: count }) }) }),
    body: { size: 0, track_total_hits: true, query: { bool: { must_not: ours } } },
  })
  const { value } = body.hits.total
  return value === 0 ? undefined : `${value} of its documents are not of this archive's topics`
}

/** Documents as people count them; the list of indices counts nested ones as well. */
async function countIn(client: Elasticsearch, index: string): Promise<number> {
  const { body } = await client.request<{ readonly count: number }>('GET', [index, '_count'], {
    shape: object({ count }),
  })
  return body.count
}

/** Deletes an index; one that is gone already is fine. */
export async function deleteIndex(client: Elasticsearch, index: string): Promise<void> {
  await guarded(() => client.request('DELETE', [index], { ignore: [404] }))
}

async function guarded<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof RequestFailure)) throw error
    throw new ArchiverError('UNREACHABLE', `Elasticsearch refused: ${messageOf(error)}`, {}, error)
  }
}
