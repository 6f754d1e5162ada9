/**
 * What of the numbers in the files a field of Elasticsearch can hold, by its type: from and to,
 * both included.
 */
interface Holds {
  readonly least: number
  readonly most: number
  /** How far a single value may be from the number, compared with its size. */
  readonly rounding: number
}

const whole = (bits: number): Holds => ({
  least: -(2 ** (bits - 1)),
  most: 2 ** (bits - 1) - 1,
  rounding: 0,
})
const maxFloat = (2 - 2 ** -23) * 2 ** 127

/**
 * The types whose aggregates are compared. What is left out holds no number as it is (`half_float`,
 * `scaled_float`, ranges, dates).
 */
export const comparedTypes: ReadonlyMap<string, Holds> = new Map([
  ['double', { least: -Number.MAX_VALUE, most: Number.MAX_VALUE, rounding: 0 }],
  ['float', { least: -maxFloat, most: maxFloat, rounding: 2 ** -24 }],
  ['long', { least: -(2 ** 63), most: 2 ** 63, rounding: 0 }],
  ['unsigned_long', { least: 0, most: 2 ** 64, rounding: 0 }],
  ['integer', whole(32)],
  ['short', whole(16)],
  ['byte', whole(8)],
])

/** Rounding of two compensated sums of doubles, compared with the sum of the absolute values. */
const sumRounding = 1e-14
const minLong = -(2n ** 63n)
const maxLong = 2n ** 63n - 1n

/**
 * The numbers of one field of the files, added up: what `stats` of Elasticsearch would give of
 * them.
 */
export class FieldSum {
  readonly type: string
  readonly #holds: Holds
  count = 0
  min: number | null = null
  max: number | null = null
  /** Numbers that a field of this type ignores: they are counted and not compared. */
  ignored = 0
  #sum = 0
  /** What rounding took from the sum (Neumaier). */
  #rest = 0
  /** The sum of the absolute values: what a tolerance is a part of. */
  #scale = 0

  /** @throws Error when the type is none of `comparedTypes`. */
  constructor(type: string) {
    const holds = comparedTypes.get(type)
    if (holds === undefined) throw new Error(`${type} is not compared`)
    this.type = type
    this.#holds = holds
  }

  get sum(): number {
    return this.#sum + this.#rest
  }

  /** A number as the message writes it. */
  add(text: string): void {
    const value = Number(text)
    if (!this.#isHeld(text, value)) {
      this.ignored++
      return
    }
    this.count++
    if (this.min === null || value < this.min) this.min = value
    if (this.max === null || value > this.max) this.max = value
    const sum = this.#sum + value
    this.#rest +=
      Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum
    this.#sum = sum
    this.#scale += Math.abs(value)
  }

  /** Which of the aggregates are not those of Elasticsearch. */
  differences(found: {
    readonly count: number
    readonly min: number | null
    readonly max: number | null
    readonly sum: number
  }): ('count' | 'min' | 'max' | 'sum')[] {
    const { rounding } = this.#holds
    const isSame = (a: number | null, b: number | null) =>
      a === null || b === null ? a === b : Math.abs(a - b) <= Math.abs(a) * rounding
    const sum = this.sum
    // A sum beyond all doubles says nothing.
    const isSumSame =
      !Number.isFinite(sum) || Math.abs(found.sum - sum) <= this.#scale * (sumRounding + rounding)
    return [
      ...(found.count === this.count ? [] : (['count'] as const)),
      ...(isSame(this.min, found.min) ? [] : (['min'] as const)),
      ...(isSame(this.max, found.max) ? [] : (['max'] as const)),
      ...(isSumSame ? [] : (['sum'] as const)),
    ]
  }

  #isHeld(text: string, value: number): boolean {
    const { least, most } = this.#holds
    if (!(value >= least && value <= most)) return false
    // Beyond 2^53 doubles are too coarse to tell the edge of a long.
    if (this.type !== 'long' || Math.abs(value) < 2 ** 62) return true
    if (!/^-?\d+$/.test(text)) return value < 2 ** 63
    const exact = BigInt(text)
    return exact >= minLong && exact <= maxLong
  }
}
