import { NotRegular, type ReadableHome } from '../../home/home.ts'
import { LF } from '../../record/ascii.ts'
import { decodeLine } from '../../record/line/decoder.ts'
import type { SourceRecord, TopicPartition } from '../../record/record.ts'
import { ArchiverError, systemCode } from '../../runtime/errors.ts'
import { CommitLog } from '../log/commit-log.ts'
import type { ManifestFile } from '../log/manifest.ts'
import { isPruned, readPruned } from '../log/pruned.ts'
import { inflate, memberHead, readBlocks } from './members.ts'

const maxRecords = 32
/** Max manifests to look at, because those of gaps have no file. */
const maxManifests = 16
/** The first read at the end of a file. A member is smaller, unless it is one large record. */
const firstTailBytes = 1.25 * 2 ** 20

/**
 * The last archived records of a partition, in order, from the end of the file with the highest
 * offset. None if no record can be read, or if the files of the last manifests were pruned. Reads
 * the end of one file.
 *
 * @throws ArchiverError `MANIFEST_INVALID` if the log cannot be listed
 */
export async function lastRecords(
  home: ReadableHome,
  tp: TopicPartition,
): Promise<readonly SourceRecord[]> {
  const log = await CommitLog.open(home, tp)
  const pruned = await readPruned(home, tp)
  for (const { from } of log.entries.slice(-maxManifests).reverse()) {
    const manifest = await log.covering(from).catch(() => undefined)
    const files = manifest?.files.filter((file) => !isPruned(pruned.files, file)) ?? []
    const last = files.reduce<ManifestFile | undefined>(
      (a, b) => (a !== undefined && a.last > b.last ? a : b),
      undefined,
    )
    if (last === undefined) continue
    const text = (await readLastMember(home, last.path)) ?? (await replacement(home, log, last))
    return text === undefined ? [] : lastLines(text).map((line) => decodeLine(line).record)
  }
  return []
}

/**
 * Some archived records from an offset on, in order: the beginning of the file with the lowest
 * offset there. None in the same cases as `lastRecords`. Reads the beginning of one file.
 *
 * @throws ArchiverError `MANIFEST_INVALID` if the log cannot be listed
 */
export async function firstRecords(
  home: ReadableHome,
  tp: TopicPartition,
  from: number,
): Promise<readonly SourceRecord[]> {
  const log = await CommitLog.open(home, tp)
  const pruned = await readPruned(home, tp)
  const last = log.entries.findLastIndex((entry) => entry.from <= from)
  for (const entry of log.entries.slice(Math.max(0, last), Math.max(0, last) + maxManifests)) {
    const manifest = await log.covering(entry.from).catch(() => undefined)
    const files =
      manifest?.files.filter((file) => file.first >= from && !isPruned(pruned.files, file)) ?? []
    const first = files.reduce<ManifestFile | undefined>(
      (a, b) => (a !== undefined && a.first < b.first ? a : b),
      undefined,
    )
    if (first === undefined) continue
    const text = (await readFirstMember(home, first.path)) ?? Buffer.alloc(0)
    return firstLines(text).map((line) => decodeLine(line).record)
  }
  return []
}

async function readFirstMember(home: ReadableHome, path: string): Promise<Buffer | undefined> {
  try {
    for await (const block of readBlocks(home, path, 1)) return block
  } catch (error) {
    if (!(error instanceof ArchiverError)) throw error
  }
  return undefined
}

function firstLines(text: Buffer): Buffer[] {
  const lines: Buffer[] = []
  for (let start = 0; start < text.length && lines.length < maxRecords; ) {
    const end = text.indexOf(LF, start)
    lines.push(text.subarray(start, end))
    start = end + 1
  }
  return lines
}

/** A compaction may have merged the file meanwhile. */
async function replacement(
  home: ReadableHome,
  log: CommitLog,
  file: ManifestFile,
): Promise<Buffer | undefined> {
  const other = await log.replacementOf(file)
  return other && readLastMember(home, other.path)
}

function lastLines(text: Buffer): Buffer[] {
  const lines: Buffer[] = []
  for (let end = text.length - 1; end > 0 && lines.length < maxRecords; ) {
    const start = text.lastIndexOf(LF, end - 1) + 1
    lines.unshift(text.subarray(start, end))
    end = start - 1
  }
  return lines
}

/**
 * The text of the last gzip member of a file; undefined if the file or its end cannot be read,
 * which `verify` names.
 */
async function readLastMember(home: ReadableHome, path: string): Promise<Buffer | undefined> {
  try {
    const file = await home.open(path)
    if (file === undefined) return undefined
    try {
      const size = file.bytes
      for (let bytes = firstTailBytes; ; bytes *= 8) {
        const tail = Buffer.allocUnsafeSlow(Math.min(size, bytes))
        await file.read(tail, size - tail.length)
        // Bytes inside a member may look like the beginning of one; then they cannot be
        // decompressed.
        for (
          let at = tail.lastIndexOf(memberHead);
          at !== -1;
          at = at === 0 ? -1 : tail.lastIndexOf(memberHead, at - 1)
        ) {
          const { text } = await inflate(tail.subarray(at))
          if (text?.at(-1) === LF) return text
        }
        if (tail.length === size) return undefined
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    const isOfFile =
      error instanceof NotRegular ||
      error instanceof ArchiverError ||
      systemCode(error) !== undefined
    if (!isOfFile) throw error
    return undefined
  }
}
