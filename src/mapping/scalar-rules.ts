import { count } from '../runtime/format.ts'
import { proposeDate } from './date-rules.ts'
import { isIdName, isTimeName, isVersionName } from './field-names.ts'
import { shareOf } from './formulas.ts'
import type { EpochUnit } from './numbers.ts'
import type { Decision } from './proposal.ts'
import { rare, type ValueSums } from './value-sums.ts'

/** Texts in numbers must be fewer than this: a sum says nothing of what it leaves out. */
const rareInNumbers = 0.001
/** As many of the whole numbers are near the time of their record if they are times. */
const nearlyAll = 0.99
/** Texts with a fraction among decimals: fewer look like identifiers. */
const minFractions = 0.5
/** Texts with words: if fewer have them, the field holds identifiers. */
const fewSpaced = 0.01
const half = 0.5
const empty = (sums: ValueSums) => sums.formats.get('empty') ?? 0

/** Proposes a mapping for booleans, numbers and texts. Pure. */
export function proposeScalar(name: string, sums: ValueSums): Decision {
  const { booleans, texts, numbers, scalars } = sums
  if (booleans === scalars) return { as: 'boolean', reason: 'true and false' }
  if (texts === scalars) return proposeText(name, sums)
  if (numbers.count === scalars) return proposeNumber(name, sums)
  return proposeMixed(name, sums)
}

function proposeMixed(name: string, sums: ValueSums): Decision {
  const { booleans, texts, numbers, decimals, formats, scalars } = sums
  if (numbers.count === 0 && booleans + (formats.get('boolean') ?? 0) === scalars)
    return { as: 'boolean', reason: 'true and false, in some records as texts' }
  const others = scalars - numbers.count
  if (booleans === 0 && isNumberText(name, sums) && decimals.count === texts)
    return {
      as: 'double',
      takesTexts: true,
      hasText: true,
      reason: `numbers, in ${shareOf(texts, scalars)} written as texts, which count as numbers, too`,
    }
  if (others / scalars < rareInNumbers && !(formats.get('java-number') ?? 0)) {
    const number = proposeNumber(name, sums)
    return {
      ...number,
      reason: `${number.reason}; ${shareOf(others, scalars)} are no numbers: kept, not counted`,
    }
  }
  return {
    as: 'keyword+text',
    hasNumber: numbers.count > 0,
    reason: `${describeKinds(sums)}: all are found as texts${numbers.count > 0 ? '; .number has the numbers alone' : ''}`,
  }
}

function describeKinds({ booleans, numbers, texts }: ValueSums): string {
  return [
    [booleans, 'booleans'],
    [numbers.count, 'numbers'],
    [texts, 'texts'],
  ]
    .filter(([some]) => some !== 0)
    .map(([some, kind]) => `${count(Number(some))} ${kind}`)
    .join(', ')
}

function proposeNumber(name: string, { numbers }: ValueSums): Decision {
  const { count: all, whole, beyondDouble, beyondLong, infinite } = numbers
  if (infinite > 0)
    return {
      as: 'double',
      hasText: true,
      reason: `${shareOf(infinite, all)} are beyond all doubles: not counted, found by .text`,
    }
  if (beyondDouble > 0 && beyondLong === 0 && whole === all)
    return {
      as: 'long',
      hasText: true,
      reason: `whole numbers beyond 2^53 (${shareOf(beyondDouble, all)}): found exactly`,
    }
  if (beyondDouble > 0)
    return {
      as: 'double',
      hasText: true,
      reason: `whole numbers beyond 2^53 beside ${beyondLong > 0 ? 'some beyond 2^63' : 'fractions'}: sums need a double, .text is exact`,
    }
  const kind =
    whole === all ? 'whole numbers' : `numbers, ${shareOf(all - whole, all)} with a fraction`
  const epoch = whole === all ? epochOf(numbers) : undefined
  if (epoch === undefined) return { as: 'double', reason: kind }
  return { as: 'double', ...epochDate(name, numbers, epoch, kind) }
}

interface Epoch {
  readonly unit: EpochUnit
  readonly near: number
}

/** The unit in which all numbers mean times; of several the one that is near the records. */
function epochOf({ count: all, epochs }: ValueSums['numbers']): Epoch | undefined {
  const fitting = (Object.keys(epochs) as EpochUnit[])
    .filter((unit) => epochs[unit].count === all)
    .map((unit) => ({ unit, near: epochs[unit].near }))
  return fitting.sort((a, b) => b.near - a.near)[0]
}

const epochFormats = { s: 'epoch_second', ms: 'epoch_millis' } as const
const unitNames = { s: 'seconds', ms: 'milliseconds', us: 'microseconds', ns: 'nanoseconds' }

/**
 * The number stays a number: sums, ranges and sorts are those of the files. The time is a field
 * beside it.
 */
