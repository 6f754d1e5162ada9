import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { elasticsearch } from './servers.ts'

/** What a store holds of one record, as the assertions compare it. */
export interface StoredRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Its place: the file's path, or the index. */
  readonly place: string
  /** The whole line, or `_source`, as text. */
  readonly line: string
}

interface Envelope {
  readonly kafka: { readonly topic: string; readonly partition: number; readonly offset: number }
}

/** The data files of an archive that readers see, relative to its root. */
export async function dataFiles(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.jsonl.gz'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith('_'))
    .sort()
}

/**
 * Every record in the files of an archive, in the order of files. Reads independently of the
 * program's own readers.
 */
export async function readFiles(root: string): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  for (const place of await dataFiles(root)) {
    const text = gunzipSync(await readFile(join(root, place))).toString('utf8')
    for (const record of recordsOf(place, text)) records.push(record)
  }
  return records
}

/** The records of the text of a file. */
export function recordsOf(place: string, text: string): StoredRecord[] {
  if (!text.endsWith('\n')) throw new Error(`${place} does not end with a line break`)
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => ({ ...positionOf(line), place, line }))
}

/**
 * Every document under a prefix; `line` is its `_source` as Elasticsearch gives it back (parsed and
 * printed again).
 */
export async function readDocuments(prefix: string): Promise<StoredRecord[]> {
  await elasticsearch('POST', `/${prefix}*/_refresh`, undefined, [404])
  interface Page {
    readonly hits: {
      readonly hits: readonly {
        readonly _index: string
        readonly _source: Envelope
        readonly sort: unknown[]
      }[]
    }
  }
  const records: StoredRecord[] = []
  let after: unknown[] | undefined
  for (;;) {
    const page: Page = await elasticsearch<Page>(
      'POST',
      `/${prefix}*/_search?ignore_unavailable=true&allow_no_indices=true`,
      {
        size: 5000,
        query: { match_all: {} },
        sort: [
          { 'kafka.topic': 'asc' },
          { 'kafka.partition': 'asc' },
          { 'kafka.offset': 'asc' },
          { _index: 'asc' },
        ],
        ...(after === undefined ? {} : { search_after: after }),
      },
    )
    const { hits } = page.hits
    for (const { _index, _source } of hits) {
      const { topic, partition, offset } = _source.kafka
      records.push({ topic, partition, offset, place: _index, line: JSON.stringify(_source) })
    }
    if (hits.length === 0) return records
    after = hits[hits.length - 1]!.sort
  }
}

function positionOf(line: string): { topic: string; partition: number; offset: number } {
  const { kafka } = JSON.parse(line) as Envelope
  return { topic: kafka.topic, partition: kafka.partition, offset: kafka.offset }
}

/** What differs between what Kafka delivered and what a store holds. */
export interface Account {
  readonly missing: readonly string[]
  readonly duplicates: readonly string[]
  readonly unexpected: readonly string[]
}

/** Counts every offset. `expected`: the offsets that Kafka delivered, by `topic/partition`. */
export function accountFor(
  expected: ReadonlyMap<string, Iterable<number>>,
  records: readonly StoredRecord[],
): Account {
  const seen = new Map<string, number>()
  for (const { topic, partition, offset } of records) {
    const id = `${topic}/${partition}/${offset}`
    seen.set(id, (seen.get(id) ?? 0) + 1)
  }
  const missing: string[] = []
  for (const [partition, offsets] of expected) {
    for (const offset of offsets) {
      const id = `${partition}/${offset}`
      if (!seen.has(id)) missing.push(id)
      else if (seen.get(id) === 1) seen.delete(id)
    }
  }
  const duplicates = [...seen].filter(([, times]) => times > 1).map(([id]) => id)
  const unexpected = [...seen].filter(([, times]) => times === 1).map(([id]) => id)
  return { missing, duplicates, unexpected }
}

/** The offsets `[from, next)`. */
export function* offsetsOf(from: number, next: number): Iterable<number> {
  for (let offset = from; offset < next; offset++) yield offset
}
