import { count } from '../runtime/format.ts'
import { proposeDate } from './date-rules.ts'
import { isDayName, isIdName, isTimeName, isVersionName } from './field-names.ts'
import { shareOf } from './formulas.ts'
import type { EpochUnit } from './numbers.ts'
import type { Decision } from './proposal.ts'
import type { TextFormat } from './text-formats.ts'
import { isNearlyAll, othersThan, type ValueSums } from './value-sums.ts'

/** As many of the whole numbers are near the time of their record if they are times. */
const nearlyAll = 0.99
/** Texts with a fraction among decimals: fewer look like identifiers. */
const minFractions = 0.5
/** Texts with words: if fewer have them, the field holds identifiers. */
const fewSpaced = 0.01
const half = 0.5

/** Proposes a mapping for booleans, numbers and texts. Pure. */
export function proposeScalar(name: string, sums: ValueSums): Decision {
  if (sums.texts === sums.scalars) return proposeText(name, sums)
  if (sums.numbers.count === sums.scalars) return proposeNumber(name, sums)
  return proposeMixed(name, sums)
}

function proposeMixed(name: string, sums: ValueSums): Decision {
  const { numbers, scalars } = sums
  const found = proposeBoolean(sums) ?? proposeDecimals(name, sums)
  if (found !== undefined) return found
  if (isNearlyAll(numbers.count, scalars)) return proposeNumberBesideOthers(name, sums)
  return {
    as: 'keyword+text',
    hasNumber: numbers.count > 0,
    reason: `${describeKinds(sums)}: all are found as texts${numbers.count > 0 ? '; .number has the numbers alone' : ''}`,
  }
}

/**
 * Booleans, alone or beside the texts `true` and `false`. Texts alone are words: a boolean would
 * gain nothing, and refuse the next one (Debezium: `true`, `false`, `first`, `last`). Elasticsearch
 * takes an empty text for false: there must be none.
 */
function proposeBoolean(sums: ValueSums): Decision | undefined {
  const { booleans, formats, scalars } = sums
  const known = booleans + (formats.get('boolean') ?? 0)
  if (booleans === 0 || formats.has('empty') || !isNearlyAll(known, scalars)) return undefined
  const written = booleans === known ? '' : ', in some records as texts'
  return { as: 'boolean', ...withOthers(`true and false${written}`, scalars - known, sums) }
}

/** The field ignores all but numbers of JSON (`coerce: false`); a time beside it would not. */
function proposeNumberBesideOthers(name: string, sums: ValueSums): Decision {
  const { numbers, formats, scalars } = sums
  const number = proposeNumber(name, sums)
  const others = withOthers(number.reason, scalars - numbers.count, sums)
  const isTime = number.dateFormat !== undefined
  if (!isTime || !(formats.has('decimal') || formats.has('digits'))) return { ...number, ...others }
  return {
    as: 'double',
    ...withOthers(
      'whole numbers that could be times, but so could texts of digits among them',
      scalars - numbers.count,
      sums,
    ),
  }
}

/** The reason, with what the field leaves out; `.text` finds it. */
function withOthers(
  reason: string,
  others: number,
  sums: ValueSums,
): Pick<Decision, 'reason' | 'hasText'> {
  const remark = othersThan(others, sums)
  return { reason: [reason, ...remark].join('; '), ...(others === 0 ? {} : { hasText: true }) }
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
    whole === all
      ? 'whole numbers'
      : `numbers, ${shareOf(all - whole, all)} with a fraction or an exponent`
  const epoch = whole === all ? epochOf(numbers) : undefined
  if (whole === all && areDays(name, numbers))
    return { as: 'double', reason: `${kind} that could be days since 1970, ${noFormat}` }
  if (epoch === undefined) return { as: 'double', reason: kind }
  return { as: 'double', ...epochDate(name, numbers, epoch, kind) }
}

interface Epoch {
  readonly unit: EpochUnit
  readonly near: number
}

/**
 * The unit in which all numbers mean times; of several the one that is near the records. Of micro-
 * and nanoseconds nearly all suffice, because no field follows from them: OpenTelemetry writes 0
 * for none.
 */
function epochOf({ count: all, epochs }: ValueSums['numbers']): Epoch | undefined {
  const fitting = (Object.keys(epochs) as EpochUnit[])
    .filter((unit) => {
      const { count: some } = epochs[unit]
      return unit in epochFormats ? some === all : isNearlyAll(some, all)
    })
    .map((unit) => ({ unit, near: epochs[unit].near }))
  return fitting.sort((a, b) => b.near - a.near)[0]
}

/** 1980 and 2100, in days since 1970. The latest of some days lies between them. */
const firstDay = 3652
const lastDay = 47_482

/** As Debezium and Avro write dates. Some may lie before 1970: birthdays. */
function areDays(name: string, { min, max }: ValueSums['numbers']): boolean {
  return isDayName(name) && max >= firstDay && max < lastDay && min > -lastDay
}

const noFormat = 'for which Elasticsearch has no format'
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
  if (isIdName(name)) return { reason: `${looks}, but its name says that it is an identifier` }
  if (!isNear && !isTimeName(name))
    return { reason: `${looks}, but neither its name nor the times of its records say so` }
  const why = isNear ? `${shareOf(near, all)} near the times of their records` : 'its name says so'
  if (unit === 'us' || unit === 'ns')
    return { reason: `${kind}: ${unitNames[unit]} since 1970 (${why}), ${noFormat}` }
  return {
    dateFormat: epochFormats[unit],
    reason: `${unitNames[unit]} since 1970 (${why}); .date is the time`,
  }
}

