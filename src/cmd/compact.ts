import type { CompactOptions } from '../config/commands/compact.ts'
import { workerName } from '../config/worker.ts'
import {
  type Compaction,
  type CompactionContext,
  compactPartition,
} from '../files/compact/compaction.ts'
import { type Shortage, shortageFields } from '../files/compact/free-space.ts'
import { listPartitions, requireArchive } from '../files/log/commit-log.ts'
import { DamagedFiles } from '../files/log/damaged-files.ts'
import type { ListedPartition } from '../files/log/manifest.ts'
import { isSelected } from '../files/read/selection.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import { ArchiverError, errorFields, messageOf } from '../runtime/errors.ts'
import { describeFileError } from '../runtime/file-errors.ts'
import { count, plural, size } from '../runtime/format.ts'
import { mapInLanes } from '../runtime/lanes.ts'
import { createLogger } from '../runtime/log.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal, type Terminal } from '../runtime/terminal.ts'
import { openArchive } from './lib/archive-home.ts'
import { explainNothing } from './lib/nothing-selected.ts'
import { signalled, unlessStopped } from './lib/program.ts'
import { table } from './lib/table.ts'

/** Partitions of a bucket that are compacted at once: each holds some ten MiB. */
const partitionsAhead = 4

/** The sum of all passes over one topic-partition. */
interface Outcome {
  readonly tp: TopicPartition
  merged: number
  replaced: number
  bytes: number
  folded: number
}

/**
 * Merges the small files of past hours, and folds old manifests, in a whole archive. Workers may
 * use the archive at the same time.
 * @throws ArchiverError of the first partition that could not be compacted, after all others
 */
export async function compact(options: CompactOptions): Promise<void> {
  await using home = await openArchive(options)
  const signal = signalled()
  await unlessStopped(requireArchive(home))
  const terminal = createTerminal(standardError)
  const log = createLogger({
    level: options.logLevel,
    stream: { isTTY: terminal.isTTY, write: (line) => terminal.write(line) },
  })
  const context: CompactionContext = {
    home,
    worker: workerName(),
    log,
    damaged: new DamagedFiles(),
  }
  const selection = {
    topics: options.topic,
    partitions: options.partition === undefined ? undefined : [options.partition],
  }
  const partitions = (await unlessStopped(listPartitions(home))).filter((tp) =>
    isSelected(selection, tp),
  )
  if (partitions.length === 0) return await explainNothing(home, selection)
  const run: Run = { options, context, terminal, signal }
  const { outcomes, failure, shortage } = await compactAll(partitions, run).finally(() =>
    terminal.close(),
  )
  if (shortage !== undefined) {
    log.warn(
      { event: 'files_not_merged', ...shortageFields(home.title, shortage) },
      'some files are not merged: too little free space',
    )
  }
  if (options.json) for (const outcome of outcomes) standardOutput.printJson(fieldsOf(outcome))
  else standardOutput.print(print(outcomes, options.dryRun))
  if (failure !== undefined) throw failure
}

interface Run {
  readonly options: CompactOptions
  readonly context: CompactionContext
  readonly terminal: Terminal
  readonly signal: AbortSignal
}

interface Results {
  readonly outcomes: readonly Outcome[]
  /** Of the first partition that could not be compacted. */
  readonly failure: ArchiverError | undefined
  /** Of the first merge for which space was short. */
  readonly shortage: Shortage | undefined
}

async function compactAll(partitions: readonly ListedPartition[], run: Run): Promise<Results> {
  const { context, terminal, signal } = run
  let failure: ArchiverError | undefined
  let shortage: Shortage | undefined
  const compactOne = async ([i, tp]: readonly [number, ListedPartition]): Promise<Outcome> => {
    const outcome: Outcome = { tp, merged: 0, replaced: 0, bytes: 0, folded: 0 }
    try {
      if (tp.error !== undefined) throw tp.error
      await compactWhole(run, tp, (pass) => {
        add(outcome, pass)
        shortage ??= pass.shortage
        terminal.setStatus(
          `${i + 1}/${partitions.length} ${partitionKey(tp)}: ${plural(outcome.replaced, 'file')} merged into ${count(outcome.merged)}`,
        )
      })
    } catch (error) {
      signal.throwIfAborted()
      const { topic, partition } = tp
      context.log.error(
        { event: 'partition_not_compacted', topic, partition, ...errorFields(error) },
        'a partition cannot be compacted',
      )
      failure ??=
        error instanceof ArchiverError
          ? error
          : new ArchiverError('ARCHIVE_UNUSABLE', describeFileError(error) ?? messageOf(error))
    }
    return outcome
  }
  // Of a disk each pass takes what is free, so there is one at a time.
  const ahead = (await context.home.space()) === undefined ? partitionsAhead : 1
  const outcomes = await mapInLanes(partitions.entries(), ahead, compactOne)
  return { outcomes, failure, shortage }
}

async function compactWhole(
  { options, context, signal }: Run,
  tp: TopicPartition,
  done: (pass: Compaction) => void,
): Promise<void> {
  const { compactAfter: compactAfterMs, compactMaxBytes: maxBytes, dryRun } = options
  for (let isMore = true; isMore; ) {
    const pass = await compactPartition(context, tp, {
      compactAfterMs,
      maxBytes,
      now: Date.now(),
      dryRun,
      signal,
    })
    done(pass)
    // Only a finished pass knows whether more is left.
    isMore = pass.isMore && !dryRun
  }
}

function add(outcome: Outcome, { merged, replaced, bytes, folded }: Compaction): void {
  outcome.merged += merged
  outcome.replaced += replaced
  outcome.bytes += bytes
  outcome.folded += folded
}

function fieldsOf({ tp, merged, replaced, bytes, folded }: Outcome): Record<string, unknown> {
  return {
    ...tp,
    merged_files: merged,
    replaced_files: replaced,
    copied_bytes: bytes,
    manifests: folded,
  }
}

function print(outcomes: readonly Outcome[], isDryRun: boolean): string {
  const rows = outcomes
    .filter(({ merged, folded }) => merged > 0 || folded > 0)
    .map(({ tp, merged, replaced, bytes, folded }) => [
      partitionKey(tp),
      count(replaced),
      count(merged),
      size(bytes),
      count(folded),
    ])
  if (rows.length === 0) return 'nothing to compact'
  const columns = [
    { head: 'partition', min: 16 },
    { head: 'files', right: true },
    { head: isDryRun ? 'would become' : 'became', right: true },
    { head: 'bytes', right: true },
    { head: 'manifests folded', right: true },
  ]
  return table(columns, rows, standardOutput.columns)
}
