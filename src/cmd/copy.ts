import PQueue from 'p-queue'
import { type CopyOptions, copyTarget } from '../config/commands/copy.ts'
import { type CopiedPartition, type CopyContext, copyPartition } from '../files/copy/partition.ts'
import { beginCopy, finishCopy } from '../files/copy/target.ts'
import { listPartitions, requireArchive } from '../files/log/commit-log.ts'
import type { ListedPartition } from '../files/log/manifest.ts'
import { archiveMarker } from '../files/log/path.ts'
import { DamagedPartitions } from '../files/read/damaged-partitions.ts'
import { type Home, MayBeCreated, StagingGone } from '../home/home.ts'
import { openHome } from '../home/open-home.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import { ArchiverError, systemCode } from '../runtime/errors.ts'
import { count, plural, size } from '../runtime/format.ts'
import { createLogger } from '../runtime/log.ts'
import { standardError, standardOutput } from '../runtime/standard-streams.ts'
import { createTerminal, type Terminal } from '../runtime/terminal.ts'
import { HashedNames } from '../verify/hashed-names.ts'
import { ListedFiles } from '../verify/listed-files.ts'
import { checkPartition } from '../verify/partition.ts'
import { strayFiles } from '../verify/strays.ts'
import { throwUnlessProven, type Verdict } from '../verify/verdict.ts'
import { openArchive, proxiesTo } from './lib/archive-home.ts'
import { signalled, unlessStopped } from './lib/program.ts'
import { describeTotals, describeVerdict } from './lib/verify-report.ts'

/** Partitions and files that are copied at once. Memory holds some MiB of each file. */
const partitionsAtOnce = 4
const filesAtOnce = 8

/** A partition that was copied, and what `verify --fast` says of the target. */
interface Copied {
  readonly copied: CopiedPartition
  readonly verdict: Verdict
}

/**
 * Copies an archive from one home to another, and proves the copy. A copy that is repeated goes on
 * where the last one ended.
 * @throws ArchiverError `DAMAGED` after all others if a partition could not be copied, or if the
 *   copy is not proven.
 */
export async function copy(options: CopyOptions): Promise<void> {
  const terminal = createTerminal(standardError)
  const log = createLogger({
    level: options.logLevel,
    stream: { isTTY: terminal.isTTY, write: (line) => terminal.write(line) },
  })
  await using source = await openArchive(options, log)
  await using target = await openHome(copyTarget(options, proxiesTo(options.copyTo!)), log)
  const signal = signalled()
  await unlessStopped(requireArchive(source))
  // From here on something may be half done: before, a target that does not answer holds nobody.
  await unlessStopped(target.stat(archiveMarker))
  const note = await beginCopy(source, target)
  const partitions = await unlessStopped(listPartitions(source))
  const files = new PQueue({ concurrency: filesAtOnce })
  const progress = new Progress(terminal, partitions.length)
  const context: CopyContext = {
    source,
    target,
    log,
    signal,
    onFile: (task) => files.add(task),
    copied: (bytes) => progress.copied(bytes),
  }
  const print = (text: string) => {
    terminal.setStatus(undefined)
    if (!options.json) standardOutput.print(text)
  }
  try {
    const copied = await copyAll(context, partitions, progress, print)
    progress.say('comparing files and manifests')
    const { outcomes, strays } = await prove(context, copied, print)
    terminal.close()
    if (options.json) for (const outcome of outcomes) standardOutput.printJson(fieldsOf(outcome))
    throwUnlessProven(
      outcomes.map(({ verdict }) => verdict),
      strays,
    )
    await finishCopy(target, note)
    if (!options.json) standardOutput.print(summary(target, outcomes))
  } finally {
    terminal.close()
  }
}

