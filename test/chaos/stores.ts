import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { type Connection, createConnection } from 'mysql2'
import {
  type Expected,
  type HeldRecord,
  type HeldRow,
  heldInFile,
  heldInIndex,
  heldInRow,
} from './account.ts'

/**
 * Every record in the data files of an archive, and, in `problems`, what is wrong with a file as a
 * whole.
 */
export async function* filesHeld(root: string, problems: string[]): AsyncGenerator<HeldRecord> {
  for (const path of await dataFiles(root)) {
    let lines: Buffer
    try {
      lines = gunzipSync(await readFile(join(root, path)))
    } catch (error) {
      problems.push(`${path} cannot be read: ${String(error)}`)
      continue
    }
    const name = /([^/]+)\+(\d+)\+(\d{20})-(\d{20})\.jsonl\.gz$/.exec(path)
    let first: number | undefined
    let last = -1
    let start = 0
    for (let end = lines.indexOf(0x0a); end !== -1; end = lines.indexOf(0x0a, start)) {
      const record = heldInFile(lines.subarray(start, end), dirname(path))
      if (record.offset <= last)
        problems.push(`${path}: offset ${record.offset} comes after ${last}`)
      if (record.topic !== name?.[1] || record.partition !== Number(name[2]))
        problems.push(`${path} holds a record of ${record.topic}/${record.partition}`)
      first ??= record.offset
      last = record.offset
      yield record
      start = end + 1
    }
    if (start !== lines.length) problems.push(`${path} does not end with a line break`)
    if (first !== Number(name?.[3]) || last !== Number(name?.[4]))
      problems.push(`${path} holds ${first} to ${last}`)
  }
}

async function dataFiles(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => path.startsWith('type=') && path.endsWith('.jsonl.gz'))
    .sort()
}

interface ChainManifest {
  readonly from: number
  readonly next: number
  readonly records: number
  readonly files: readonly {
    readonly path: string
    readonly bytes: number
    readonly sha256: string
    readonly records: number
  }[]
  readonly gaps: readonly {
    readonly from: number
    readonly next: number
    readonly reason: string
  }[]
  readonly omitted_gaps?: number
}

/** What the commit logs say. */
export interface ChainAccount {
  readonly manifests: number
  /** How many of them took the place of others. */
  readonly compacted: number
  readonly files: number
  /**
   * Offsets that are recorded as lost, without those of records that workers do not take for their
   * size.
   */
  readonly lost: number
  /** Offsets of records that workers do not take for their size. */
  readonly oversized: number
  /**
   * Files that dead workers left in staging: invisible to readers, and removed by who takes the
   * partition over.
   */
  readonly staged: number
  readonly problems: readonly string[]
}

/**
 * The name of the manifest in force that begins at an offset: the highest generation, else that of
 * a flush.
 */
function manifestAt(names: readonly string[], offset: number): string | undefined {
  const digits = String(offset).padStart(20, '0')
  const generations = names
    .filter((name) => name.startsWith(`compacted-${digits}-`))
    .map((name) => Number(name.slice(31, -5)))
  if (generations.length > 0) return `compacted-${digits}-${Math.max(...generations)}.json`
  return names.includes(`${digits}.json`) ? `${digits}.json` : undefined
}

/**
 * Checks that the manifests tile `[origin, end)`, that every file they name is there as they say,
 * and that there is no other.
 */
