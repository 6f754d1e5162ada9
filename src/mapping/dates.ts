/**
 * Forms of dates in texts, each with the format by which Elasticsearch reads it
 * (`docs/mapping.md`). A form is one that a text either has or has not; texts that people may read
 * in two ways (`01/02/2019`) have none.
 */

/** A form and its format in Elasticsearch; `{fraction}` stands for `.SSS` with as many digits. */
export const dateForms = {
  /** `2019-08-01`. `strict_date` takes 29 February of any year, and `0000-00-00`. */
  date: 'uuuu-MM-dd',
  /** `2019-08-01T03:23:03.5Z`, `+02:00`, `+0200`, `+02`; also to a second or a minute. */
  'date-time': 'strict_date_optional_time',
  /** The same without a zone. */
  'local-date-time': 'strict_date_optional_time',
  /** `2019-08-01 03:23:03.5` */
  'spaced-date-time': 'uuuu-MM-dd HH:mm:ss{fraction}',
  /** `2019-08-01 03:23:03.5+02:00` or with `Z` */
  'spaced-zoned-date-time': 'uuuu-MM-dd HH:mm:ss{fraction}XXX',
  /** `Thu, 01 Aug 2019 03:23:03 GMT` (RFC 9110, section 5.6.7) */
  'http-date': "EEE, dd MMM uuuu HH:mm:ss 'GMT'",
  /** `01/Aug/2019:03:23:03 +0200`, as access logs have it */
  'log-date': 'dd/MMM/uuuu:HH:mm:ss Z',
} as const

export type DateForm = keyof typeof dateForms
export const dateFormNames = Object.keys(dateForms) as DateForm[]

/** A time that a text spells. */
export interface ParsedDate {
  readonly form: DateForm
  /** Since 1970, in UTC; without a zone as if it were UTC. */
  readonly ms: number
  /** Digits behind the second, and the nanoseconds below the millisecond that they mean. */
  readonly fractionDigits: number
  readonly nanos: number
  /** It is also a time of RFC 3339, which has seconds and a zone such as `+02:00`. */
  readonly isRfc3339?: boolean
}

const iso =
  /^(\d{4})-(\d\d)-(\d\d)(?:([T ])(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/
const http =
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/
const log = /^(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})$/
const months = 'JanFebMarAprMayJunJulAugSepOctNovDec'
const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** The longest text of any form. */
export const maxDateLength = 40

/** The time that a text spells in one of the forms; undefined if it has none. */
export function parseDate(text: string): ParsedDate | undefined {
  const first = text.charCodeAt(0)
  if (first >= 0x30 && first <= 0x39) return text[2] === '/' ? parseLog(text) : parseIso(text)
  return parseHttp(text)
}

function parseIso(text: string): ParsedDate | undefined {
  const match = iso.exec(text)
  if (match === null) return undefined
  const [, year, month, day, separator, hour, minute, second, fraction = '', zone] = match
  const offset = zone === undefined ? 0 : offsetOf(zone)
  const ms = timeOf([year, month, day, hour, minute, second], offset)
  if (ms === undefined) return undefined
  const form = formOf(separator, second, zone)
  if (form === undefined) return undefined
  const nanos = Number(fraction.padEnd(9, '0'))
  return {
    form,
    ms: ms + Math.floor(nanos / 1e6),
    fractionDigits: fraction.length,
    nanos: nanos % 1e6,
    isRfc3339: form === 'date-time' && second !== undefined && /^Z$|:/.test(zone ?? ''),
  }
}

function formOf(
  separator: string | undefined,
  second: string | undefined,
  zone: string | undefined,
): DateForm | undefined {
  if (separator === undefined) return 'date'
  if (separator === 'T') return zone === undefined ? 'local-date-time' : 'date-time'
  if (second === undefined) return undefined
  if (zone === undefined) return 'spaced-date-time'
  return zone === 'Z' || zone.includes(':') ? 'spaced-zoned-date-time' : undefined
}

function parseHttp(text: string): ParsedDate | undefined {
  const [, weekday, day, month, year, hour, minute, second] = http.exec(text) ?? []
  if (month === undefined) return undefined
  const ms = timeOf([year, monthOf(month), day, hour, minute, second], 0)
  // Elasticsearch refuses a day of the week that is not that of the date.
  if (ms === undefined || weekdays[new Date(ms).getUTCDay()] !== weekday) return undefined
  return { form: 'http-date', ms, fractionDigits: 0, nanos: 0 }
}

function parseLog(text: string): ParsedDate | undefined {
  const [, day, month, year, hour, minute, second, zone] = log.exec(text) ?? []
  if (month === undefined || zone === undefined) return undefined
  const ms = timeOf([year, monthOf(month), day, hour, minute, second], offsetOf(zone))
  return ms === undefined ? undefined : { form: 'log-date', ms, fractionDigits: 0, nanos: 0 }
}

function monthOf(name: string): string {
  const at = months.indexOf(name)
  return at === -1 || at % 3 !== 0 ? '' : String(at / 3 + 1)
}

/** In ms; undefined if there is no such time. Elasticsearch takes no hour 24 and no second 60. */
function timeOf(
  parts: readonly (string | undefined)[],
  offsetMinutes: number | undefined,
): number | undefined {
  const [year, month, day, hour, minute, second] = parts.map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  if (offsetMinutes === undefined || hour > 23 || minute > 59 || second > 59) return undefined
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return undefined
  return date.getTime() + ((hour * 60 + minute - offsetMinutes) * 60 + second) * 1000
}

/** In minutes; undefined beyond 18 hours, which Java does not take. */
function offsetOf(zone: string): number | undefined {
  if (zone === 'Z') return 0
  const digits = zone.slice(1).replace(':', '')
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2) || 0)
  if (minutes > 18 * 60 || Number(digits.slice(2) || 0) > 59) return undefined
  return zone.startsWith('-') ? -minutes : minutes
}
