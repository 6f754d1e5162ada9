import type { DateForm } from './dates.ts'
import type { FieldFacts } from './field-facts.ts'
import { shareOf } from './formulas.ts'
import { type EpochUnit, epochUnits, type NumberFacts } from './numbers.ts'
import type { TextFormat } from './text-formats.ts'

/**
 * Values of another kind or form than nearly all are left out of a field, kept in `_source` and
 * named in `_ignored`, if they are fewer than this.
 */
const rare = 0.01

/** So few that they decide nothing; there may be none. */
export function isRare(some: number, all: number): boolean {
  return all === 0 || some / all < rare
}

/** The others are few enough to be left out of a field. */
export function isNearlyAll(some: number, all: number): boolean {
  return all > 0 && some / all > 1 - rare
}

/** The same of a sample, which may have more of the others by chance: three times the deviation. */
export function mayBeNearlyAll(some: number, all: number): boolean {
  return all > 0 && all - some <= rare * all + 3 * Math.sqrt(rare * all)
}

/** What a field leaves out, in words. */
export function othersThan(others: number, { formats, scalars }: ValueSums): string[] {
  const empty = formats.get('empty') ?? 0
  return [
    ...(others === 0 ? [] : [`${shareOf(others, scalars)} are none: kept, found by .text`]),
    ...(empty === 0 ? [] : [`${shareOf(empty, scalars)} are empty`]),
  ]
}

/**
 * The facts of one field of Elasticsearch, which messages may spell in several ways (`a.b` as a
 * name, or `b` in an object `a`).
 */
export interface ValueSums {
  readonly booleans: number
  readonly texts: number
  readonly objects: number
  /** Booleans, numbers and texts. */
  readonly scalars: number
  readonly numbers: Numbers
  /** Numbers in texts. */
  readonly decimals: Numbers
  readonly formats: ReadonlyMap<TextFormat, number>
  readonly dates: Dates
  readonly long: number
  readonly beyondKeyword: number
  readonly spaced: number
  readonly joined: number
  readonly maxLength: number
  readonly distinct: number
  readonly isDistinctExact: boolean
}

interface Numbers {
  readonly count: number
  readonly min: number
  readonly max: number
  readonly whole: number
  /** The most digits before the point. */
  readonly wholeDigits: number
  readonly beyondDouble: number
  readonly beyondLong: number
  readonly infinite: number
  readonly epochs: Readonly<Record<EpochUnit, { readonly count: number; readonly near: number }>>
}

interface Dates {
  readonly count: number
  readonly forms: ReadonlyMap<DateForm, number>
  readonly fractionDigits: readonly number[]
  readonly earliest: string
  readonly latest: string
}

export function sumOf(group: readonly FieldFacts[]): ValueSums {
  const total = (pick: (facts: FieldFacts) => number | undefined) =>
    group.reduce((sum, facts) => sum + (pick(facts) ?? 0), 0)
  const booleans = total(({ kinds }) => kinds.boolean)
  const texts = total(({ kinds }) => kinds.text)
  const numbers = numbersOf(group.map((facts) => facts.numbers))
  return {
    booleans,
    texts,
    objects: total(({ kinds }) => kinds.object),
    scalars: booleans + texts + numbers.count,
    numbers,
    decimals: numbersOf(group.map((facts) => facts.texts?.decimals)),
    formats: summed(group.map((facts) => facts.texts?.formats ?? {})),
    dates: datesOf(group),
    long: total((facts) => facts.texts?.long),
    beyondKeyword: total((facts) => facts.texts?.beyondKeyword),
    spaced: total((facts) => facts.texts?.spaced),
    joined: total((facts) => facts.texts?.joined),
    maxLength: Math.max(0, ...group.map((facts) => facts.texts?.maxLength ?? 0)),
    distinct: Math.max(0, ...group.map((facts) => facts.distinct)),
    isDistinctExact: group.every((facts) => facts.isDistinctExact),
  }
}

function numbersOf(all: readonly (NumberFacts | undefined)[]): Numbers {
  const total = (pick: (facts: NumberFacts) => number) =>
    all.reduce((sum, facts) => sum + (facts === undefined ? 0 : pick(facts)), 0)
  const epochs = epochUnits.map((unit) => [
    unit,
    {
      count: total((facts) => facts.epochs[unit].count),
      near: total((facts) => facts.epochs[unit].near),
    },
  ])
  return {
    count: total((facts) => facts.count),
    min: Math.min(...all.flatMap((facts) => (facts === undefined ? [] : Number(facts.min)))),
    max: Math.max(...all.flatMap((facts) => (facts === undefined ? [] : Number(facts.max)))),
    whole: total((facts) => facts.whole),
    wholeDigits: Math.max(0, ...all.map((facts) => facts?.wholeDigits ?? 0)),
    beyondDouble: total((facts) => facts.beyondDouble),
    beyondLong: total((facts) => facts.beyondLong),
    infinite: total((facts) => facts.infinite),
    epochs: Object.fromEntries(epochs) as Numbers['epochs'],
  }
}

function datesOf(group: readonly FieldFacts[]): Dates {
  const all = group.flatMap((facts) => facts.texts?.dates ?? [])
  return {
    count: all.reduce((sum, { count }) => sum + count, 0),
    forms: summed(all.map(({ forms }) => forms)),
    fractionDigits: [
      ...new Set(all.flatMap((dates) => Object.keys(dates.fractionDigits).map(Number))),
    ].sort((a, b) => a - b),
    earliest: all.map(({ earliest }) => earliest).sort()[0] ?? '',
    latest:
      all
        .map(({ latest }) => latest)
        .sort()
        .at(-1) ?? '',
  }
}

function summed<K extends string>(
  all: readonly Readonly<Partial<Record<K, number>>>[],
): ReadonlyMap<K, number> {
  const sums = new Map<K, number>()
  for (const counts of all)
    for (const [key, count] of Object.entries(counts) as [K, number][])
      sums.set(key, (sums.get(key) ?? 0) + count)
  return sums
}
