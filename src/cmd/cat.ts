import type { CatOptions } from '../config/commands/cat.ts'
import { CommitLog, listPartitions, requireArchive } from '../files/log/commit-log.ts'
import type { Manifest } from '../files/log/manifest.ts'
import { readPruned } from '../files/log/pruned.ts'
import { findOffset } from '../files/read/find-offset.ts'
import { readLines } from '../files/read/lines.ts'
import { isGone } from '../files/read/members.ts'
import { isSelected, type Selection } from '../files/read/selection.ts'
import type { ReadableHome } from '../home/home.ts'
import { decodeLine, valueOfLine } from '../record/line/decoder.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { standardOutput } from '../runtime/standard-streams.ts'
import { StrictFilter } from './cat/strict-filter.ts'
import { type Condition, parseCondition } from './cat/where.ts'
import { openArchive } from './lib/archive-home.ts'
import { explainNothing } from './lib/nothing-selected.ts'
import { signalled, unlessStopped } from './lib/program.ts'
import { readableBytes } from './lib/readable.ts'
import { selectionOf } from './lib/selection-options.ts'

const lf = Buffer.from('\n')
const chunkBytes = 64 * 1024
/** Maximum number of retries for a record whose file is merged during the search. */
const maxTries = 5

/** Prints records of an archive as they are stored, one line each. */
export async function cat(options: CatOptions): Promise<void> {
  await using home = await openArchive(options)
  const condition = options.where === undefined ? undefined : parseCondition(options.where)
  const signal = signalled()
  await unlessStopped(requireArchive(home))
  const output = new Output(options.valueOnly, signal)
  const strict = options.strict ? new StrictFilter(options.valueOnly) : undefined
  if (options.offset !== undefined) {
    const line = await lineOf(home, options.offset, selectionOf(options))
    if (strict?.takes(line) ?? true) await output.print(line)
    await output.flush()
  } else await printSelected(home, options, { condition, strict }, output, signal)
  strict?.throwIfAny()
}

async function printSelected(
  home: ReadableHome,
  options: CatOptions,
  {
    condition,
    strict,
  }: { readonly condition: Condition | undefined; readonly strict: StrictFilter | undefined },
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { order, limit } = options
  const matches = (line: Buffer) => {
    signal.throwIfAborted()
    return (condition?.(line) ?? true) && (strict?.takes(line) ?? true)
  }
  let found = false
  for await (const { block, start, end } of readLines(home, selectionOf(options), {
    order,
    limit,
    matches,
  })) {
    found = true
    const full = output.print(block.subarray(start, end))
    if (full !== undefined) await full
  }
  await output.flush()
  if (!found && (strict?.leftOut ?? 0) === 0)
    await explainNothing(home, selectionOf(options), options.where)
}

/**
 * Finds a record by the names of manifests and files. Of the files of its manifest, it reads only
 * those whose names allow for the record.
 * @throws ArchiverError `NOT_FOUND`, with the reason; `USAGE` if several partitions match
 */
export async function lineOf(
  home: ReadableHome,
  offset: number,
  selection: Selection,
): Promise<Buffer> {
  const candidates = (await listPartitions(home)).filter((tp) => isSelected(selection, tp))
  if (candidates.length > 1) {
    throw new ArchiverError(
      'USAGE',
      `--offset: name the --topic and the --partition; the archive holds ${candidates.slice(0, 8).map(partitionKey).join(', ')}${candidates.length > 8 ? ' …' : ''}`,
    )
  }
  const [tp] = candidates
  if (tp === undefined)
    throw new ArchiverError('NOT_FOUND', 'the archive holds no such topic and partition')
  if (tp.error !== undefined) throw tp.error
  const log = await CommitLog.open(home, tp)
  const { manifest, line } = await lineIn(home, log, offset)
  if (line !== undefined) return line
  const gap = manifest?.gaps.find(({ from, next }) => from <= offset && offset < next)
  throw new ArchiverError(
    'NOT_FOUND',
    `${partitionKey(tp)} has no offset ${offset}: ${await whyNot(home, tp, log, gap?.reason)}`,
  )
}

async function lineIn(
  home: ReadableHome,
  log: CommitLog,
  offset: number,
): Promise<{ readonly manifest: Manifest | undefined; readonly line: Buffer | undefined }> {
  for (let tries = 0; ; tries++) {
    const manifest = await log.covering(offset)
    const files =
      manifest?.files.filter(({ first, last }) => first <= offset && offset <= last) ?? []
    try {
      return { manifest, line: await findOffset(home, files, offset) }
    } catch (error) {
      // A compaction may have merged the file since the manifest was read.
      if (!isGone(error) || tries === maxTries) throw error
      await log.refresh()
    }
  }
}

async function whyNot(
  home: ReadableHome,
  tp: TopicPartition,
  log: CommitLog,
  reason: string | undefined,
): Promise<string> {
  if (reason === 'not-delivered')
    return 'Kafka delivered no record (compaction, a transaction marker or an aborted transaction)'
  if (reason === 'oversized')
    return 'its record is larger than --max-record-bytes allowed; Kafka may still have it'
  if (reason !== undefined) return `it was lost before it was read (${reason})`
  const next = await log.next()
  if (next === undefined) return 'nothing is archived yet'
  const pruned = await readPruned(home, tp)
  return `the archive holds ${log.origin ?? 0} to ${next - 1}${pruned.files === undefined ? '' : ', except what was pruned'}`
}

/** Standard output in large pieces, at the speed of its reader. */
class Output {
  readonly #valueOnly: boolean
  readonly #signal: AbortSignal
  #pieces: Buffer[] = []
  #bytes = 0

  constructor(valueOnly: boolean, signal: AbortSignal) {
    this.#valueOnly = valueOnly
    this.#signal = signal
  }

  /** Returns a promise if the reader is behind. */
  print(line: Buffer): Promise<void> | undefined {
    const bytes = this.#valueOnly
      ? (valueOfLine(line) ?? decodeLine(line).record.value ?? Buffer.from('null'))
      : line
    // A terminal would obey control characters; anything else gets the bytes unchanged.
    const shown = standardOutput.isTTY ? Buffer.from(readableBytes(bytes)) : bytes
    this.#pieces.push(shown, lf)
    this.#bytes += shown.length + 1
    return this.#bytes >= chunkBytes ? this.flush() : undefined
  }

  async flush(): Promise<void> {
    const chunk = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#bytes = 0
    if (chunk.length === 0) return
    await standardOutput.send(chunk, this.#signal)
    this.#signal.throwIfAborted()
  }
}
