import { type DateForm, dateFormNames, maxDateLength, parseDate } from './dates.ts'
import { type NumberFacts, NumberTally } from './numbers.ts'
import { formatOf, isOfWords, maxShort, type TextFormat, textFormats } from './text-formats.ts'

/** `ignore_above` of the templates, in characters: a keyword ignores what is longer. */
const keywordLength = 1024
/** Texts longer than this are prose or blobs. */
const longLength = 256

const wordFormats: ReadonlySet<TextFormat> = new Set(['email', 'path', 'url'])

/** The times that texts of some forms mean, in UTC. */
export interface DateFacts {
  readonly count: number
  readonly forms: Readonly<Partial<Record<DateForm, number>>>
  /** ISO 8601, to the nanosecond. */
  readonly earliest: string
  readonly latest: string
  /** How many texts have this number of digits behind the second. */
  readonly fractionDigits: Readonly<Record<string, number>>
  /** Times of RFC 3339. */
  readonly rfc3339: number
}

export interface TextFacts {
  readonly count: number
  /** In characters as Elasticsearch counts them: UTF-16 units. */
  readonly minLength: number
  readonly maxLength: number
  readonly meanLength: number
  /** Longer than 256, and longer than 1024 characters. */
  readonly long: number
  readonly beyondKeyword: number
  /** With white space inside: words. */
  readonly spaced: number
  /** Without white space, but several words for the analyzer: `SKU-17-COFFEE`. */
  readonly joined: number
  readonly formats: Readonly<Partial<Record<TextFormat, number>>>
  readonly dates: DateFacts | undefined
  /** Texts that are numbers as JSON writes them. */
  readonly decimals: NumberFacts | undefined
}

export class TextTally {
  #count = 0
  #minLength = Number.POSITIVE_INFINITY
  #maxLength = 0
  #totalLength = 0
  #long = 0
  #beyondKeyword = 0
  #spaced = 0
  #joined = 0
  readonly #formats = new Map<TextFormat, number>()
  readonly #forms = new Map<DateForm, number>()
  readonly #fractions = new Map<number, number>()
  #rfc3339 = 0
  #earliest: string | undefined
  #latest: string | undefined
  readonly #decimals = new NumberTally()

  /** @param at the record's timestamp in ms */
  add(text: string, at: number | undefined): void {
    const { length } = text
    this.#count++
    this.#minLength = Math.min(this.#minLength, length)
    this.#maxLength = Math.max(this.#maxLength, length)
    this.#totalLength += length
    if (length > longLength) this.#long++
    if (length > keywordLength) this.#beyondKeyword++
    const start = length > keywordLength ? text.slice(0, keywordLength) : text
    const isSpaced = /\S\s+\S/.test(start)
    if (isSpaced) this.#spaced++
    if (length <= maxDateLength && this.#addDate(text)) return
    const format = formatOf(text)
    if (!isSpaced && (format === undefined || wordFormats.has(format)) && isOfWords(start))
      this.#joined++
    if (format === undefined) return
    raise(this.#formats, format)
    if (format === 'decimal' && length <= maxShort) this.#decimals.add(text, at)
  }

  #addDate(text: string): boolean {
    const date = parseDate(text)
    if (date === undefined) return false
    raise(this.#forms, date.form)
    raise(this.#fractions, date.fractionDigits)
    if (date.isRfc3339 === true) this.#rfc3339++
    this.#addTime(sortable(date.ms, date.nanos))
    return true
  }

  #addTime(time: string): void {
    if (this.#earliest === undefined || time < this.#earliest) this.#earliest = time
    if (this.#latest === undefined || time > this.#latest) this.#latest = time
  }

  merge(other: TextTally): void {
    this.#count += other.#count
    this.#minLength = Math.min(this.#minLength, other.#minLength)
    this.#maxLength = Math.max(this.#maxLength, other.#maxLength)
    this.#totalLength += other.#totalLength
    this.#long += other.#long
    this.#beyondKeyword += other.#beyondKeyword
    this.#spaced += other.#spaced
    this.#joined += other.#joined
    for (const [format, count] of other.#formats) raise(this.#formats, format, count)
    for (const [form, count] of other.#forms) raise(this.#forms, form, count)
    for (const [digits, count] of other.#fractions) raise(this.#fractions, digits, count)
    this.#rfc3339 += other.#rfc3339
    if (other.#earliest !== undefined) this.#addTime(other.#earliest)
    if (other.#latest !== undefined) this.#addTime(other.#latest)
    this.#decimals.merge(other.#decimals)
  }

  /** Undefined if no text was added. */
  facts(): TextFacts | undefined {
    if (this.#count === 0) return undefined
    return {
      count: this.#count,
      minLength: this.#minLength,
      maxLength: this.#maxLength,
      meanLength: Math.round(this.#totalLength / this.#count),
      long: this.#long,
      beyondKeyword: this.#beyondKeyword,
      spaced: this.#spaced,
      joined: this.#joined,
      formats: inOrder(textFormats, this.#formats),
      dates: this.#dates(),
      decimals: this.#decimals.facts(),
    }
  }

  #dates(): DateFacts | undefined {
    if (this.#earliest === undefined || this.#latest === undefined) return undefined
    const digits = [...this.#fractions].sort(([a], [b]) => a - b)
    return {
      count: [...this.#forms.values()].reduce((sum, count) => sum + count, 0),
      forms: inOrder(dateFormNames, this.#forms),
      earliest: readable(this.#earliest),
      latest: readable(this.#latest),
      fractionDigits: Object.fromEntries(digits),
      rfc3339: this.#rfc3339,
    }
  }
}

function raise<K>(counts: Map<K, number>, key: K, by = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + by)
}

function inOrder<K extends string>(
  keys: readonly K[],
  counts: ReadonlyMap<K, number>,
): Partial<Record<K, number>> {
  const present = keys.filter((key) => counts.has(key))
  return Object.fromEntries(present.map((key) => [key, counts.get(key)!])) as Partial<
    Record<K, number>
  >
}

/** The years of all forms, with hours of zones around them. */
const origin = 1e14

/** A text that sorts by time: ms from far before year 0, then nanoseconds. */
function sortable(ms: number, nanos: number): string {
  return `${String(ms + origin).padStart(16, '0')}${String(nanos).padStart(6, '0')}`
}

/** `2019-08-01T03:23:03.000Z`, with nanoseconds if there are any. */
function readable(time: string): string {
  const text = new Date(Number(time.slice(0, 16)) - origin).toISOString()
  const nanos = time.slice(16)
  return nanos === '000000' ? text : text.replace('Z', `${nanos}Z`)
}
