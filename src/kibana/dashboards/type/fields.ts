import type { DateField, DescribedField, DescribedType, NumberField } from './described.ts'
import { shallowness } from './names.ts'
import { epochUnit, isNumber, moneyRank, type Role, roleOf } from './roles.ts'

/** What the fields of a type are good for. */
export interface SortedFields {
  /** Few values, each on many records: the best first. */
  readonly categories: readonly DescribedField[]
  /** Numbers that measure something: the best first. */
  readonly measures: readonly NumberField[]
  /** Times of their own: those that differ most from the record's time come first. */
  readonly times: readonly DateField[]
  /** Times close to the record's own: their histogram would be that of all records. */
  readonly near: readonly DateField[]
  readonly places: readonly DescribedField[]
  /** Nearly every record has another value. */
  readonly identifiers: readonly DescribedField[]
  readonly constants: readonly DescribedField[]
  /** Seconds and milliseconds as numbers, and texts that look like dates, numbers or addresses. */
  readonly unmapped: readonly DescribedField[]
  /** Times since 1970 in units that Elasticsearch has no dates for: days, µs and ns. */
  readonly oddTimes: readonly DescribedField[]
  /** Only on some records: the field that is absent most often comes first. */
  readonly partial: readonly DescribedField[]
  readonly roleOf: (field: DescribedField) => Role
}

/** A field that fewer records have says something only about those. */
export const rarest = 0.001

const measures: ReadonlySet<Role> = new Set(['money', 'duration', 'bytes', 'share', 'amount'])

/** Sorts the fields by what they are good for. Deterministic: ties go by name. */
export function sortFields({
  fields,
  records,
  first,
  last,
}: Pick<DescribedType, 'fields' | 'records' | 'first' | 'last'>): SortedFields {
  const roles = new Map(fields.map((field) => [field.name, roleOf(field, records)]))
  const role = ({ name }: DescribedField): Role => roles.get(name)!
  const shown = fields.filter(({ present }) => present >= rarest)
  const ofRole = (...wanted: readonly Role[]) =>
    shown.filter((field) => wanted.includes(role(field)))
  const numbers = shown.filter(isNumber)
  const varied = shown.filter((field) => role(field) !== 'constant')
  const epochs = numbers.filter((field) => role(field) === 'epoch')
  const isFine = (field: NumberField) => ![1, 1e-3].includes(epochUnit(field)!)
  const dates = shown.filter((field): field is DateField => role(field) === 'time')
  const near = dates.filter((field) => isNear(field, { first, last }))
  const withTime = new Set(shown.flatMap(({ of, kind }) => (kind === 'date' ? (of ?? []) : [])))
  return {
    categories: best(
      ofRole('category', 'code').filter(({ of }) => of === undefined),
      categoryScore,
    ),
    measures: best(
      numbers.filter((field) => measures.has(role(field))),
      (field) => measureScore(field, role(field)),
    ),
    times: best(
      dates.filter((field) => !near.includes(field)),
      (field) => timeScore(field, { first, last }),
    ),
    near,
    places: best(ofRole('place'), ({ present, name }) => present * shallowness(name)),
    identifiers: best(
      ofRole('identifier').filter(({ looksLike }) => looksLike === undefined),
      ({ name }) => (/id$/i.test(name) ? 1 : 0.5) * shallowness(name),
    ),
    constants: ofRole('constant'),
    unmapped: [
      ...varied.filter(({ looksLike, name }) => looksLike !== undefined && !/version/i.test(name)),
      ...epochs.filter((field) => !isFine(field) && !withTime.has(field.name)),
    ],
    oddTimes: epochs.filter(isFine),
    partial: best(
      shown.filter(({ of }) => of === undefined),
      ({ present }) => (present > 1 - rarest ? 0 : 1 - present),
    ),
    roleOf: role,
  }
}

function best<F extends DescribedField>(from: readonly F[], score: (field: F) => number): F[] {
  return from
    .map((field) => ({ field, score: score(field) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score || (a.field.name < b.field.name ? -1 : 1))
    .map(({ field }) => field)
}

/** A longer text has no room in a legend or beside a bar, in characters. */
const maxShown = 60

export function isLong({ length = 0 }: DescribedField): boolean {
  return length > maxShown
}

function categoryScore(field: DescribedField): number {
  const { kind, present, distinct, name, looksLike } = field
  const telling = distinct <= 30 ? 1 : distinct <= 200 ? 0.7 : distinct <= 5000 ? 0.4 : 0.1
  const aboutState = stateNames.test(name) ? 1.2 : 1
  // A date or an amount as text has no few values that say something.
  const isText = looksLike === undefined || distinct <= 30 ? 1 : 0.1
  return (
    Math.sqrt(present) *
    telling *
    aboutState *
    isText *
    (isLong(field) ? 0.1 : 1) *
    (kind === 'boolean' ? 0.8 : 1) *
    shallowness(name)
  )
}

function measureScore({ name, present, isWhole }: NumberField, role: Role): number {
  const weight = role === 'money' ? 1.3 * moneyRank(name) : role === 'duration' ? 1.3 : 1
  return (
    weight * present * (isWhole ? 0.9 : 1) * (placeNames.test(name) ? 0.2 : 1) * shallowness(name)
  )
}

/** Nearly all dates lie in the time of the records, and fill it. */
function isNear(
  { low, high }: DateField,
  { first, last }: { readonly first: number; readonly last: number },
): boolean {
  const margin = (last - first) / 20
  const isInside = low >= first - margin && high <= last + margin
  return margin > 0 && isInside && high - low > 0.8 * (last - first)
}

/** The share of the dates that lie outside the time of the records, roughly. */
function timeScore(
  { name, present, low, high }: DateField,
  { first, last }: { readonly first: number; readonly last: number },
): number {
  const span = Math.max(1, high - low)
  const shared = Math.max(0, Math.min(high, last) - Math.max(low, first))
  return Math.sqrt(present) * (1.2 - shared / span) * shallowness(name)
}

/** Half of a place is no measure: a mean of coordinates is no place. */
const placeNames = /[._](lat|lon|lng|latitude|longitude)$/i

/** Names of fields that say how something went: what people look at first. */
export const stateNames =
  /[._](status|state|level|severity|result|outcome|error|alarm|code)(_\w+)?$/i