export async function checkChains(root: string, expected: Expected): Promise<ChainAccount> {
  const problems: string[] = []
  const named = new Set<string>()
  let manifests = 0
  let compacted = 0
  let lost = 0
  let oversized = 0
  for (const { topic, partition, end } of expected.partitions) {
    const directory = join(root, '_manifests', topic, String(partition))
    const names = (await readdir(directory).catch(() => [])).sort()
    const tp = `${topic}/${partition}`
    if (!names.includes('origin.json')) {
      problems.push(`${tp} has no origin`)
      continue
    }
    const origin = JSON.parse(await readFile(join(directory, 'origin.json'), 'utf8')) as {
      offset: number
    }
    for (const name of names) {
      if (name !== 'origin.json' && !/^(\d{20}|compacted-\d{20}-\d+)\.json$/.test(name))
        problems.push(`${tp}: ${name} is no manifest`)
    }
    const tooLarge = new Set(expected.oversized.get(tp) ?? [])
    let next = origin.offset
    for (let name = manifestAt(names, next); name !== undefined; name = manifestAt(names, next)) {
      manifests++
      if (name.startsWith('compacted-')) compacted++
      const manifest = JSON.parse(await readFile(join(directory, name), 'utf8')) as ChainManifest
      if (manifest.from !== next || manifest.next <= next) {
        problems.push(
          `${tp}: ${name} covers [${manifest.from}, ${manifest.next}), the one before ends at ${next}`,
        )
        break
      }
      next = manifest.next
      const inFiles = manifest.files.reduce((sum, file) => sum + file.records, 0)
      const inGaps = manifest.gaps.reduce((sum, gap) => sum + gap.next - gap.from, 0)
      const covered =
        manifest.omitted_gaps === undefined ? inFiles + inGaps : manifest.next - manifest.from
      if (inFiles !== manifest.records || covered !== manifest.next - manifest.from)
        problems.push(
          `${tp}: ${name} covers ${manifest.next - manifest.from} offsets with ${inFiles} records and gaps of ${inGaps}`,
        )
      for (const gap of manifest.gaps) {
        if (gap.reason === 'not-delivered') continue
        for (let offset = gap.from; offset < gap.next; offset++) {
          if (gap.reason === 'oversized' && tooLarge.delete(offset)) oversized++
          else lost++
        }
      }
      for (const { path, bytes, sha256 } of manifest.files) {
        if (named.has(path)) problems.push(`${path} is named twice`)
        named.add(path)
        const content = await readFile(join(root, path)).catch(() => undefined)
        if (content === undefined)
          problems.push(`${path} is named by ${tp} ${name} and is not there`)
        else if (
          content.length !== bytes ||
          createHash('sha256').update(content).digest('hex') !== sha256
        )
          problems.push(
            `${path} has ${content.length} bytes, its manifest says ${bytes}, or another sha256`,
          )
      }
    }
    if (next !== end) problems.push(`${tp}: the manifests end at ${next}, Kafka at ${end}`)
    if (tooLarge.size > 0)
      problems.push(`${tp}: no gap says that ${[...tooLarge].join(', ')} is oversized`)
  }
  let staged = 0
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = relative(root, join(entry.parentPath, entry.name))
    // A start that was killed leaves what it proved a store with.
    if (path.startsWith('_staging/')) staged++
    else if (!/^_manifests\/|^_archive\.json(\.probe-|$)/.test(path) && !named.has(path))
      problems.push(`${path} belongs to no manifest`)
  }
  return { manifests, compacted, files: named.size, lost, oversized, staged, problems }
}

const pageDocuments = 2000

/** Every document under a prefix, byte for byte as Elasticsearch keeps it. */
export async function* documentsHeld(
  url: string,
  prefix: string,
  partitions: readonly { readonly topic: string; readonly partition: number }[],
): AsyncGenerator<HeldRecord> {
  await request(url, 'POST', `/${prefix}*/_refresh`)
  for (const { topic, partition } of partitions) {
    let after: unknown
    for (;;) {
      const answer = await request(
        url,
        'POST',
        `/${prefix}*/_search?ignore_unavailable=true&allow_no_indices=true`,
        {
          size: pageDocuments,
          track_total_hits: false,
          query: {
            bool: {
              filter: [
                { term: { 'kafka.topic': topic } },
                { term: { 'kafka.partition': partition } },
              ],
            },
          },
          sort: [{ 'kafka.offset': { order: 'asc', unmapped_type: 'long' } }, { _index: 'asc' }],
          ...(after === undefined ? {} : { search_after: after }),
        },
      )
      let count = 0
      for (const { index, source, sort } of hitsOf(answer)) {
        yield heldInIndex(source, index, prefix)
        after = sort
        count++
      }
      if (count < pageDocuments) break
    }
  }
}

