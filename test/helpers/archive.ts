import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { listLog } from '../../src/files/log/log-listing.ts'
import type { Manifest, ManifestFile } from '../../src/files/log/manifest.ts'
import { printManifest, readManifest } from '../../src/files/log/manifest.ts'
import { manifestDirectory, manifestName } from '../../src/files/log/path.ts'
import type { ReadableHome } from '../../src/home/home.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import type { Gap, SourceRecord, TopicPartition } from '../../src/record/record.ts'
import { createFilesSink } from './files-sink.ts'
import { homeAt } from './home.ts'
import { temporaryDirectory } from './servers.ts'

/** A record as tests write it: the rest is made up from its offset. */
export interface MadeUpRecord {
  readonly offset: number
  readonly type?: string
  readonly timestamp?: number
  readonly value?: Buffer | null
  readonly key?: Buffer | null
  readonly headers?: SourceRecord['headers']
}

/** 2019-08-01T03:00:00Z. */
export const august = Date.UTC(2019, 7, 1, 3)

/** Records of the offsets `[from, next)`, of types `a` and `b` in turn, a second apart. */
export function records(from: number, next: number): MadeUpRecord[] {
  return Array.from({ length: next - from }, (_, i) => ({
    offset: from + i,
    type: (from + i) % 3 === 0 ? 'b' : 'a',
    timestamp: august + (from + i) * 1000,
  }))
}

/**
 * An archive made by the program's own sink without any server: one flush for each list of records.
 * Gaps between the offsets of records are those that Kafka did not deliver.
 */
export async function makeArchive(
  t: TestContext,
  partitions: readonly {
    readonly tp: TopicPartition
    readonly flushes: readonly (readonly MadeUpRecord[])[]
  }[],
): Promise<string> {
  const root = join(await temporaryDirectory(t), 'archive')
  await addFlushes(root, partitions)
  return root
}

/**
 * More flushes of an archive; the first record of a partition is the one behind those that it has.
 */
export async function addFlushes(
  root: string,
  partitions: readonly {
    readonly tp: TopicPartition
    readonly flushes: readonly (readonly MadeUpRecord[])[]
  }[],
): Promise<void> {
  const sink = createFilesSink(root, {
    clusterId: 'test-cluster',
    group: 'test-group',
    worker: 'test-worker',
    memoryLimit: 2 ** 28,
  })
  await sink.start(() => {})
  const encoder = new LineEncoder({ from: 'value', path: ['type'] })
  for (const { tp, flushes } of partitions) {
    let next = flushes[0]![0]!.offset
    await sink.open(tp, next)
    for (const flush of flushes) {
      const from = next
      next = flush.at(-1)!.offset + 1
      const gaps: Gap[] = []
      const written = sink.write(
        encoder.encode({ ...tp, from, next, records: flush.map(sourceRecord) }, gaps),
      )
      await sink.flush([tp])
      await written
    }
  }
  await sink.stop()
}

function sourceRecord({
  offset,
  type,
  timestamp,
  value,
  key,
  headers,
}: MadeUpRecord): SourceRecord {
  return {
    offset,
    timestamp: timestamp ?? august,
    key: key === undefined ? Buffer.from(`k${offset}`) : key,
    value:
      value === undefined ? Buffer.from(JSON.stringify({ type: type ?? 'a', n: offset })) : value,
    headers: headers ?? [],
  }
}

/** The manifests of a partition that are in force, in order. */
export async function manifestsOf(
  place: string | ReadableHome,
  tp: TopicPartition,
): Promise<Manifest[]> {
  const home = typeof place === 'string' ? homeAt(place) : place
  const { entries } = await listLog(home, tp)
  return Promise.all(
    entries.map(
      async ({ from, compacted }) => (await readManifest(home, tp, from, compacted?.generation))!,
    ),
  )
}

/** Writes a manifest in place of the one that begins where it does. */
export async function putManifest(root: string, manifest: Manifest): Promise<void> {
  await writeFile(
    join(root, manifestDirectory(manifest), manifestName(manifest.from)),
    printManifest(manifest),
  )
}

/**
 * Rewrites the lines of a data file, and makes its manifest fit them: damage that no checksum
 * shows.
 */
export async function rewriteFile(
  root: string,
  manifest: Manifest,
  file: ManifestFile,
  change: (lines: string[]) => string[],
): Promise<void> {
  const path = join(root, file.path)
  const lines = gunzipSync(await readFile(path))
    .toString('utf8')
    .trimEnd()
    .split('\n')
  const changed = change(lines)
  const text = `${changed.join('\n')}\n`
  const bytes = gzipSync(text)
  await writeFile(path, bytes)
  const fitting = {
    ...file,
    records: changed.length,
    bytes: bytes.length,
    line_bytes: Buffer.byteLength(text),
    sha256: createHash('sha256').update(bytes).digest('hex'),
  }
  await putManifest(root, {
    ...manifest,
    records: manifest.records - file.records + fitting.records,
    files: manifest.files.map((one) => (one.path === file.path ? fitting : one)),
  })
}
