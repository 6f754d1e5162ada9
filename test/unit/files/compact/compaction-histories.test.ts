import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type CompactionOptions,
  compactPartition,
} from '../../../../src/files/compact/compaction.ts'
import { completeCompaction } from '../../../../src/files/compact/completion.ts'
import { StagingGone } from '../../../../src/home/home.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import {
  assertWhole,
  batch,
  begin,
  msPerHour,
  newSink,
  openWhole,
  pass,
  quiet,
  tp,
} from '../../../helpers/compaction.ts'
import { type Fault, isInjected } from '../../../helpers/faults.ts'
import type { Actor, Gates } from '../../../helpers/gates.ts'
import { type FaultOf, MemoryStore } from '../../../helpers/memory-home.ts'
import { seeded } from '../../../helpers/seeded.ts'
import { inDirectory, inMemory, type TestArchive } from '../../../helpers/test-archive.ts'

/**
 * Random histories of two workers that believe they own a partition and two compactions of it. They
 * freeze, thaw and die before any step; in memory their calls fail, lose their answers or take
 * effect late, too, and what is staged is lost after its commit. A seed names a history.
 */

interface History {
  readonly archive: TestArchive
  readonly random: () => number
  /** The end of what a writer knows to be committed. */
  acknowledged: number
  /** Calls fail: also the look whether staging is gone because another writer committed. */
  readonly hasFaults: boolean
  /** What is staged may be lost after its commit. */
  readonly isLossy: boolean
  readonly unexpected: unknown[]
}

function isExpected(error: unknown, { hasFaults, isLossy }: History): boolean {
  if (isInjected(error)) return true
  if (!(error instanceof ArchiverError)) return false
  if (isLossy && / was lost between its commit and its publication /.test(error.message))
    return true
  return error.code === 'FENCED' || (hasFaults && error.cause instanceof StagingGone)
}

/**
 * A worker that believes it owns the partition: opens it, flushes some ranges, opens it again when
 * it was fenced or its home failed.
 */
async function write(history: History, worker: string, rounds: number): Promise<void> {
  const { archive, random } = history
  const sink = newSink(archive.home(), worker)
  for (let round = 0; round < rounds; round++) {
    try {
      let from = await openWhole(sink)
      for (let flushes = 1 + Math.floor(random() * 4); flushes > 0; flushes--) {
        const next = from + 1 + Math.floor(random() * 12)
        const written = sink.write(batch(from, next)).then(() => {
          history.acknowledged = Math.max(history.acknowledged, next)
        })
        await Promise.all([sink.flush([tp]), written])
        from = next
      }
    } catch (error) {
      if (!isExpected(error, history)) history.unexpected.push(error)
    }
  }
  await sink.close(tp)
}

function compactionOptions(random: () => number): CompactionOptions {
  return {
    compactAfterMs: 0,
    // Hours that have not closed yet for one pass have for the next.
    now: Date.now() + Math.floor(random() * 2) * 20 * msPerHour,
    // Files have some hundred bytes: tiers and the cap come into play.
    maxBytes: random() < 0.5 ? 2000 : 2 ** 30,
    limits: {
      maxFiles: 12,
      maxTaken: 10 + Math.floor(random() * 40),
      maxCopied: random() < 0.3 ? 1000 : 2 ** 30,
      minFolded: 1 + Math.floor(random() * 3),
      freeBytes: random() < 0.5 ? 0 : 1000,
    },
  }
}

async function compact(history: History, worker: string, rounds: number): Promise<void> {
  const { archive, random, unexpected } = history
  const context = { home: archive.home(), worker, log: quiet }
  for (let round = 0; round < rounds; round++) {
    try {
      await compactPartition(context, tp, compactionOptions(random))
    } catch (error) {
      if (!isExpected(error, history)) unexpected.push(error)
    }
  }
}

/** How often an actor freezes, or dies, at a step. */
interface Odds {
  readonly freezes: number
  readonly deaths: number
}

