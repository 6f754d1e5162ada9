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
import { isSelected } from '../files/read/selection.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import { ArchiverError, errorFields, messageOf } from '../runtime/errors.ts'
import { count, plural, size } from '../runtime/format.ts'
import { createLogger } from '../runtime/log.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal } from '../runtime/terminal.ts'
import { openArchive } from './lib/archive-home.ts'
import { explainNothing } from './lib/nothing-selected.ts'
import { signalled } from './lib/program.ts'
import { table } from './lib/table.ts'

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
  await requireArchive(home)
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
  const outcomes: Outcome[] = []
  let failure: ArchiverError | undefined
  let shortage: Shortage | undefined
  try {
    const partitions = (await listPartitions(home)).filter((tp) => isSelected(selection, tp))
    if (partitions.length === 0) return await explainNothing(home, selection)
    for (const [i, tp] of partitions.entries()) {
      const outcome: Outcome = { tp, merged: 0, replaced: 0, bytes: 0, folded: 0 }
      outcomes.push(outcome)
      const tell = () =>
        terminal.setStatus(
          `${i + 1}/${partitions.length} ${partitionKey(tp)}: ${plural(outcome.replaced, 'file')} merged into ${count(outcome.merged)}`,
        )
      try {
        if (tp.error !== undefined) throw tp.error
        await compactWhole(context, tp, options, signal, (pass) => {
          add(outcome, pass)
          shortage ??= pass.shortage
          tell()
        })
      } catch (error) {
        signal.throwIfAborted()
        log.error(
          {
            event: 'partition_not_compacted',
            topic: tp.topic,
            partition: tp.partition,
            ...errorFields(error),
          },
          'a partition cannot be compacted',
        )
        failure ??=
          error instanceof ArchiverError
            ? error
            : new ArchiverError('ARCHIVE_UNUSABLE', messageOf(error))
      }
    }
    if (shortage !== undefined) {
      log.warn(
        { event: 'files_not_merged', ...shortageFields(home.title, shortage) },
        'some files are not merged: too little free space',
      )
    }
  } finally {
    terminal.close()
  }
  if (options.json) for (const outcome of outcomes) standardOutput.printJson(fieldsOf(outcome))
  else standardOutput.print(print(outcomes, options.dryRun))
  if (failure !== undefined) throw failure
}

async function compactWhole(
  context: CompactionContext,
  tp: TopicPartition,
  { compactAfter: compactAfterMs, compactMaxBytes: maxBytes, dryRun }: CompactOptions,
  signal: AbortSignal,
  done: (pass: Compaction) => void,
): Promise<void> {
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
    { head: 'partition' },
    { head: 'files', right: true },
    { head: isDryRun ? 'would become' : 'became', right: true },
    { head: 'bytes', right: true },
    { head: 'manifests folded', right: true },
  ]
  return table(columns, rows)
}
