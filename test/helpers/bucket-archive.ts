import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { type Compaction, compactPartition } from '../../src/files/compact/compaction.ts'
import { listLog } from '../../src/files/log/log-listing.ts'
import { type Manifest, readManifest } from '../../src/files/log/manifest.ts'
import {
  manifestDirectory,
  manifestName,
  originOf,
  parseDataFileName,
} from '../../src/files/log/path.ts'
import type { FilesSink } from '../../src/files/sink.ts'
import type { Home, ReadableHome } from '../../src/home/home.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import type { RecordBatch, TopicPartition } from '../../src/record/record.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { august } from './archive.ts'

/** Archives in any home, made by the program's own sink, and what they hold. */

export const tp: TopicPartition = { topic: 'events', partition: 3 }

const encoder = new LineEncoder({ from: 'value', path: ['type'] })
const quiet = createLogger({ level: 'silent', stream: process.stderr })

/** Records of two types, in the hour of August. */
export function encodedBatch(from: number, next: number): RecordBatch {
  const records = Array.from({ length: next - from }, (_, i) => ({
    offset: from + i,
    timestamp: august + (from + i) * 100,
    key: null,
    value: Buffer.from(JSON.stringify({ type: (from + i) % 3 === 0 ? 'b' : 'a', n: from + i })),
    headers: [],
  }))
  return encoder.encode({ ...tp, from, next, records }, [])
}

/** Flushes such records. Settles when they are committed. */
export async function flush(sink: FilesSink, from: number, next: number): Promise<void> {
  const written = sink.write(encodedBatch(from, next))
  await sink.flush([tp])
  await written
}

/** Merges all that is there, as a worker does once the hour is over. */
export function compactNow(home: Home): Promise<Compaction> {
  return compactPartition({ home, worker: 'compactor', log: quiet }, tp, {
    compactAfterMs: 0,
    now: Date.now(),
    limits: { minFolded: 1 },
  })
}

/** The content of a name; undefined if nothing has it. */
export async function contentOf(home: ReadableHome, name: string): Promise<Buffer | undefined> {
  const file = await home.open(name)
  if (file === undefined) return undefined
  const content = Buffer.alloc(file.bytes)
  await file.read(content, 0)
  await file.close()
  return content
}

/** The names of the data files, as a reader that lists by glob sees them. */
export async function dataFiles(home: ReadableHome): Promise<string[]> {
  const names: string[] = []
  for await (const name of home.walk('', (path) => !path.startsWith('_')))
    if (name.endsWith('.jsonl.gz')) names.push(name)
  return names
}

/** How often the data files contain each offset. */
export async function offsetsIn(home: ReadableHome): Promise<Map<number, number>> {
  const found = new Map<number, number>()
  for (const name of await dataFiles(home)) {
    const content = await contentOf(home, name)
    // Merged and removed between the two requests.
    if (content === undefined) continue
    for (const line of gunzipSync(content).toString().trimEnd().split('\n')) {
      const { kafka } = JSON.parse(line) as { kafka: { offset: number } }
      found.set(kafka.offset, (found.get(kafka.offset) ?? 0) + 1)
    }
  }
  return found
}

/** True if two data files of one type have offsets in common. */
export function overlap(names: readonly string[]): boolean {
  const ends = new Map<string, number>()
  const files = names
    .map((name) => ({
      directory: name.slice(0, name.lastIndexOf('/')),
      ...parseDataFileName(name.slice(name.lastIndexOf('/') + 1))!,
    }))
    .sort((a, b) => a.first - b.first)
  return files.some(({ directory, first, last }) => {
    const isInside = first <= (ends.get(directory) ?? -1)
    ends.set(directory, last)
    return isInside
  })
}

/** The manifests in force, in order. */
export async function manifestsIn(home: ReadableHome, of = tp): Promise<Manifest[]> {
  const { entries } = await listLog(home, of)
  return Promise.all(
    entries.map(
      async ({ from, compacted }) => (await readManifest(home, of, from, compacted?.generation))!,
    ),
  )
}

/** The place where a log's chain breaks; undefined if each manifest names the one before it. */
export async function brokenLink(home: ReadableHome): Promise<string | undefined> {
  const sha256 = async (name: string) =>
    createHash('sha256')
      .update((await contentOf(home, name))!)
      .digest('hex')
  let before = await sha256(originOf(tp))
  for (const { from, generation, prev, head } of await manifestsIn(home)) {
    if (prev !== before) return `${from} has ${prev}, before it is ${before}`
    before =
      generation === undefined
        ? await sha256(`${manifestDirectory(tp)}/${manifestName(from)}`)
        : head!
  }
  return undefined
}
