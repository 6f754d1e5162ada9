import { isIPv4, isIPv6 } from 'node:net'

/** What short texts may be besides dates. A text has one of these formats at most. */
export const textFormats = [
  'empty',
  'uuid',
  'ipv4',
  'ipv6',
  /** As JSON writes a number. */
  'decimal',
  /** Digits that are no number of JSON, e.g. `007` or `+49170`. */
  'digits',
  /**
   * What Java takes for a number and JSON does not: ` 1`, `1d`, `0x1p3`, `.5`. Not `NaN` and
   * `Infinity`: Elasticsearch takes finite numbers only.
   */
  'java-number',
  /** `true` and `false`, as Elasticsearch takes them for a boolean. */
  'boolean',
  /** Other words for it: `yes`, `N`, `TRUE`, `off`. */
  'boolean-word',
  'url',
  'email',
  /** `/api/products/17`, `C:\\Users` */
  'path',
  /** `52.52,13.405`: latitude and longitude. */
  'geo-point',
  /** 64 characters of base64 and more. */
  'base64',
] as const

export type TextFormat = (typeof textFormats)[number]

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
export const jsonNumber = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?$/
const digits = /^[+-]?\d+$/
const javaNumber =
  /^[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|0[xX](?:[\da-fA-F]+(?:\.[\da-fA-F]*)?|\.[\da-fA-F]+)[pP][+-]?\d+)[fFdD]?$/
const booleanWord = /^(?:yes|no|y|n|t|f|on|off|true|false)$/i
const url = /^[a-z][a-z0-9+.-]{1,20}:\/\/\S+$/i
const email = /^[^\s@/]+@[^\s@/]+\.[^\s@/.]+$/
const path = /^(?:\/|[a-z]:\\)\S*$/i
const point = /^(-?\d{1,2}(?:\.\d+)?), ?(-?\d{1,3}(?:\.\d+)?)$/
const base64 = /^[A-Za-z0-9+/_-]{62,}={0,2}$/

/** Longer texts are looked at by their beginning only. */
export const maxShort = 64
const maxUrl = 2048
const maxEmail = 254
/** A field with longer texts is none of numbers. */
const maxNumber = 1024

/** The format of a text that is no date; undefined if it has none. */
export function formatOf(text: string): TextFormat | undefined {
  if (text === '') return 'empty'
  const first = text.charCodeAt(0)
  const isNumeric = first <= 0x39
  if (text.length > maxShort) {
    if (isNumeric && text.length <= maxNumber && isJavaNumber(text)) return 'java-number'
    if (text.length <= maxUrl && url.test(text)) return 'url'
    return nameFormatOf(text)
  }
  if (isNumeric && jsonNumber.test(text)) return 'decimal'
  if (isIPv4(text)) return 'ipv4'
  if (text.includes(':')) {
    // Elasticsearch forgets the zone of an address.
    if (!text.includes('%') && isIPv6(text)) return 'ipv6'
    return url.test(text) ? 'url' : nameFormatOf(text)
  }
  if (text === 'true' || text === 'false') return 'boolean'
  if (text.length <= 5 && booleanWord.test(text)) return 'boolean-word'
  if (text.length === 36 && uuid.test(text)) return 'uuid'
  if (isNumeric && digits.test(text)) return 'digits'
  if (isNumeric && isJavaNumber(text)) return 'java-number'
  if (isNumeric && isPoint(text)) return 'geo-point'
  return nameFormatOf(text)
}

function nameFormatOf(text: string): TextFormat | undefined {
  if (text.length > maxUrl) return base64.test(text) ? 'base64' : undefined
  if (text.length <= maxEmail && text.includes('@') && email.test(text)) return 'email'
  if (base64.test(text)) return 'base64'
  return path.test(text) ? 'path' : undefined
}

/**
 * Without white space, but of several words for the standard analyzer, which splits at `-`, `/` and
 * `@`, and not at `_`, `.` and `:`. A word has three letters or more, and no digits.
 */
export function isOfWords(text: string): boolean {
  let words = 0
  for (const [part] of text.matchAll(/[\p{L}\p{N}_.':]+/gu))
    if (/^\p{L}[\p{L}.]{2,}$/u.test(part) && ++words === 2) return true
  return false
}

/** Java ignores control characters and spaces around a number. */
function isJavaNumber(text: string): boolean {
  let [start, end] = [0, text.length]
  while (start < end && text.charCodeAt(start) <= 0x20) start++
  while (start < end && text.charCodeAt(end - 1) <= 0x20) end--
  return javaNumber.test(text.slice(start, end))
}

function isPoint(text: string): boolean {
  const [, latitude, longitude] = point.exec(text) ?? []
  if (latitude === undefined) return false
  return Math.abs(Number(latitude)) <= 90 && Math.abs(Number(longitude)) <= 180
}
