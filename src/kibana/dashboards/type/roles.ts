import type { DescribedField, NumberField } from './described.ts'
import { wordsOf } from './names.ts'

/** What a field is, by its mapping, its name and the range of its values. */
export type Role =
  /** A point in time, or a number that is one. */
  | 'time'
  | 'epoch'
  | 'place'
  /** Nearly every record has another value. */
  | 'identifier'
  | 'constant'
  | 'category'
  /** A whole number with few values is a name: a status code, a version. */
  | 'code'
  /** Numbers that measure something. */
  | 'money'
  | 'duration'
  | 'bytes'
  | 'share'
  | 'amount'

/** The role of a field of `records` records. Pure. */
export function roleOf(field: DescribedField, records: number): Role {
  if (field.kind === 'date') return 'time'
  if (field.kind === 'place') return 'place'
  if (field.distinct <= 1) return 'constant'
  if (!isNumber(field)) return isIdentifier(field, records) ? 'identifier' : 'category'
  if (epochUnit(field) !== undefined) return 'epoch'
  if (isIdentifier(field, records) || isNamedId(field)) return 'identifier'
  const measured = measureOf(field)
  if (measured !== 'amount') return measured
  return isCode(field) ? 'code' : 'amount'
}

export function isNumber(field: DescribedField): field is NumberField {
  return field.kind === 'number'
}

/** Nearly as many values as records, or so many that no single one says anything. */
function isIdentifier(
  { kind, present, distinct, isWhole, max }: DescribedField,
  records: number,
): boolean {
  const share = distinct / Math.max(1, present * records)
  if (kind === 'string') return distinct > 50 && share > 0.5
  return kind === 'number' && isWhole === true && share > 0.9 && (max ?? 0) > 1e9
}

/** A number that its name calls an id: no sum or mean of it says anything. */
function isNamedId({ name, isWhole, distinct }: NumberField): boolean {
  const last = wordsOf(name).at(-1)
  return isWhole && distinct > 15 && (last === 'id' || last === 'lsn')
}

function isCode({ isWhole, distinct }: NumberField): boolean {
  return isWhole && distinct <= 15
}

/** Days since 1970, as Debezium sends dates; of the years 1870 to 2100. */
const daysPerMs = 1 / 86_400_000
const firstDays = 36_525
const lastDays = 47_482
const isNamedDate = (name: string) => /^(.+ )?(date|day)$|. on$/.test(wordsOf(name).join(' '))

/** How many of a unit are in a millisecond: seconds to nanoseconds. */
const epochUnits = [1e-3, 1, 1e3, 1e6] as const
const year = 365.25 * 86_400_000

/**
 * How many of their unit are in a millisecond, if the values are moments since 1970, from 1990 to
 * 2100, or days that their name says are dates; undefined if they are not.
 */
export function epochUnit({ name, isWhole, low, high }: NumberField): number | undefined {
  if (!isWhole || low === high) return undefined
  if (isNamedDate(name) && low >= -firstDays && high <= lastDays && high > 3650) return daysPerMs
  return epochUnits.find((perMs) => low >= 20 * year * perMs && high <= 130 * year * perMs)
}

const durationUnits: Readonly<Record<string, string>> = {
  ns: 'nanoseconds',
  nanos: 'nanoseconds',
  nanoseconds: 'nanoseconds',
  us: 'microseconds',
  micros: 'microseconds',
  microseconds: 'microseconds',
  ms: 'milliseconds',
  msec: 'milliseconds',
  millis: 'milliseconds',
  milliseconds: 'milliseconds',
  s: 'seconds',
  sec: 'seconds',
  secs: 'seconds',
  seconds: 'seconds',
  minutes: 'minutes',
  mins: 'minutes',
  m: 'minutes',
  hours: 'hours',
  h: 'hours',
  days: 'days',
  d: 'days',
}
/** In a name, a letter alone is a second; `m` may be a metre, `d` and `h` anything. */
const unitsOnlyInMappings = new Set(['m', 'h', 'd'])
const durationWords = new Set(['duration', 'latency', 'elapsed', 'took', 'rtt', 'uptime', 'ttl'])

/** The unit of a duration, as Kibana names it; undefined if the number is none. */
export function durationUnit({ name, unit, isWhole, high }: NumberField): string | undefined {
  if (unit !== undefined) return durationUnits[unit]
  const words = wordsOf(name)
  const last = words.at(-1) ?? ''
  if (!unitsOnlyInMappings.has(last) && durationUnits[last] !== undefined && words.length > 1)
    return durationUnits[last]
  const isNamed =
    words.some((word) => durationWords.has(word)) ||
    /(response|request|wait) time$/.test(words.join(' '))
  if (!isNamed) return undefined
  // Web servers write seconds with a fraction; nearly all others count milliseconds.
  return !isWhole && high < 30 ? 'seconds' : 'milliseconds'
}

const moneyWords = new Set(
  'amount total subtotal price cost revenue turnover fee tax vat discount shipping balance limit paid salary gross net refund'.split(
    ' ',
  ),
)
const byteWords = new Set(['bytes', 'byte'])
const shareWords = new Set(['ratio', 'share', 'percentage', 'pct', 'percent'])

function measureOf(field: NumberField): 'money' | 'duration' | 'bytes' | 'share' | 'amount' {
  const { name, unit, isWhole, min, max } = field
  if (durationUnit(field) !== undefined) return 'duration'
  const words = wordsOf(name)
  if (unit === 'byte' || words.some((word) => byteWords.has(word))) return 'bytes'
  if (/content length$/.test(words.join(' '))) return 'bytes'
  const isPart = unit === 'percent' || words.some((word) => shareWords.has(word))
  if (isPart && min >= 0 && max <= 1 && !isWhole) return 'share'
  // Whole numbers with such a name are counts, e.g. `total`, unless they have decimals.
  return !isWhole && moneyNames(name).some((word) => moneyWords.has(word)) ? 'money' : 'amount'
}

/** The words that say what an amount is: of `amount.value`, those of the object. */
function moneyNames(name: string): readonly string[] {
  const words = wordsOf(name)
  return words.join(' ') === 'value' ? wordsOf(name.replace(/\.[^.]*$/, '')) : words
}

/** The best first: a total says more of an order than its tax. */
const totals = ['total', 'amount', 'revenue', 'turnover', 'gross', 'subtotal', 'price', 'net']

/** How much an amount of money says of its record, 0 to 1. */
export function moneyRank(name: string): number {
  const words = moneyNames(name)
  const place = totals.findIndex((word) => words.includes(word))
  return place === -1 ? 0.5 : 1 - 0.05 * place
}
