/** Which numbers a field of Elasticsearch holds, by its type: from min to max, both included. */
interface Holds {
  readonly min: number
  readonly max: number
  /** How far a single value may be from the number, relative to its size. */
  readonly rounding: number
}

const whole = (bits: number): Holds => ({
  min: -(2 ** (bits - 1)),
  max: 2 ** (bits - 1) - 1,
  rounding: 0,
})
const maxFloat = (2 - 2 ** -23) * 2 ** 127

/**
 * The types whose aggregates are compared. The others do not hold a number as it is (`half_float`,
 * `scaled_float`, ranges, dates).
 */
export const comparedTypes: ReadonlyMap<string, Holds> = new Map([
  ['double', { min: -Number.MAX_VALUE, max: Number.MAX_VALUE, rounding: 0 }],
  ['float', { min: -maxFloat, max: maxFloat, rounding: 2 ** -24 }],
  ['long', { min: -(2 ** 63), max: 2 ** 63, rounding: 0 }],
  ['unsigned_long', { min: 0, max: 2 ** 64, rounding: 0 }],
  ['integer', whole(32)],
  ['short', whole(16)],
  ['byte', whole(8)],
])

/** Rounding of two compensated sums of doubles, relative to the sum of the absolute values. */
const sumRounding = 1e-14
const minLong = -(2n ** 63n)
const maxLong = 2n ** 63n - 1n

/** The numbers of one field in the files, as Elasticsearch's `stats` would compute them. */
export class FieldSum {
  readonly type: string
  readonly #holds: Holds
  count = 0
  min: number | null = null
  max: number | null = null
  /** Numbers that a field of this type ignores: they are counted, not compared. */
  ignored = 0
  #sum = 0
  /** What rounding took from the sum (Neumaier). */
  #rest = 0
  /** The sum of the absolute values. The tolerance is relative to it. */
  #scale = 0

  /** @throws Error for a type that is not in `comparedTypes`. */
  constructor(type: string) {
    const holds = comparedTypes.get(type)
    if (holds === undefined) throw new Error(`${type} is not compared`)
    this.type = type
    this.#holds = holds
  }

  get sum(): number {
    return this.#sum + this.#rest
  }

  /** Adds a number as the message writes it. */
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

  /** The aggregates that differ from Elasticsearch's. */
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
      !Number.isFinite(sum) ||
      !Number.isFinite(found.sum) ||
      Math.abs(found.sum - sum) <= this.#scale * (sumRounding + rounding)
    return [
      ...(found.count === this.count ? [] : (['count'] as const)),
      ...(isSame(this.min, found.min) ? [] : (['min'] as const)),
      ...(isSame(this.max, found.max) ? [] : (['max'] as const)),
      ...(isSumSame ? [] : (['sum'] as const)),
    ]
  }

  #isHeld(text: string, value: number): boolean {
    const { min, max } = this.#holds
    if (!(value >= min && value <= max)) return false
    // Beyond 2^53 a double is too coarse for the limits of a long.
    if (this.type !== 'long' || Math.abs(value) < 2 ** 62) return true
    if (!/^-?\d+$/.test(text)) return value < 2 ** 63
    const exact = BigInt(text)
    return exact >= minLong && exact <= maxLong
  }
}