/**
 * Numbers in texts, alone or beside numbers: half of the texts have a fraction, and the name is
 * none of an identifier. Elasticsearch ignores what is no number; but there may be no text that is
 * one for Java alone (`007`, `1d`), because it would count.
 */
function proposeDecimals(name: string, sums: ValueSums): Decision | undefined {
  const { booleans, numbers, decimals, formats, beyondKeyword } = sums
  const finite = decimals.count - decimals.infinite
  const all = sums.scalars - (formats.get('empty') ?? 0)
  const fits =
    booleans === 0 &&
    finite > 0 &&
    isNearlyAll(numbers.count + finite, all) &&
    (finite - decimals.whole) / finite >= minFractions &&
    !isVersionName(name) &&
    !isIdName(name)
  if (!fits || hasJavaNumbers(sums) || beyondKeyword > 0) return undefined
  const reason =
    numbers.count === 0
      ? 'numbers written as texts: they count as numbers, .text is as written'
      : `numbers, in ${shareOf(decimals.count, sums.scalars)} written as texts, which count as numbers, too`
  const others = othersThan(all - numbers.count - finite, sums)
  return { as: 'double', takesTexts: true, hasText: true, reason: [reason, ...others].join('; ') }
}

function hasJavaNumbers({ formats }: ValueSums): boolean {
  return formats.has('java-number') || formats.has('digits')
}

function proposeText(name: string, sums: ValueSums): Decision {
  const { texts, formats, decimals } = sums
  const of = (...names: Parameters<typeof formats.get>[0][]) =>
    names.reduce((sum, format) => sum + (formats.get(format) ?? 0), 0)
  const filled = texts - of('empty')
  const date = proposeDate(sums, filled)
  if (date !== undefined) return date
  const addresses = of('ipv4', 'ipv6')
  if (isNearlyAll(addresses, filled) && !isVersionName(name)) {
    const kind = of('ipv6') === 0 ? 'IPv4' : of('ipv4') === 0 ? 'IPv6' : 'IPv4 and IPv6'
    return { as: 'ip', ...withOthers(`${kind} addresses`, filled - addresses, sums) }
  }
  const found = proposeDecimals(name, sums)
  if (found !== undefined) return found
  if (of('geo-point') === texts)
    return { as: 'geo_point', reason: 'latitude and longitude in a text' }
  const isWhole = decimals.whole === decimals.count && !hasJavaNumbers(sums)
  const epoch = isWhole && isNearlyAll(decimals.count, filled) ? epochOf(decimals) : undefined
  if (epoch !== undefined) {
    const { dateFormat, reason } = epochDate(name, decimals, epoch, 'digits in texts')
    return {
      as: 'keyword',
      ...(dateFormat === undefined ? {} : { dateFormat }),
      reason: [reason, ...othersThan(filled - decimals.count, sums)].join('; '),
    }
  }
  return proposeWords(sums, of)
}

function proposeWords(sums: ValueSums, of: (...names: TextFormat[]) => number): Decision {
  const { texts, long, beyondKeyword, spaced, maxLength, distinct, isDistinctExact } = sums
  if (of('uuid') === texts) return { as: 'keyword', reason: 'UUIDs' }
  const places = placesOf(of, texts)
  if (places !== undefined) return places
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
  const why = formsLeft(sums)
  if (spaced / texts < fewSpaced && beyondKeyword === 0)
    return {
      as: 'keyword',
      reason: `${describeCodes(of, texts) ?? 'no words'}, ${isDistinctExact ? '' : '~'}${count(distinct)} different${why}`,
    }
  return {
    as: 'keyword+text',
    reason: `words in ${shareOf(spaced, texts)}${beyondKeyword > 0 ? `, ${count(beyondKeyword)} longer than 1,024 characters` : ''}: found exactly and by words${why}`,
  }
}

/** Half of the texts have words that people search for, without white space between them. */
function placesOf(of: (...names: TextFormat[]) => number, texts: number): Decision | undefined {
  const some = of('path', 'url', 'email')
  if (some / texts < half) return undefined
  const kinds = [
    ...(of('path') > 0 ? ['paths'] : []),
    ...(of('url') > 0 ? ['URLs'] : []),
    ...(of('email') > 0 ? ['e-mail addresses'] : []),
  ]
  const share = some === texts ? '' : ` in ${shareOf(some, texts)}`
  return {
    as: 'keyword+text',
    reason: `${kinds.join(', ')}${share}: found exactly and by their parts`,
  }
}

function describeCodes(of: (...names: TextFormat[]) => number, texts: number): string | undefined {
  if (of('decimal', 'digits') === texts) return 'digits that may be identifiers'
  if (of('boolean') === texts) return 'true and false as texts, beside which other words may come'
  if (of('boolean', 'boolean-word') === texts) return 'words for yes and no, which no boolean takes'
  return of('base64') === texts ? 'base64' : undefined
}

/** What some of the texts are, so that a person sees how much was lacking. */
function formsLeft({ texts, dates, decimals, formats }: ValueSums): string {
  const java = (formats.get('java-number') ?? 0) + (formats.get('digits') ?? 0)
  return [
    ...(dates.count === 0 ? [] : [`; ${shareOf(dates.count, texts)} are dates`]),
    ...(decimals.count === 0 || decimals.count === texts
      ? []
      : [`; ${shareOf(decimals.count, texts)} are numbers`]),
    ...(decimals.count === 0 || java === 0
      ? []
      : [`, ${count(java)} only as Java reads them (007, 1d)`]),
  ].join('')
}