/** Lets four actors act until they are over; who dies is followed by another of its kind. */
async function act(
  history: History,
  gates: Gates,
  { freezes, deaths }: Odds,
  beforeStep: () => void,
): Promise<void> {
  const { random } = history
  let born = 0
  const beginActor = (kind: string) => {
    const name = `${kind}${born++}`
    const does = kind === 'writer' ? write : compact
    return gates.start(name, () => does(history, name, 3))
  }
  for (const kind of ['writer', 'writer', 'compactor', 'compactor']) beginActor(kind)
  await gates.run((ready) => {
    beforeStep()
    const actor: Actor = ready[Math.floor(random() * ready.length)]!
    if (random() < freezes) {
      actor.frozenFor = 20 + Math.floor(random() * 400)
      return undefined
    }
    if (random() < deaths && born < 12) {
      gates.kill(actor)
      beginActor(actor.name.replace(/\d+/, ''))
      return undefined
    }
    return actor
  })
}

/** A quiet point: one actor takes the partition over, and no other acts. Then it is whole. */
async function endWhole(history: History): Promise<void> {
  const { archive } = history
  await write(history, 'last', 1)
  await completeCompaction({ home: archive.home(), log: quiet }, tp)
  assert.deepEqual(history.unexpected, [])
  await assertWhole(archive, history.acknowledged)
  for (let i = 0; i < 10; i++) await pass(archive, {}, 'last')
  await assertWhole(archive, history.acknowledged)
}

const odds = {
  freezes: fc.constantFrom(0, 0.01, 0.05),
  deaths: fc.constantFrom(0, 0.004),
}
const reporting = { endOnFailure: true, includeErrorInReport: true }

test('a directory: whoever writes, compacts, freezes, thaws or dies at whatever call: every offset is there exactly once', async (t) => {
  const { gates, create } = await inDirectory.begin(t)
  const isWhole = fc.asyncProperty(fc.integer(), fc.record(odds), async (seed, chances) => {
    const archive = await begin(create())
    const random = seeded(seed)
    const history = {
      archive,
      random,
      hasFaults: false,
      isLossy: false,
      acknowledged: 0,
      unexpected: [],
    }
    await act(history, gates, chances, () => {})
    await endWhole(history)
    await archive.drop()
  })
  // Thousands of calls each; a change of the protocol deserves a night of it.
  await fc.assert(isWhole, { numRuns: Number(process.env.COMPACTION_RUNS ?? 4), ...reporting })
})

test('memory: whoever else fails, hears no answer, or acts late: every offset is there exactly once', async (t) => {
  const { gates, create } = await inMemory.begin(t)
  const faults = fc.record({
    often: fc.constantFrom(0, 0.005, 0.03),
    /** How often what a committed file would be published from is lost. */
    expires: fc.constantFrom(0, 0.02, 0.1),
    kind: fc.constantFrom<readonly Fault[]>(
      ['fails'],
      ['lost answer'],
      ['late'],
      ['fails', 'lost answer', 'late'],
    ),
  })
  const isWhole = fc.asyncProperty(
    fc.integer(),
    fc.record(odds),
    faults,
    async (seed, chances, { often, kind, expires }) => {
      const random = seeded(seed)
      let isQuiet = true
      const store = new MemoryStore()
      const faultOf: FaultOf = () =>
        !isQuiet && random() < often ? kind[Math.floor(random() * kind.length)] : undefined
      const archive = await begin(create(store, faultOf))
      const hasFaults = often > 0
      const isLossy = expires > 0
      const history = { archive, random, hasFaults, isLossy, acknowledged: 0, unexpected: [] }
      isQuiet = false
      await act(history, gates, chances, () => {
        if (store.late.length > 0 && random() < 0.02) store.takeEffect()
        if (random() < expires) store.expire((items) => items[Math.floor(random() * items.length)]!)
      })
      isQuiet = true
      // Half of what was late comes before the quiet point, and half after it.
      while (store.late.length > 0 && random() < 0.5) store.takeEffect()
      await endWhole(history)
      while (store.late.length > 0) store.takeEffect()
      await endWhole(history)
    },
  )
  await fc.assert(isWhole, { numRuns: Number(process.env.COMPACTION_RUNS ?? 60), ...reporting })
})