async function copyAll(
  context: CopyContext,
  partitions: readonly ListedPartition[],
  progress: Progress,
  print: (text: string) => void,
): Promise<readonly CopiedPartition[]> {
  const { signal } = context
  const damaged = new DamagedPartitions((text) => print(text))
  const copied = new Map<string, CopiedPartition>()
  const queue = new PQueue({ concurrency: partitionsAtOnce })
  const failures: unknown[] = []
  const copyOne = async (tp: TopicPartition) => {
    try {
      signal?.throwIfAborted()
      copied.set(partitionKey(tp), await copyPartition(context, tp))
      progress.partitionDone()
    } catch (error) {
      const reason = signal?.aborted === true ? error : await explained(context, error)
      failures.push(reason)
      if (reason instanceof ArchiverError) damaged.add(tp, reason)
      // What concerns more than this partition ends the copy.
      else queue.clear()
    }
  }
  for (const tp of damaged.sound(partitions)) void queue.add(() => copyOne(tp))
  await queue.onIdle()
  signal?.throwIfAborted()
  const fault = failures.find((error) => !(error instanceof ArchiverError))
  if (fault !== undefined) throw fault
  damaged.throwIfAny()
  return partitions.map((tp) => copied.get(partitionKey(tp))!)
}

/** What `verify --fast` says of the copy. */
async function prove(
  { source, target, signal }: CopyContext,
  copies: readonly CopiedPartition[],
  print: (text: string) => void,
): Promise<{ readonly outcomes: readonly Copied[]; readonly strays: number }> {
  const listed = await ListedFiles.of(target)
  const named = new HashedNames()
  const outcomes: Copied[] = []
  for (const copied of copies) {
    const { tp, next, sourceNext } = copied
    const verdict = await checkPartition({
      home: target,
      tp,
      thoroughness: 'fast',
      listed,
      named,
      elasticsearch: undefined,
      kafka: undefined,
      onProgress: () => signal?.throwIfAborted(),
    })
    outcomes.push({ copied, verdict })
    print(describeVerdict(verdict))
    const more = sourceNext - next
    if (more > 0)
      print(
        `       ${plural(more, 'offset')} more ${more === 1 ? 'was' : 'were'} archived at ${source.title} meanwhile: run copy again`,
      )
  }
  let strays = 0
  const partitions = copies.map(({ tp }) => tp)
  for await (const path of strayFiles(target, partitions, undefined, named)) {
    strays++
    print(`BAD  stray-file: ${path}: no manifest names it`)
  }
  return { outcomes, strays }
}

/** An error of the system names its path, and so the home that it is of. */
async function explained({ source, target }: CopyContext, error: unknown): Promise<unknown> {
  if (error instanceof ArchiverError) return error
  const isOfHome =
    systemCode(error) !== undefined || error instanceof MayBeCreated || error instanceof StagingGone
  if (!isOfHome) return error
  const { path = '' } = error as { readonly path?: string }
  return await (path.startsWith(`${source.title}/`) ? source : target).explain(error)
}

/** One line: how far the copy is. */
class Progress {
  readonly #terminal: Terminal
  readonly #partitions: number
  #done = 0
  #files = 0
  #bytes = 0

  constructor(terminal: Terminal, partitions: number) {
    this.#terminal = terminal
    this.#partitions = partitions
  }

  copied(bytes: number): void {
    this.#files++
    this.#bytes += bytes
    this.#show()
  }

  partitionDone(): void {
    this.#done++
    this.#show()
  }

  say(line: string): void {
    this.#terminal.setStatus(line)
  }

  #show(): void {
    this.#terminal.setStatus(
      `${count(this.#done)} of ${plural(this.#partitions, 'partition')}, ${plural(this.#files, 'file')} copied (${size(this.#bytes)})`,
    )
  }
}

function fieldsOf({ copied, verdict }: Copied): Record<string, unknown> {
  const { tp, next, sourceNext, records, files, bytes } = copied
  return {
    ...tp,
    next,
    source_next: sourceNext,
    copied_records: records,
    copied_files: files,
    copied_bytes: bytes,
    proven: verdict.proven || verdict.manifests === 0,
  }
}

function summary(target: Home, outcomes: readonly Copied[]): string {
  const sum = (of: (copied: CopiedPartition) => number) =>
    outcomes.reduce((total, { copied }) => total + of(copied), 0)
  const now = `${plural(
    sum(({ files }) => files),
    'file',
  )} (${size(sum(({ bytes }) => bytes))})`
  return [
    `copied: ${now}; ${target.title} holds ${describeTotals(outcomes.map(({ verdict }) => verdict))}`,
    `each file had the sha256 of its manifest; archiver verify --no-kafka --no-elasticsearch --archive-dir ${target.title} reads the copy`,
  ].join('\n')
}
