import type { Bin } from '../../lens.ts'
import type { NumberField } from './described.ts'
import { durationUnit, type Role } from './roles.ts'

/** The ranges of a distribution. */

const wantedBins = 10
/** From here on, ranges of one width would leave nearly all values in the first. */
const widelySpread = 40

/**
 * About ten round ranges between the 5th and the 95th percentile, with all other values at the
 * ends: of one width, or growing if the values are spread widely. Undefined if their bounds need
 * more decimals than Kibana takes.
 */
export function binsOf(field: NumberField, role: Role): readonly Bin[] | undefined {
  const { low, high, min, max } = field
  const candidates = [
    ...(low > 0 && high / low >= widelySpread ? [growing(low, high, role)] : []),
    even(field),
  ]
  const inner = candidates.find((bounds) => bounds.every(isTaken))
  if (inner === undefined) return undefined
  const bounds: (number | null)[] = [...inner]
  if (min < inner[0]!) bounds.unshift(null)
  if (max >= inner.at(-1)!) bounds.push(null)
  const write = writerOf(field, role)
  return bounds.slice(1).map((to, i) => {
    const from = bounds[i]!
    return { from, to, label: labelOf(from, to, field, write) }
  })
}

/**
 * Lens takes a bound with at most two decimals (`isValidNumber`). It leaves others out without a
 * word, and the range has no bound there: it counts all records.
 */
function isTaken(bound: number): boolean {
  return (String(bound).split('.')[1] ?? '').length <= 2
}

function even({ low, high, min, max, isWhole }: NumberField): readonly number[] {
  const span = high - low || max - min || 1
  const raw = span / wantedBins
  const magnitude = 10 ** Math.floor(Math.log10(raw))
  const round =
    magnitude * ([1, 2, 2.5, 5, 10].find((factor) => raw <= factor * magnitude * 1.0001) ?? 10)
  // Whole numbers have nothing between them.
  const step = isWhole ? Math.max(1, Math.ceil(round)) : round
  const begin = Math.floor(low / step)
  const end = Math.max(begin + 1, Math.ceil(high / step))
  return Array.from({ length: end - begin + 1 }, (_, i) => exact((begin + i) * step))
}

/** 1, 2, 5, 10 … or, of more decades, 1, 10, 100 …; of bytes, powers of two. */
function growing(low: number, high: number, role: Role): readonly number[] {
  const ladders = role === 'bytes' ? [[1, 2, 4, 8], [1, 4], [1]] : [[1, 2, 5], [1, 3], [1]]
  const base = role === 'bytes' ? 16 : 10
  for (const factors of ladders) {
    const bounds = climb(low, high, factors, base)
    if (bounds.length <= wantedBins + 2) return bounds
  }
  const all = climb(low, high, [1], base)
  const every = Math.ceil(all.length / wantedBins)
  return all.filter((_, i) => i % every === 0 || i === all.length - 1)
}

function climb(low: number, high: number, factors: readonly number[], base: number): number[] {
  const bounds: number[] = []
  const log = (value: number) => Math.log(value) / Math.log(base)
  for (let power = Math.floor(log(low)); power <= Math.ceil(log(high)); power++)
    for (const factor of factors) bounds.push(exact(factor * base ** power))
  const first = bounds.findLastIndex((bound) => bound <= low * 1.0001)
  const last = bounds.findIndex((bound) => bound >= high * 0.9999)
  return bounds.slice(Math.max(0, first), last === -1 ? bounds.length : last + 1)
}

/** Without the last digits of a sum of binary fractions. */
const exact = (value: number) => Number(value.toPrecision(12))

function labelOf(
  from: number | null,
  to: number | null,
  { isWhole }: NumberField,
  write: (value: number) => string,
): string {
  if (from === null) return `< ${write(to!)}`
  if (to === null) return `≥ ${write(from)}`
  return isWhole && to - from === 1 ? write(from) : `${write(from)} – ${write(to)}`
}

const milliseconds: Readonly<Record<string, number>> = {
  nanoseconds: 1e-6,
  microseconds: 1e-3,
  milliseconds: 1,
  seconds: 1e3,
  minutes: 60e3,
  hours: 3600e3,
  days: 86_400e3,
}
/** From which size on a unit is used, how much one of it is, and how it is written. */
type Unit = readonly [from: number, one: number, written: string]

const durations: readonly Unit[] = [
  [86_400e3, 86_400e3, ' d'],
  [3600e3, 3600e3, ' h'],
  [60e3, 60e3, ' min'],
  [1e3, 1e3, ' s'],
  [1, 1, ' ms'],
  [1e-3, 1e-3, ' µs'],
  [0, 1e-6, ' ns'],
]
const sizes: readonly Unit[] = [
  [2 ** 40, 2 ** 40, ' TB'],
  [2 ** 30, 2 ** 30, ' GB'],
  [2 ** 20, 2 ** 20, ' MB'],
  [2 ** 10, 2 ** 10, ' KB'],
  [0, 1, ' B'],
]
const counts: readonly Unit[] = [
  [1e12, 1e12, 'T'],
  [1e9, 1e9, 'G'],
  [1e6, 1e6, 'M'],
  [1e4, 1e3, 'k'],
  [0, 1, ''],
]

function writerOf(field: NumberField, role: Role): (value: number) => string {
  if (role === 'share') return (value) => `${exact(value * 100)} %`
  if (role === 'bytes') return (value) => inUnits(value, sizes)
  if (role !== 'duration') return (value) => inUnits(value, counts)
  const factor = milliseconds[durationUnit(field) ?? 'milliseconds']!
  return (value) => inUnits(value * factor, durations)
}

function inUnits(value: number, units: readonly Unit[]): string {
  if (value === 0) return '0'
  const [, one, written] = units.find(([from]) => Math.abs(value) >= from)!
  return `${Number((value / one).toPrecision(4))}${written}`
}
