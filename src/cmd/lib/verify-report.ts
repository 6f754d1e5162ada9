import { isoDate } from '../../record/time.ts'
import { count, plural, size } from '../../runtime/format.ts'
import type { ReadersVerdict } from '../../verify/readers.ts'
import type { ValuesVerdict } from '../../verify/values.ts'
import { isNothing, type Verdict } from '../../verify/verdict.ts'

/** What `verify` prints. */

/** Everything that a verification found. */
export interface Findings {
  readonly verdicts: readonly Verdict[]
  /** Files that no manifest names. */
  readonly strays: readonly string[]
  readonly values: ValuesVerdict | undefined
  readonly readers: ReadersVerdict | undefined
}

/** The verdict on a partition as a line, with a line for every problem. */
export function describeVerdict(verdict: Verdict): string {
  const {
    topic,
    partition,
    records,
    files,
    documents,
    rows,
    gaps,
    pruned_records: pruned,
  } = verdict
  const parts = [
    extentOf(verdict),
    ...(verdict.unreadable && files === 0
      ? []
      : [`${plural(records, 'record')} in ${plural(files, 'file')} (${size(verdict.bytes)})`]),
    ...(pruned === 0 ? [] : [`${plural(pruned, 'record')} of them pruned`]),
    ...(documents === undefined
      ? []
      : [`${plural(documents, 'document')}${rejects(verdict.rejected)}`]),
    ...(rows === undefined ? [] : [`${plural(rows, 'row')}${rejects(verdict.rows_rejected)}`]),
    ...Object.entries(gaps).map(
      ([reason, offsets]) => `${plural(offsets, 'offset')} without a record (${reason})`,
    ),
    ...(verdict.committed === undefined ? [] : [`committed ${count(verdict.committed)}`]),
    ...(verdict.log_end === undefined
      ? []
      : [
          `log ${count(verdict.log_start!)} to ${count(verdict.log_end)}`,
          `lag ${count(verdict.lag!)}`,
        ]),
    ...(verdict.same_records === 'unknown'
      ? ['Kafka no longer has the last archived records']
      : []),
  ]
  const head = `${verdict.proven ? 'ok  ' : isNothing(verdict) ? 'none' : 'BAD '} ${topic}/${partition}  ${parts.join('; ')}`
  const kept = new Map<string, number>()
  const lines = verdict.problems.map(({ kind, message }) => {
    kept.set(kind, (kept.get(kind) ?? 0) + 1)
    return `       ${kind}: ${message}`
  })
  for (const [kind, total] of Object.entries(verdict.problem_counts)) {
    const more = total - (kept.get(kind) ?? 0)
    if (more > 0) lines.push(`       ${kind}: ${count(more)} more`)
  }
  return [head, ...describePruned(verdict), ...lines].join('\n')
}

function extentOf({ origin, next, unreadable, files }: Verdict): string {
  if (unreadable) return files === 0 ? 'cannot be read' : 'cannot be read to its end; before that'
  return origin === undefined || next === undefined
    ? 'nothing archived'
    : `offsets ${count(origin)} to ${count(next)}`
}

/** A line for each store that was pruned: only the note remains of what it held. */
function describePruned({ pruned, pruned_records: records }: Verdict): string[] {
  return Object.entries(pruned).map(([store, { before, committed_until: until }]) => {
    const day = isoDate(before)
    const share = store === 'files' ? plural(records, 'record') : 'records'
    return `       pruned, not proven: ${share} of ${store}, days before ${day}, offsets below ${count(until)}`
  })
}

function rejects(rejected: number | undefined): string {
  return rejected === undefined || rejected === 0 ? '' : `, ${count(rejected)} of them rejected`
}

