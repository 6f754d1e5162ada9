import type { RecordType } from '../record/record.ts'
import { encodeSegment, formerSegment, type SegmentRules } from '../record/segment.ts'
import { dayOf, isoDay, unknownHour } from '../record/time.ts'

/**
 * Names of indices. Elasticsearch allows lower case only, at most 255 bytes, and none of
 * `\ / * ? " < > | , # :` and space (Elasticsearch reference, create index API, path parameters).
 */

const maxName = 255
/** `-2019.08.01`, `-unknown`: the longer of the two. */
const dayBytes = 11

/** One of them does not begin with the archive's prefix. */
const rebuiltBeginnings = ['rebuilt-', 'new-rebuilt-']
/** Bytes of the number of a rebuild, and of the hyphen before it. */
const maxNumber = 7

/** True for the name of an index that `mapping --rebuild` has made. */
export function isRebuilt(index: string): boolean {
  return rebuiltBeginnings.some((beginning) => index.startsWith(beginning))
}

/** Prefixes that make every name valid; the same characters that types keep. */
export function checkIndexPrefix(prefix: string): string {
  if (!/^[a-z0-9][a-z0-9._-]{0,40}$/.test(prefix)) {
    throw new Error(
      'up to 41 of a-z 0-9 . _ - that begin with a letter or a digit, such as archive-',
    )
  }
  return prefix
}

/** `2019.08.01`, or `unknown`. */
export function indexDay(hour: number): string {
  if (hour === unknownHour) return 'unknown'
  return isoDay(dayOf(hour)).replaceAll('-', '.')
}

/** What the names of the indices of status documents begin with; `archive-*` must not find them. */
export const statusIndexPrefix = 'archiver-status-'

/** Names for one prefix, remembered while records of the same type and day come. */
export class IndexNames {
  readonly #prefix: string
  readonly #segments = new Map<string, string>()

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** `archive-object.one-2019.08.01`. */
  of(type: RecordType, hour: number): string {
    return `${this.#prefix}${this.#segment(type)}-${indexDay(hour)}`
  }

  /**
   * Every index that may hold records of a type and hour: the one of `of`, then the one to which
   * earlier versions sent types with lone surrogates, and types that spell a shortened name.
   */
  every(type: RecordType, hour: number): readonly string[] {
    const current = this.of(type, hour)
    const former = type.reserved
      ? undefined
      : formerSegment(type.name.toLowerCase(), rulesFor(this.#maxSegment))
    return former === undefined
      ? [current]
      : [current, `${this.#prefix}${former}-${indexDay(hour)}`]
  }

  /** The index of documents that Elasticsearch refused: of the record's own day. */
  rejected(hour: number): string {
    return `${this.#prefix}_rejected-${indexDay(hour)}`
  }

  /** All indices of refused documents, for a request path. */
  get rejectedPattern(): string {
    return `${this.#prefix}_rejected-*`
  }

  /**
   * Patterns of the indices of a type, for these years. Elasticsearch knows no wildcard but `*`,
   * and `archive-shop-*` would also match the indices of a type `shop-eu`. Only a type whose name
   * continues with a year and a dot is matched by mistake.
   */
  ofYears(type: RecordType, years: readonly number[]): readonly string[] {
    const start = `${this.#prefix}${this.#segment(type)}-`
    return [...years.map((year) => `${start}${year}.*.*`), `${start}unknown`]
  }

  /**
   * What the names of indices begin with that `mapping --rebuild` has made to take the place of an
   * index, followed by a number: `rebuilt-archive-shop-2019.08.01-`. No pattern of the archive
   * matches them.
   */
  rebuilt(index: string): string {
    const beginning = this.#rebuiltBeginning
    const maxBytes = maxName - beginning.length - maxNumber
    const rules = { ...rulesFor(maxBytes), allowed: /^[a-z0-9._%-]*$/ }
    return `${beginning}${encodeSegment(index, rules)}-`
  }

  /** All indices of `rebuilt`, for a request path. */
  get rebuiltPattern(): string {
    return `${this.#rebuiltBeginning}${this.#prefix}*`
  }

  /** The index that says who rebuilds which day: `rebuilt-archive-leases`. */
  get leases(): string {
    return `${this.#rebuiltBeginning}${this.#prefix}leases`
  }

  get #rebuiltBeginning(): string {
    return rebuiltBeginnings.find((one) => !one.startsWith(this.#prefix))!
  }

  get #maxSegment(): number {
    return maxName - this.#prefix.length - dayBytes
  }

  #segment(type: RecordType): string {
    if (type.reserved) return type.name
    const known = this.#segments.get(type.name)
    if (known !== undefined) return known
    const segment = typeIndexSegment(type.name, this.#maxSegment)
    if (this.#segments.size >= 10_000) this.#segments.clear()
    this.#segments.set(type.name, segment)
    return segment
  }
}

/**
 * A type in lower case: types that differ only in case share an index, by design. A leading `_` is
 * encoded, because names that begin with it are the program's own.
 */
export function typeIndexSegment(type: string, maxBytes: number): string {
  return encodeSegment(type.toLowerCase(), rulesFor(maxBytes))
}

function rulesFor(maxBytes: number): SegmentRules {
  return { allowed: /^[a-z0-9._-]*$/, notFirst: '_', maxBytes, hexDigits: 'lower' }
}

/** True when two hours fall on the same day, and so into the same index. */
export function sameDay(hour: number, other: number): boolean {
  return dayOf(hour) === dayOf(other)
}