/** The number of documents under a prefix, whatever they are of. */
export async function countDocuments(url: string, prefix: string): Promise<number> {
  await request(url, 'POST', `/${prefix}*/_refresh`)
  const answer = await request(
    url,
    'GET',
    `/${prefix}*/_count?ignore_unavailable=true&allow_no_indices=true`,
  )
  return (JSON.parse(answer.toString('utf8')) as { count: number }).count
}

async function request(url: string, method: string, path: string, body?: unknown): Promise<Buffer> {
  const response = await fetch(`${url}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  })
  const answer = Buffer.from(await response.arrayBuffer())
  if (response.status >= 400 && response.status !== 404)
    throw new Error(
      `${method} ${path}: ${response.status} ${answer.toString('utf8').slice(0, 500)}`,
    )
  return answer
}

const indexField = Buffer.from('"_index":"')
const sourceField = Buffer.from('"_source":')
const sortField = Buffer.from('"sort":')

/** The hits of an answer; `_source` is cut out, because parsing would change numbers. */
function* hitsOf(answer: Buffer): Iterable<{ index: string; source: Buffer; sort: unknown }> {
  let position = answer.indexOf('"hits":[')
  if (position === -1) return
  for (;;) {
    const index = answer.indexOf(indexField, position)
    if (index === -1) return
    const indexStart = index + indexField.length
    const sourceStart = answer.indexOf(sourceField, indexStart) + sourceField.length
    const sourceEnd = endOfValue(answer, sourceStart)
    const sortStart = answer.indexOf(sortField, sourceEnd) + sortField.length
    const sortEnd = endOfValue(answer, sortStart)
    yield {
      index: answer.toString('utf8', indexStart, answer.indexOf(0x22, indexStart)),
      source: answer.subarray(sourceStart, sourceEnd),
      sort: JSON.parse(answer.toString('utf8', sortStart, sortEnd)),
    }
    position = sortEnd
  }
}

/** Where the object or array that begins at `start` ends. */
function endOfValue(text: Buffer, start: number): number {
  let depth = 0
  let quoted = false
  for (let i = start; i < text.length; i++) {
    const byte = text[i]!
    if (quoted) {
      if (byte === 0x5c) i++
      else if (byte === 0x22) quoted = false
    } else if (byte === 0x22) quoted = true
    else if (byte === 0x7b || byte === 0x5b) depth++
    else if ((byte === 0x7d || byte === 0x5d) && --depth === 0) return i + 1
  }
  throw new Error('an answer of Elasticsearch is cut off')
}

/** A session of MySQL, without the archiver's own client. */
export function mysqlSession(url: string): Connection {
  return createConnection({
    uri: url,
    supportBigNumbers: true,
    bigNumberStrings: true,
    dateStrings: true,
  })
}

/** Runs a statement and ends the session. */
export async function askMysql<T>(url: string, sql: string): Promise<T> {
  const session = mysqlSession(url)
  try {
    return await new Promise<T>((resolve, reject) => {
      session.on('error', reject)
      session.query(sql, (error, rows) => (error === null ? resolve(rows as T) : reject(error)))
    })
  } finally {
    session.destroy()
  }
}

/** Every row of a table, and of the one of rejects, which counts as if it lay in the first. */
export async function* rowsHeld(url: string, table: string): AsyncGenerator<HeldRecord> {
  for (const name of [table, `${table}_rejected`]) {
    const session = mysqlSession(url)
    try {
      for await (const row of session.query(`SELECT * FROM ${name}`).stream())
        yield heldInRow(row as HeldRow)
    } finally {
      session.destroy()
    }
  }
}
