import { isUtf8 } from 'node:buffer'
import type { JsonScan } from '../json-scan.ts'
import { malformedType, type RecordInPlace, type RecordType, untypedType } from '../record.ts'
import type { TypeSource } from '../type-source.ts'
import { typeField } from './layout.ts'

/** A type, with the beginning of its lines in the batch that is being encoded. */
export interface KnownType {
  readonly type: RecordType
  /** `"type":"…",`, or nothing for a reserved type. */
  readonly field: string
  /** The batch that the rest belongs to. */
  batch: number
  /** Index into the types of that batch. */
  index: number
  /** The line up to its offset. Only the digits of its `@timestamp` change. */
  timed: Buffer
  /** The day, since 1970, that is written in `timed`. */
  day: number
}

/** The max number of names that are remembered at once: a producer may send any number of them. */
const maxNames = 10_000
/** A power of two. */
const quickTypes = 256
/**
 * A longer name of a type is read again for each record: ten thousand of those in memory would fill
 * it.
 */
const maxRememberedLength = 4096
/** A longer text is no usable type: every line would repeat it, and so would every manifest. */
const maxTypeBytes = 64 * 1024

const nothing = Buffer.alloc(0)

/** Finds the type of a record. A type found before costs no string. */
export class TypeLookup {
  readonly malformed = knownType(malformedType)
  readonly #untyped = knownType(untypedType)
  readonly #source: TypeSource
  /** The name of the header that has the type, if there is one. */
  readonly #header: Buffer
  readonly #known = new Map<string, KnownType>()
  /** The types found last, by a hash of their bytes in the message. */
  readonly #quick: ({ readonly raw: Buffer; readonly known: KnownType } | undefined)[] = new Array(
    quickTypes,
  )

  constructor(source: TypeSource) {
    this.#source = source
    this.#header = Buffer.from(source.from === 'header' ? source.header : '')
  }

  /** The type of a record that is well formed; `scan` is undefined for a tombstone. */
  of(record: RecordInPlace, topic: string, scan: JsonScan | undefined): KnownType {
    if (scan === undefined) return this.#untyped
    switch (this.#source.from) {
      case 'topic':
        return this.#known.get(topic) ?? this.#learn(topic, topic)
      case 'header': {
        const value = lastHeader(record, this.#header)
        if (value === null || value.length === 0 || value.length > maxTypeBytes || !isUtf8(value))
          return this.#untyped
        const name = value.toString('utf8')
        return this.#known.get(name) ?? this.#learn(name, name)
      }
      case 'value': {
        const { foundStart, foundEnd, foundEscaped } = scan
        if (foundStart === -1 || foundStart === foundEnd || foundEnd - foundStart > maxTypeBytes)
          return this.#untyped
        return this.#inPlace(record.bytes, foundStart, foundEnd, foundEscaped)
      }
    }
  }

  /**
   * The type whose name is between two quotes, perhaps with escapes: `"a"` and `"\u0061"` are two
   * texts of one type.
   */
  #inPlace(bytes: Buffer, start: number, end: number, escaped: boolean): KnownType {
    let hash = end - start
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + bytes[i]!) | 0
    const slot = (hash ^ (hash >>> 15)) & (quickTypes - 1)
    const quick = this.#quick[slot]
    if (quick !== undefined && isSame(quick.raw, bytes, start, end)) return quick.known
    const raw = bytes.toString('latin1', start - 1, end + 1)
    const known = this.#known.get(raw) ?? this.#learn(raw, nameAt(bytes, start, end, escaped))
    if (end - start <= maxRememberedLength)
      this.#quick[slot] = { raw: Buffer.from(bytes.subarray(start, end)), known }
    return known
  }

  #learn(raw: string, name: string): KnownType {
    const known = knownType({ name, reserved: false })
    if (raw.length > maxRememberedLength) return known
    if (this.#known.size >= maxNames) this.#known.clear()
    this.#known.set(raw, known)
    return known
  }
}

/** The name between two quotes, perhaps with escapes. */
function nameAt(bytes: Buffer, start: number, end: number, escaped: boolean): string {
  return escaped
    ? (JSON.parse(bytes.toString('utf8', start - 1, end + 1)) as string)
    : bytes.toString('utf8', start, end)
}

function knownType(type: RecordType): KnownType {
  return { type, field: typeField(type), batch: -1, index: -1, timed: nothing, day: -1 }
}

function isSame(raw: Buffer, bytes: Buffer, start: number, end: number): boolean {
  if (raw.length !== end - start) return false
  for (let i = 0; i < raw.length; i++) if (raw[i] !== bytes[start + i]) return false
  return true
}

/** The value of the last header of a name; null when there is none. */
function lastHeader({ bytes, headerPositions: at }: RecordInPlace, name: Buffer): Buffer | null {
  for (let i = at.length - 4; i >= 0; i -= 4) {
    if (!isSame(name, bytes, at[i]!, at[i + 1]!)) continue
    return at[i + 2] === -1 ? null : bytes.subarray(at[i + 2], at[i + 3])
  }
  return null
}
