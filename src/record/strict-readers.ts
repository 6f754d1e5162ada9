import { BACKSLASH, QUOTE } from './ascii.ts'

/**
 * What RFC 8259 allows in a JSON text and strict readers reject, or read as something else. RFC
 * 8259 leaves it to the reader how to treat equal names (section 4), size and depth of a text
 * (section 9) and numbers (section 6). It allows escapes of lone surrogates (section 8.2).
 * `docs/reading-with-other-tools.md` says which reader rejects what, as measured.
 */

/** The order is that of the bits of a finding. */
const kinds = [
  'lone-surrogate',
  'equal-names',
  'names-equal-but-for-case',
  'deep',
  'number-beyond-double',
  'integer-beyond-64-bits',
  'long-line',
  'integer-beyond-53-bits',
] as const

export type StrictKind = (typeof kinds)[number]

/** What each kind is, in a few words. */
export const strictKinds: Readonly<Record<StrictKind, string>> = {
  'lone-surrogate': 'half of a surrogate pair in a text or a name',
  'equal-names': 'equal names in one object',
  'names-equal-but-for-case': 'names in one object that differ in case alone',
  deep: 'more than 126 levels',
  'number-beyond-double': 'a number beyond what a double holds',
  'integer-beyond-64-bits': 'a whole number beyond 64 bits',
  'long-line': 'a line of more than 1 MiB',
  'integer-beyond-53-bits': 'a whole number beyond 2^53, which readers that use doubles round',
}

/**
 * Levels of a value. The line around it has one more, and DuckDB rejects 128 with what is in the
 * innermost one.
 */
export const maxDepth = 126
/**
 * pyarrow rejects a line that is longer than its default block. DuckDB rejects one of more than 16
 * MiB.
 */
export const maxLineBytes = 2 ** 20
/**
 * Max names of all objects that are open at one place, as a value may hold millions. Names beyond
 * are not compared with each other.
 */
const maxOpenNames = 200_000
/** Up to here a list of names is faster than a set. */
const fewNames = 12

const LETTER_U = 0x75

/** Bits of the kinds that no reader rejects. */
const notes = bitOf('integer-beyond-53-bits')

function bitOf(kind: StrictKind): number {
  return 1 << kinds.indexOf(kind)
}

/** The kinds of a finding; those that readers reject come first. */
export function kindsOf(found: number): readonly StrictKind[] {
  return kinds.filter((_, i) => (found & (1 << i)) !== 0)
}

/** Whether a finding has a kind that some reader rejects, not a note alone. */
export function isRefused(found: number): boolean {
  return (found & ~notes) !== 0
}

/** Whether a kind is one that no reader rejects. */
export function isNote(kind: StrictKind): boolean {
  return (bitOf(kind) & notes) !== 0
}

/** The names of one open object. */
class Names {
  #list: string[] = []
  #exact: Set<string> | undefined
  #folded: Set<string> | undefined

