import assert from 'node:assert/strict'
import {
  type CopiedPartition,
  type CopyContext,
  copyPartition,
} from '../../src/files/copy/partition.ts'
import { beginCopy, finishCopy } from '../../src/files/copy/target.ts'
import { listPartitions } from '../../src/files/log/commit-log.ts'
import type { FilesSink } from '../../src/files/sink.ts'
import type { Home } from '../../src/home/home.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { checkPartition } from '../../src/verify/partition.ts'
import { strayFiles } from '../../src/verify/strays.ts'
import { dataFiles, offsetsIn, tp } from './bucket-archive.ts'
import { createFilesSink } from './files-sink.ts'

const quiet = createLogger({ level: 'silent', stream: process.stderr })

/** A worker of the archive in a home, and the position that it finds. */
export async function workerOf(
  home: Home,
  worker = 'writer',
): Promise<{ readonly sink: FilesSink; readonly next: number | undefined }> {
  const sink = createFilesSink('', { home, worker })
  await sink.start(() => {})
  const { next } = await sink.open(tp, 0)
  return { sink, next }
}

/** A copy as the command makes it, without a proof. */
export async function copyArchive(
  source: Home,
  target: Home,
  more: Partial<CopyContext> = {},
): Promise<CopiedPartition[]> {
  const note = await beginCopy(source, target)
  const context: CopyContext = {
    source,
    target,
    log: quiet,
    onFile: (task) => task(),
    copied: () => {},
    ...more,
  }
  const copied: CopiedPartition[] = []
  for (const one of await listPartitions(source)) copied.push(await copyPartition(context, one))
  await finishCopy(target, note)
  return copied
}

/** Every offset below `next` is in the data files once, and `verify` finds nothing else. */
export async function assertHolds(home: Home, next: number): Promise<void> {
  const found = await offsetsIn(home)
  assert.deepEqual(
    [...found].sort(([a], [b]) => a - b),
    Array.from({ length: next }, (_, offset) => [offset, 1]),
  )
  const verdict = await checkPartition({
    home,
    tp,
    thoroughness: 'full',
    elasticsearch: undefined,
    kafka: undefined,
    onProgress: () => {},
  })
  assert.deepEqual(verdict.problems, [])
  assert.equal(verdict.records, next)
  for await (const stray of strayFiles(home, [tp], undefined)) assert.fail(`stray: ${stray}`)
}

/** The same data files, and the same records of them. */
export async function assertSameFiles(a: Home, b: Home): Promise<void> {
  assert.deepEqual((await dataFiles(a)).sort(), (await dataFiles(b)).sort())
}
