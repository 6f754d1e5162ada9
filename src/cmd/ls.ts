import type { LsOptions } from '../config/commands/ls.ts'
import { isTaken } from '../files/compact/prune.ts'
import {
  CommitLog,
  hourOfFile,
  listPartitions,
  requireArchive,
  typeOf,
} from '../files/log/commit-log.ts'
import type { ManifestFile } from '../files/log/manifest.ts'
import { readPruned } from '../files/log/pruned.ts'
import { DamagedPartitions } from '../files/read/damaged-partitions.ts'
import { isSelected, mayHold, type Selection } from '../files/read/selection.ts'
import type { ReadableHome } from '../home/home.ts'
import { partitionKey, type TopicPartition } from '../record/record.ts'
import { unknownHour } from '../record/time.ts'
import { nameOfType } from '../record/type-name.ts'
import { count, size } from '../runtime/format.ts'
import { mapAhead } from '../runtime/lanes.ts'
import { standardOutput } from '../runtime/standard-streams.ts'
import { openArchive } from './lib/archive-home.ts'
import { explainNothing } from './lib/nothing-selected.ts'
import { selectionOf } from './lib/selection-options.ts'
import { table } from './lib/table.ts'

type Grouping = LsOptions['by']

/** Partitions whose manifests are read at once. */
const partitionsAhead = 8

/** The sum of some data files, as `--json` prints it. */
interface Holding {
  readonly name: string
  files: number
  records: number
  bytes: number
  line_bytes: number
  first_timestamp: number
  last_timestamp: number
  /** Undefined if the files are of several topic-partitions. */
  first_offset: number | undefined
  last_offset: number | undefined
}

/** Lists what an archive holds, from its manifests alone. */
export async function ls(options: LsOptions): Promise<void> {
  await using home = await openArchive(options)
  await requireArchive(home)
  const holdings = new Map<string, Holding>()
  const total = newHolding('total')
  const selection = selectionOf(options)
  const damaged = new DamagedPartitions()
  const selected = (await listPartitions(home)).filter((tp) => isSelected(selection, tp))
  const held = mapAhead(damaged.sound(selected), partitionsAhead, (tp) =>
    damaged.attempt(tp, () => holdingsOf(home, tp, options.by, selection)),
  )
  for await (const some of held) {
    for (const one of some ?? []) {
      const holding = holdings.get(one.name)
      if (holding === undefined) holdings.set(one.name, one)
      else add(holding, one)
      add(total, one)
    }
  }
  total.first_offset = undefined
  total.last_offset = undefined
  const sorted = [...holdings.values()].sort((a, b) => compareNames(a.name, b.name))
  if (holdings.size === 0 && !damaged.isAny) await explainNothing(home, selection)
  if (options.json) for (const one of sorted) standardOutput.printJson(one)
  else standardOutput.print(print(options.by, sorted, total))
  damaged.throwIfAny()
}

/**
 * The content of one topic-partition. Starts over if a compaction replaces manifests that were read
 * already.
 */
async function holdingsOf(
  home: ReadableHome,
  tp: TopicPartition,
  by: Grouping,
  selection: Selection,
): Promise<Iterable<Holding>> {
  const pruned = await readPruned(home, tp)
  for (;;) {
    const holdings = new Map<string, Holding>()
    let isWhole = true
    for await (const manifest of (await CommitLog.open(home, tp)).manifests()) {
      if ('error' in manifest) throw manifest.error
      if (manifest.isPart === true) {
        isWhole = false
        break
      }
      for (const file of manifest.files) {
        if (!mayHold(selection, tp, file) || (await isTaken(home, pruned.files, file))) continue
        const name = nameOf(by, tp, file)
        const holding = holdings.get(name) ?? newHolding(name)
        holdings.set(name, holding)
        add(holding, holdingOf(name, file, by === 'partition' || by === 'file'))
      }
    }
    if (isWhole) return holdings.values()
  }
}

function holdingOf(name: string, file: ManifestFile, withOffsets: boolean): Holding {
  return {
    name,
    files: 1,
    records: file.records,
    bytes: file.bytes,
    line_bytes: file.line_bytes,
    first_timestamp: file.min_timestamp,
    last_timestamp: file.max_timestamp,
    first_offset: withOffsets ? file.first : undefined,
    last_offset: withOffsets ? file.last : undefined,
  }
}

function newHolding(name: string): Holding {
  return {
    name,
    files: 0,
    records: 0,
    bytes: 0,
    line_bytes: 0,
    first_timestamp: Number.POSITIVE_INFINITY,
    last_timestamp: Number.NEGATIVE_INFINITY,
    first_offset: undefined,
    last_offset: undefined,
  }
}

function nameOf(by: Grouping, tp: TopicPartition, file: ManifestFile): string {
  switch (by) {
    case 'type':
      return nameOfType(typeOf(file))
    case 'day':
      return timeOf(file).slice(0, 10)
    case 'hour':
      return timeOf(file).slice(0, 13)
    case 'partition':
      return partitionKey(tp)
    case 'file':
      return file.path
  }
}

function timeOf(file: ManifestFile): string {
  return hourOfFile(file) === unknownHour ? 'unknown' : new Date(file.min_timestamp).toISOString()
}

function add(holding: Holding, more: Holding): void {
  holding.files += more.files
  holding.records += more.records
  holding.bytes += more.bytes
  holding.line_bytes += more.line_bytes
  holding.first_timestamp = Math.min(holding.first_timestamp, more.first_timestamp)
  holding.last_timestamp = Math.max(holding.last_timestamp, more.last_timestamp)
  if (more.first_offset === undefined || more.last_offset === undefined) return
  holding.first_offset = Math.min(holding.first_offset ?? more.first_offset, more.first_offset)
  holding.last_offset = Math.max(holding.last_offset ?? more.last_offset, more.last_offset)
}

const byNumbers = new Intl.Collator('en', { numeric: true })

function compareNames(a: string, b: string): number {
  return byNumbers.compare(a, b)
}

function print(by: Grouping, holdings: readonly Holding[], total: Holding): string {
  if (holdings.length === 0) return 'nothing'
  const hasOffsets = by === 'partition' || by === 'file'
  const columns = [
    // A path that is cut names no file.
    by === 'file' ? { head: by } : { head: by, min: 16 },
    ...['records', 'files', 'bytes'].map((head) => ({ head, right: true })),
    { head: 'lines', right: true, spare: 1 },
    ...(hasOffsets ? ['first offset', 'last offset'].map((head) => ({ head, right: true })) : []),
    ...['first time', 'last time'].map((head) => ({
      head,
      short: toMinutes,
      ...(hasOffsets ? { spare: 2 } : {}),
    })),
  ]
  const rows = [...holdings, total].map((one) => [
    one.name,
    count(one.records),
    count(one.files),
    size(one.bytes),
    size(one.line_bytes),
    ...(hasOffsets
      ? [one.first_offset, one.last_offset].map((offset) =>
          offset === undefined ? '' : count(offset),
        )
      : []),
    timeText(one.first_timestamp),
    timeText(one.last_timestamp),
  ])
  return table(columns, rows, standardOutput.columns)
}

/** `2019-08-01T03:23`, which `--from` takes as well. */
const toMinutes = (time: string) => time.slice(0, 16)

function timeText(timestamp: number): string {
  return timestamp >= 0 && timestamp < 253_402_300_800_000
    ? new Date(timestamp).toISOString()
    : String(timestamp)
}