  /** Adds a name and says whether an earlier one is equal to it. */
  add(name: string): 'new' | 'equal' | 'case' {
    if (this.#exact === undefined) {
      if (this.#list.includes(name)) return 'equal'
      if (this.#list.length < fewNames) {
        const folded = name.toLowerCase()
        const differs = this.#list.some(
          (other) => other.length === name.length && other.toLowerCase() === folded,
        )
        this.#list.push(name)
        return differs ? 'case' : 'new'
      }
      this.#exact = new Set(this.#list)
      this.#folded = new Set(this.#list.map((other) => other.toLowerCase()))
    }
    if (this.#exact.has(name)) return 'equal'
    const folded = name.toLowerCase()
    const differs = this.#folded!.has(folded)
    this.#exact.add(name)
    this.#folded!.add(folded)
    return differs ? 'case' : 'new'
  }

  get size(): number {
    return this.#exact?.size ?? this.#list.length
  }
}

/**
 * Scans one valid JSON text in UTF-8 once, from left to right, without recursion. Memory holds the
 * names of the objects that are open.
 *
 * @param lineBytes the size of the line that the value is in
 * @returns bits for `kindsOf`; 0 if every reader accepts it
 */
export function scanForStrictReaders(
  bytes: Buffer,
  start: number,
  end: number,
  lineBytes: number,
): number {
  let found = lineBytes > maxLineBytes ? bitOf('long-line') : 0
  /** Per open container: the names of an object, undefined for an array. */
  const open: (Names | undefined)[] = []
  let openNames = 0
  let isName = false
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) {
      const first = i + 1
      let escaped = false
      for (i = first; bytes[i] !== QUOTE; i++) {
        if (bytes[i] !== BACKSLASH) continue
        escaped = true
        i++
        if (bytes[i] === LETTER_U) {
          const unit = Number.parseInt(bytes.toString('latin1', i + 1, i + 5), 16)
          i += 4
          if (unit < 0xd800 || unit > 0xdfff) continue
          if (isHigh(unit) && isLowEscape(bytes, i + 1)) i += 6
          else found |= bitOf('lone-surrogate')
        }
      }
      if (!isName) continue
      isName = false
      if (openNames >= maxOpenNames) continue
      openNames++
      const name = escaped
        ? (JSON.parse(bytes.toString('utf8', first - 1, i + 1)) as string)
        : bytes.toString('utf8', first, i)
      const kind = open[open.length - 1]!.add(name)
      if (kind !== 'new')
        found |= bitOf(kind === 'equal' ? 'equal-names' : 'names-equal-but-for-case')
    } else if (byte === 0x7b || byte === 0x5b) {
      isName = byte === 0x7b
      open.push(isName ? new Names() : undefined)
      if (open.length > maxDepth) found |= bitOf('deep')
    } else if (byte === 0x7d || byte === 0x5d) {
      openNames -= open.pop()?.size ?? 0
      isName = false
    } else if (byte === 0x2c) {
      isName = open[open.length - 1] !== undefined
    } else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
      const first = i
      while (i + 1 < end && isNumberByte(bytes[i + 1]!)) i++
      if (i - first >= 4) found |= numberKind(bytes, first, i + 1)
    }
  }
  return found
}

function isHigh(unit: number): boolean {
  return unit <= 0xdbff
}

/** Whether the escape of a low surrogate begins here. */
function isLowEscape(bytes: Buffer, at: number): boolean {
  if (bytes[at] !== BACKSLASH || bytes[at + 1] !== LETTER_U) return false
  const unit = Number.parseInt(bytes.toString('latin1', at + 2, at + 6), 16)
  return unit >= 0xdc00 && unit <= 0xdfff
}

/** Digits, sign, point, exponent. */
function isNumberByte(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) ||
    byte === 0x2e ||
    byte === 0x2d ||
    byte === 0x2b ||
    (byte | 0x20) === 0x65
  )
}

/** Digits of 2^64 - 1. */
const longestInteger = 20
/** pyarrow rejects a larger exponent even of zero. */
const maxExponent = 308

/** The kind of a number of five characters and more. A shorter one has none. */
function numberKind(bytes: Buffer, start: number, end: number): number {
  const text = bytes.toString('latin1', start, end)
  const [, digits, exponent] = /^-?(\d+)(?:\.\d+)?(?:[eE]\+?(-?\d+))?$/.exec(text) ?? []
  const isInteger =
    digits !== undefined && end - start === digits.length + (bytes[start] === 0x2d ? 1 : 0)
  const isBeyondDouble = !Number.isFinite(Number(text)) || Number(exponent ?? 0) > maxExponent
  const ofDouble = isBeyondDouble ? bitOf('number-beyond-double') : 0
  if (!isInteger || digits.length < 16) return ofDouble
  if (digits.length > longestInteger) return ofDouble | bitOf('integer-beyond-64-bits')
  const value = BigInt(text)
  if (value >= 2n ** 64n || value < -(2n ** 63n)) return bitOf('integer-beyond-64-bits')
  return value > 2n ** 53n || value < -(2n ** 53n) ? notes : 0
}
