import { compareDecimals, decimalOf } from '../record/exact-order.ts'
import { msPerDay } from '../record/time.ts'

/** Units of times since 1970, and how many of them a millisecond has. */
const unitsPerMs = { s: 1e-3, ms: 1, us: 1e3, ns: 1e6 } as const
export type EpochUnit = keyof typeof unitsPerMs
export const epochUnits = Object.keys(unitsPerMs) as EpochUnit[]

/** 1990 to 2100: what a time since 1970 lies in. */
const firstTime = Date.UTC(1990, 0)
const lastTime = Date.UTC(2100, 0)
/** A time this close to the record's own says that the number is a time. */
const nearMs = 400 * msPerDay
/** Longer numbers are kept as the nearest double. */
const maxKept = 128
const maxLong = 2n ** 63n - 1n

export interface EpochFacts {
  /** Whole numbers that mean a time from 1990 to 2100 in this unit. */
  readonly count: number
  /** Those within 400 days of the record's own timestamp. */
  readonly near: number
}

export interface NumberFacts {
  readonly count: number
  /** Written without a fraction and an exponent. */
  readonly whole: number
  /** As written; of more than 128 characters the nearest double. */
  readonly min: string
  readonly max: string
  /** The most digits before and behind the point. */
  readonly wholeDigits: number
  readonly fractionDigits: number
  /** Whole numbers that a double may round: from 2^53 on. */
  readonly beyondDouble: number
  /** Whole numbers outside ±(2^63-1). */
  readonly beyondLong: number
  /** Numbers beyond all doubles, e.g. `1e400`. */
  readonly infinite: number
  /** Negative zeros with a fraction or an exponent: `-0.0` sorts below 0. */
  readonly negativeZeros: number
  readonly epochs: Readonly<Record<EpochUnit, EpochFacts>>
}

/** Counts numbers as texts, so that none loses a digit. */
export class NumberTally {
  #count = 0
  #whole = 0
  #min: string | undefined
  #max: string | undefined
  #wholeDigits = 0
  #fractionDigits = 0
  #beyondDouble = 0
  #beyondLong = 0
  #infinite = 0
  #negativeZeros = 0
  readonly #epochs = epochUnits.map(() => ({ count: 0, near: 0 }))

  /** @param at the record's timestamp in ms */
  add(written: string, at: number | undefined): void {
    this.#count++
    const value = Number(written)
    const isWhole = /^-?\d+$/.test(written)
    if (isWhole) this.#addWhole(written, value, at)
    else if (Object.is(value, -0)) this.#negativeZeros++
    if (!Number.isFinite(value)) this.#infinite++
    const point = written.indexOf('.')
    const exponent = written.search(/[eE]/)
    if (exponent === -1) {
      const sign = written.startsWith('-') ? 1 : 0
      const wholeDigits = (point === -1 ? written.length : point) - sign
      const fractionDigits = point === -1 ? 0 : written.length - point - 1
      this.#wholeDigits = Math.max(this.#wholeDigits, wholeDigits)
      this.#fractionDigits = Math.max(this.#fractionDigits, fractionDigits)
    } else this.#addDigitsOf(written)
    this.#addBounds(written.length > maxKept ? nearest(value) : written)
  }

  #addWhole(written: string, value: number, at: number | undefined): void {
    this.#whole++
    if (written.length >= 16 && Math.abs(value) >= 2 ** 53) {
      this.#beyondDouble++
      if (written.length > 20 || isBeyondLong(written)) this.#beyondLong++
    }
    for (const [i, unit] of epochUnits.entries()) {
      const ms = value / unitsPerMs[unit]
      if (ms < firstTime || ms >= lastTime) continue
      const epoch = this.#epochs[i]!
      epoch.count++
      if (at !== undefined && Math.abs(ms - at) <= nearMs) epoch.near++
    }
  }

  /** Of a number with an exponent. */
  #addDigitsOf(written: string): void {
    const decimal = decimalOf(written)
    if (decimal === undefined || decimal.digits === '') return
    const magnitude = Number(decimal.magnitude)
    // Nobody writes out a number of a thousand digits.
    if (!(Math.abs(magnitude) < 1000)) return
    this.#wholeDigits = Math.max(this.#wholeDigits, magnitude, 1)
    this.#fractionDigits = Math.max(this.#fractionDigits, decimal.digits.length - magnitude)
  }

  #addBounds(written: string): void {
    if (this.#min === undefined || isBelow(written, this.#min)) this.#min = written
    if (this.#max === undefined || isBelow(this.#max, written)) this.#max = written
  }

  merge(other: NumberTally): void {
    this.#count += other.#count
    this.#whole += other.#whole
    this.#wholeDigits = Math.max(this.#wholeDigits, other.#wholeDigits)
    this.#fractionDigits = Math.max(this.#fractionDigits, other.#fractionDigits)
    this.#beyondDouble += other.#beyondDouble
    this.#beyondLong += other.#beyondLong
    this.#infinite += other.#infinite
    this.#negativeZeros += other.#negativeZeros
    if (other.#min !== undefined) this.#addBounds(other.#min)
    if (other.#max !== undefined) this.#addBounds(other.#max)
    for (const [i, { count, near }] of other.#epochs.entries()) {
      this.#epochs[i]!.count += count
      this.#epochs[i]!.near += near
    }
  }

  /** Undefined if no number was added. */
  facts(): NumberFacts | undefined {
    if (this.#min === undefined || this.#max === undefined) return undefined
    const epochs = epochUnits.map((unit, i) => [unit, { ...this.#epochs[i]! }] as const)
    return {
      count: this.#count,
      whole: this.#whole,
      min: this.#min,
      max: this.#max,
      wholeDigits: this.#wholeDigits,
      fractionDigits: this.#fractionDigits,
      beyondDouble: this.#beyondDouble,
      beyondLong: this.#beyondLong,
      infinite: this.#infinite,
      negativeZeros: this.#negativeZeros,
      epochs: Object.fromEntries(epochs) as Record<EpochUnit, EpochFacts>,
    }
  }
}

/** The double as a number of JSON; beyond all doubles, one of the same side. */
function nearest(value: number): string {
  if (Number.isFinite(value)) return String(value)
  return value > 0 ? '1e309' : '-1e309'
}

function isBeyondLong(written: string): boolean {
  const value = BigInt(written)
  return value > maxLong || value < -maxLong
}

/** By value; of equal numbers by how they are written, so that the order of values is no matter. */
function isBelow(a: string, b: string): boolean {
  const [one, two] = [Number(a), Number(b)]
  if (one !== two) return one < two
  if (a === b) return false
  const difference = compareDecimals(decimalOf(a)!, decimalOf(b)!)
  if (difference !== 0) return difference < 0
  return a.length === b.length ? a < b : a.length < b.length
}
