import type { OldIndices } from '../../elasticsearch/prune.ts'
import type { PrunePlan } from '../../files/compact/prune.ts'
import type { OldRows } from '../../mysql/prune.ts'
import { partitionKey } from '../../record/record.ts'
import { isoDate } from '../../record/time.ts'
import { count, plural, size } from '../../runtime/format.ts'
import { standardOutput } from '../../runtime/standard-streams.ts'
import { table } from '../lib/table.ts'

/** The start of the first day that a store keeps, in ms. */
interface Dated {
  readonly before: number
}

/** What a prune takes, and what it leaves although it is old. */
export interface Takings {
  readonly plans: readonly PrunePlan[]
  readonly indices: (OldIndices & Dated) | undefined
  readonly rows: (OldRows & Dated & { readonly table: string }) | undefined
}

/** True if the prune takes anything. */
export function takesAnything({ plans, indices, rows }: Takings): boolean {
  return (
    plans.some(({ files }) => files > 0) ||
    (indices?.own.length ?? 0) > 0 ||
    (rows !== undefined && rows.own > 0)
  )
}

/**
 * What goes, with the date of each, and what stays, as lines.
 * @param before the start of the first day that is kept, in ms; undefined for `--finish`
 */
export function describeTakings(takings: Takings, before: number | undefined): string[] {
  const going = [...filesGoing(takings), ...indicesGoing(takings), ...rowsGoing(takings)]
  const staying = describeStaying(takings, before)
  if (going.length > 0) return [table(columns, going, standardOutput.columns), ...staying]
  if (before === undefined) return ['no prune was interrupted', ...staying]
  const isOld = isAnyOld(takings) ? 'that can go ' : ''
  return [`nothing ${isOld}is older than ${isoDate(before)}`, ...staying]
}

const columns = [
  { head: 'what', min: 24 },
  { head: '' },
  { head: 'records', right: true },
  { head: 'bytes', right: true },
  { head: 'of days before' },
]

function filesGoing({ plans }: Takings): string[][] {
  return plans
    .filter(({ files }) => files > 0)
    .map(({ tp, files, records, bytes, taking }) => [
      partitionKey(tp),
      plural(files, 'file'),
      count(records),
      size(bytes),
      isoDate(taking.before),
    ])
}

function indicesGoing({ indices }: Takings): string[][] {
  if (indices === undefined) return []
  return indices.own.map(({ index, documents, bytes }) => [
    index,
    'index',
    count(documents),
    size(bytes),
    isoDate(indices.before),
  ])
}

function rowsGoing({ rows }: Takings): string[][] {
  if (rows === undefined || rows.own === 0) return []
  return [[rows.table, 'rows', count(rows.own), '', isoDate(rows.before)]]
}

const ofLastFlush = ({ plans }: Takings) => plans.filter(({ ofLastFlush }) => ofLastFlush > 0)

function isAnyOld(takings: Takings): boolean {
  const { indices, rows } = takings
  return ofLastFlush(takings).length + (indices?.left.length ?? 0) + (rows?.left ?? 0) > 0
}

function describeStaying(takings: Takings, before: number | undefined): string[] {
  const { plans, indices, rows } = takings
  const interrupted = plans.flatMap(({ tp, interrupted: rest }) =>
    rest === undefined || rest.files === 0
      ? []
      : [
          `stays: ${plural(rest.files, 'file')} of ${partitionKey(tp)}, although an interrupted earlier prune asked for everything before ${isoDate(rest.before)}; --finish removes them`,
        ],
  )
  const waiting = (before === undefined ? [] : ofLastFlush(takings)).map(
    ({ tp, ofLastFlush: files }) =>
      `stays: ${plural(files, 'file')} of ${partitionKey(tp)}: of its last flush; a prune after the next flush takes ${files === 1 ? 'it' : 'them'}`,
  )
  const foreign =
    rows === undefined || rows.left === 0
      ? []
      : [
          `stays: ${plural(rows.left, 'row')} of ${rows.table}: of topics that this archive does not have`,
        ]
  return [
    ...interrupted,
    ...waiting,
    ...(indices?.left ?? []).map(({ index, why }) => `stays: index ${index}: ${why}`),
    ...foreign,
  ]
}