/** What `--values` compared, as lines. */
export function describeValues({
  days,
  fields,
  ignored,
  not_compared: notCompared,
}: ValuesVerdict): string[] {
  const beyond =
    ignored === 0
      ? ''
      : `; ${plural(ignored, 'number')} beyond the range of a field, ignored in Elasticsearch`
  return [
    `values: ${plural(fields, 'numeric field')} compared in ${plural(days, 'pair')} of a type and a day${beyond}`,
    ...notCompared.map(
      ({ type, day, reason }) => `values: type ${type}, ${day} is not compared: ${reason}`,
    ),
  ]
}

/** What `--json` prints. */
export function summary({ verdicts, strays, values, readers }: Findings): Record<string, unknown> {
  return {
    proven:
      strays.length === 0 &&
      (values === undefined || values.differences.length === 0) &&
      verdicts.some(({ proven }) => proven) &&
      verdicts.every((verdict) => verdict.proven || isNothing(verdict)),
    records: sum(verdicts, ({ records }) => records),
    documents: sum(verdicts, ({ documents }) => documents ?? 0),
    rows: sum(verdicts, ({ rows }) => rows ?? 0),
    stray_files: strays,
    ...(values === undefined ? {} : { values }),
    partitions: verdicts,
    ...(readers === undefined ? {} : { readers }),
  }
}

/** The last line of a proof. */
export function describeTotals(verdicts: readonly Verdict[]): string {
  const documents = stored(verdicts, 'document', (verdict) => verdict.documents)
  const rows = stored(verdicts, 'row', (verdict) => verdict.rows)
  const files = sum(verdicts, (verdict) => verdict.files)
  const records = sum(verdicts, (verdict) => verdict.records)
  const proven = verdicts.filter((verdict) => verdict.proven).length
  const pruned = sum(verdicts, (verdict) => verdict.pruned_records)
  const nothing = verdicts.length - proven
  const rest = [
    ...(pruned === 0 ? [] : [`${plural(pruned, 'record')} pruned`]),
    ...(nothing === 0 ? [] : [`nothing to prove of ${plural(nothing, 'partition')}`]),
  ]
  const checked = checksums(verdicts, files)
  const beside = rest.length === 0 ? '' : `; ${rest.join(', ')}`
  return `${plural(proven, 'partition')}, ${plural(records, 'record')} in ${plural(files, 'file')}${documents}${rows}${checked}${beside}`
}

/** By what the files were compared, of a bucket that lists checksums. */
function checksums(verdicts: readonly Verdict[], files: number): string {
  if (verdicts.every((verdict) => verdict.files_by_checksum === undefined)) return ''
  const equal = sum(verdicts, (verdict) => verdict.files_by_checksum ?? 0)
  return ` (${count(equal)} by their stored checksum, ${count(files - equal)} by size alone)`
}

function stored(
  verdicts: readonly Verdict[],
  what: string,
  of: (verdict: Verdict) => number | undefined,
): string {
  if (verdicts.every((verdict) => of(verdict) === undefined)) return ''
  return `, ${plural(
    sum(verdicts, (verdict) => of(verdict) ?? 0),
    what,
  )}`
}

function sum(verdicts: readonly Verdict[], of: (verdict: Verdict) => number): number {
  return verdicts.reduce((total, verdict) => total + of(verdict), 0)
}

/** What `--readers` found, as lines. */
export function describeReaders({ records, findings, error }: ReadersVerdict): string[] {
  const left = error === undefined ? [] : [`readers: the rest was not checked: ${error}`]
  const looked = `readers: ${plural(records, 'JSON value')} checked`
  if (findings.length === 0) return [`${looked}; strict readers accept them all`, ...left]
  return [
    `${looked}; strict readers refuse or misread:`,
    ...findings.map(({ kind, meaning, refused, records: found, first }) => {
      const named = first
        .map(({ topic, partition, offset }) => `${topic}/${partition}/${offset}`)
        .join(', ')
      const more = found > first.length ? `, and ${count(found - first.length)} more` : ''
      return `       ${refused ? '' : 'note: '}${kind}: ${plural(found, 'record')} with ${meaning}: ${named}${more}`
    }),
    ...left,
  ]
}