function epochDate(
  name: string,
  { count: all }: { readonly count: number },
  { unit, near }: Epoch,
  kind: string,
): { readonly reason: string; readonly dateFormat?: string } {
  const isNear = near / all >= nearlyAll && !isIdName(name)
  const looks = `${kind} that could be ${unitNames[unit]} since 1970`
  if (unit === 'us' || unit === 'ns')
    return { reason: `${looks}, for which Elasticsearch has no format` }
  if (isIdName(name)) return { reason: `${looks}, but its name says that it is an identifier` }
  if (!isNear && !isTimeName(name))
    return { reason: `${looks}, but neither its name nor the times of its records say so` }
  const why = isNear ? `${shareOf(near, all)} near the times of their records` : 'its name says so'
  return {
    dateFormat: epochFormats[unit],
    reason: `${unitNames[unit]} since 1970 (${why}); .date is the time`,
  }
}

/** Texts are quantities: JSON's numbers, half of them with a fraction, under no odd name. */
function isNumberText(name: string, { decimals, formats }: ValueSums): boolean {
  const fractions = decimals.count - decimals.whole
  return (
    decimals.count > 0 &&
    (formats.get('java-number') ?? 0) === 0 &&
    decimals.infinite === 0 &&
    fractions / decimals.count >= minFractions &&
    !isVersionName(name) &&
    !isIdName(name)
  )
}

function proposeText(name: string, sums: ValueSums): Decision {
  const { texts, formats, decimals, distinct } = sums
  const of = (...names: Parameters<typeof formats.get>[0][]) =>
    names.reduce((sum, format) => sum + (formats.get(format) ?? 0), 0)
  const date = proposeDate(sums, texts - empty(sums))
  if (date !== undefined) return date
  const addresses = of('ipv4', 'ipv6')
  if (isNearlyAll(addresses, sums) && !isVersionName(name)) {
    const bad = texts - addresses - empty(sums)
    return {
      as: 'ip',
      reason: `${of('ipv6') === 0 ? 'IPv4' : of('ipv4') === 0 ? 'IPv6' : 'IPv4 and IPv6'} addresses${bad === 0 ? '' : `; ${shareOf(bad, texts)} are none: kept, found by .text`}`,
      ...(bad === 0 ? {} : { hasText: true }),
    }
  }
  if (decimals.count === texts && isNumberText(name, sums))
    return {
      as: 'double',
      takesTexts: true,
      hasText: true,
      reason: 'numbers written as texts: they count as numbers, .text is as written',
    }
  if (of('boolean') === texts) return { as: 'boolean', reason: 'true and false, written as texts' }
  if (of('geo-point') === texts)
    return { as: 'geo_point', reason: 'latitude and longitude in a text' }
  const epoch = decimals.count === texts && decimals.whole === texts ? epochOf(decimals) : undefined
  if (epoch !== undefined && (epoch.unit === 's' || epoch.unit === 'ms')) {
    const { dateFormat, reason } = epochDate(name, decimals, epoch, 'digits in a text')
    return dateFormat === undefined
      ? { as: 'keyword', reason }
      : { as: 'keyword', dateFormat, reason }
  }
  return proposeWords(sums, of, distinct)
}

function isNearlyAll(some: number, sums: ValueSums): boolean {
  const all = sums.texts - empty(sums)
  return all > 0 && some / all > 1 - rare
}

function proposeWords(
  sums: ValueSums,
  of: (...names: ('uuid' | 'decimal' | 'digits' | 'boolean-word' | 'base64')[]) => number,
  distinct: number,
): Decision {
  const { texts, long, beyondKeyword, spaced, maxLength, dates } = sums
  if (of('uuid') === texts) return { as: 'keyword', reason: 'UUIDs' }
  if (long / texts > half) {
    if (spaced / texts >= half)
      return {
        as: 'text',
        reason: `prose: ${shareOf(long, texts)} longer than 256 characters; found by words`,
      }
    return {
      as: 'not indexed',
      reason: `up to ${count(maxLength)} characters without words: kept, not searched`,
    }
  }
  const why = datesLeft(dates.count, texts)
  if (spaced / texts < fewSpaced && beyondKeyword === 0)
    return {
      as: 'keyword',
      reason: `${describeCodes(of, texts) ?? 'no words'}, ${count(distinct)} different${why}`,
    }
  return {
    as: 'keyword+text',
    reason: `words in ${shareOf(spaced, texts)}${beyondKeyword > 0 ? `, ${count(beyondKeyword)} longer than 1,024 characters` : ''}: found exactly and by words${why}`,
  }
}

function describeCodes(
  of: (...names: ('decimal' | 'digits' | 'boolean-word' | 'base64')[]) => number,
  texts: number,
): string | undefined {
  if (of('decimal', 'digits') === texts) return 'digits that may be identifiers'
  if (of('boolean-word') === texts) return 'words for yes and no, which no boolean takes'
  return of('base64') === texts ? 'base64' : undefined
}

function datesLeft(dates: number, texts: number): string {
  return dates === 0 ? '' : `; ${shareOf(dates, texts)} are dates`
}
