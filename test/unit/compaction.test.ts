import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { ArchiverError } from '../../src/errors.ts'
import { CommitLog } from '../../src/files/catalog.ts'
import { type CompactionOptions, compactPartition, completeCompaction } from '../../src/files/compaction.ts'
import { FilesSink } from '../../src/files/sink.ts'
import { createLogger } from '../../src/log.ts'
import { checkPartition } from '../../src/verify/partition.ts'
import { strayFiles } from '../../src/verify/strays.ts'
import { makeBatch } from '../chaos/records.ts'
import { GatedFiles } from '../helpers/gated-files.ts'
import { temporaryDirectory } from '../helpers/servers.ts'
import { readFiles } from '../helpers/stores.ts'

const tp = { topic: 'events', partition: 3 }
const log = createLogger({ level: 'silent', stream: process.stderr })
const msPerHour = 3_600_000
const start = (Math.floor(Date.now() / msPerHour) - 16) * msPerHour

/** Two types, and an hour every nine records, some of them late. */
const typeOf = (offset: number) => (offset % 3 === 0 ? 'b' : 'a')
const timestampOf = (offset: number) => start + Math.floor((offset % 7 === 0 ? offset / 2 : offset) / 9) * msPerHour

/** A generator of numbers from 0 to 1 (mulberry32), so that a seed names a history. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

interface History {
  readonly root: string
  readonly random: () => number
  /** The end of what a writer was told is committed. */
  acknowledged: number
  readonly unexpected: unknown[]
}

function isExpected(error: unknown): boolean {
  return error instanceof ArchiverError && error.code === 'FENCED'
}

/** A worker that believes it owns the partition: opens it, flushes some ranges, opens it again where it was fenced. */
async function write(history: History, worker: string, rounds: number): Promise<void> {
  const { root, random } = history
  const sink = new FilesSink(
    {
      archiveDir: root,
      clusterId: 'cluster',
      group: 'group',
      worker,
      gzipLevel: 1,
      flushIntervalMs: 3_600_000,
      flushBytes: 2 ** 30,
      memoryLimit: 64 * 2 ** 20,
      committedOffset: () => undefined,
      compactAfterMs: 0,
    },
    log,
  )
  for (let round = 0; round < rounds; round++) {
    let { next: from } = (await sink.open(tp, 0)) as { next: number }
    try {
      for (let flushes = 1 + Math.floor(random() * 4); flushes > 0; flushes--) {
        const next = from + 1 + Math.floor(random() * 12)
        const written = sink.write(makeBatch(tp, from, next, typeOf, timestampOf)).then(() => {
          history.acknowledged = Math.max(history.acknowledged, next)
        })
        await Promise.all([sink.flush([tp]), written])
        from = next
      }
    } catch (error) {
      if (!isExpected(error)) history.unexpected.push(error)
    }
  }
  await sink.close(tp)
}

function compactionOptions(random: () => number): CompactionOptions {
  return {
    compactAfterMs: 0,
    // Hours that have not closed yet for one pass have for the next.
    now: Date.now() + Math.floor(random() * 2) * 20 * msPerHour,
    limits: { mostFiles: 12, mostTaken: 10 + Math.floor(random() * 40), leastFolded: 1 + Math.floor(random() * 3) },
  }
}

async function compact({ root, random, unexpected }: History, worker: string, rounds: number): Promise<void> {
  const context = { root, worker, log, onFile: <T>(task: () => Promise<T>) => task() }
  for (let round = 0; round < rounds; round++) {
    try {
      await compactPartition(context, tp, compactionOptions(random))
    } catch (error) {
      unexpected.push(error)
    }
  }
}

async function assertWhole({ root, acknowledged, unexpected }: History): Promise<void> {
  assert.deepEqual(unexpected, [])
  const next = (await (await CommitLog.open(root, tp)).next()) ?? 0
  assert.ok(next >= acknowledged, `acknowledged up to ${acknowledged}, the log ends at ${next}`)
  const held = (await readFiles(root)).map(({ offset }) => offset).sort((a, b) => a - b)
  assert.deepEqual(
    held,
    Array.from({ length: next }, (_, i) => i),
  )
  const verdict = await checkPartition({
    root,
    tp,
    thoroughness: 'full',
    elasticsearch: undefined,
    kafka: undefined,
    onProgress: () => {},
  })
  assert.deepEqual(verdict.problems, [])
  for await (const path of strayFiles(root, [tp], undefined)) assert.fail(`${path} is a stray file`)
}

async function newArchive(base: string, name: string): Promise<string> {
  const root = join(base, name)
  const sink = new FilesSink(
    {
      archiveDir: root,
      clusterId: 'cluster',
      group: 'group',
      worker: 'first',
      gzipLevel: 1,
      flushIntervalMs: 3_600_000,
      flushBytes: 2 ** 30,
      memoryLimit: 64 * 2 ** 20,
      committedOffset: () => undefined,
      compactAfterMs: 0,
    },
    log,
  )
  await sink.start(() => {})
  await sink.stop()
  return root
}

test('whoever writes, compacts, freezes, thaws or dies at whatever call: every offset is there exactly once', async (t) => {
  const base = await temporaryDirectory(t)
  const files = new GatedFiles(t)
  let runs = 0
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      fc.constantFrom(0, 0.01, 0.05),
      fc.constantFrom(0, 0.004),
      async (seed, freezes, deaths) => {
        const random = randomFrom(seed)
        const root = await newArchive(base, `run-${runs++}`)
        const history: History = { root, random, acknowledged: 0, unexpected: [] }
        let born = 0
        const begin = (kind: string) => {
          const name = `${kind}${born++}`
          const act = kind === 'writer' ? write : compact
          return files.start(name, () => act(history, name, 3))
        }
        for (const kind of ['writer', 'writer', 'compactor', 'compactor']) begin(kind)
        await files.run((ready) => {
          const actor = ready[Math.floor(random() * ready.length)]!
          if (random() < freezes) {
            actor.frozenFor = 20 + Math.floor(random() * 400)
            return undefined
          }
          if (random() < deaths && born < 12) {
            files.kill(actor)
            begin(actor.name.replace(/\d+/, ''))
            return undefined
          }
          return actor
        })
        // A quiet point: somebody takes the partition over, and nobody else acts.
        await write(history, 'last', 1)
        await completeCompaction({ root, worker: 'last', log, onFile: (task) => task() }, tp)
        await assertWhole(history)
        for (let i = 0; i < 10; i++) {
          const context = { root, worker: 'last', log, onFile: <T>(task: () => Promise<T>) => task() }
          await compactPartition(context, tp, { compactAfterMs: 0, now: Date.now() + 1e9, limits: { leastFolded: 1 } })
        }
        await assertWhole(history)
        await rm(root, { recursive: true })
      },
    ),
    { numRuns: Number(process.env.COMPACTION_RUNS ?? 30), endOnFailure: true, includeErrorInReport: true },
  )
})
