import { ArchiverError, messageOf } from '../errors.ts'
import { type Elasticsearch, RequestFailure } from './client.ts'

/** An index of a day that goes. */
export interface OldIndex {
  readonly index: string
  readonly documents: number
  readonly bytes: number
}

interface CatRow {
  readonly index: string
  readonly 'docs.count': string | null
  readonly 'pri.store.size': string | null
}

/** The indices of a prefix whose day, in UTC, is before `before` (ms); those of unknown days stay. */
export async function oldIndices(client: Elasticsearch, prefix: string, before: number): Promise<OldIndex[]> {
  const { body } = await guarded(() =>
    client.request<readonly CatRow[]>('GET', ['_cat', 'indices', `${prefix}*`], {
      query: { format: 'json', h: 'index,docs.count,pri.store.size', bytes: 'b', s: 'index', expand_wildcards: 'all' },
    }),
  )
  return body.flatMap(({ index, 'docs.count': documents, 'pri.store.size': bytes }) => {
    const [, year, month, day] = /-(\d{4})\.(\d\d)\.(\d\d)$/.exec(index) ?? []
    if (day === undefined || Date.parse(`${year}-${month}-${day}T00:00:00Z`) >= before) return []
    return [{ index, documents: Number(documents ?? 0), bytes: Number(bytes ?? 0) }]
  })
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
