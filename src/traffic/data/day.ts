import { hashText } from './random.ts'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/**
 * How busy a moment is, 0 to 1: quiet at four in the morning, busiest at noon and a little less
 * busy in the evening. Weekends are slower. UTC.
 */
export function activity(timestamp: number): number {
  const ofDay = (((timestamp % day) + day) % day) / hour
  const noon = Math.exp(-(((ofDay - 12.5) / 3.2) ** 2))
  const evening = 0.55 * Math.exp(-(((ofDay - 19.5) / 2) ** 2))
  const weekday = new Date(timestamp).getUTCDay()
  return Math.min(1, 0.12 + 0.85 * noon + evening) * (weekday === 0 || weekday === 6 ? 0.65 : 1)
}

/**
 * True during the one bad half-hour of each day, at a time that depends on the seed: errors and
 * latency rise in it.
 */
export function isIncident(seed: number, timestamp: number): boolean {
  const date = Math.floor(timestamp / day)
  const begin = date * day + 8 * hour + (hashText(`${seed} ${date}`) % (10 * 60)) * minute
  return timestamp >= begin && timestamp < begin + 30 * minute
}

/**
 * Spreads records over a time range by the activity of a day: the share of records before a moment
 * is the share of activity before it.
 */
export class DayCurve {
  readonly #from: number
  readonly #step: number
  /** Activity before the end of each step; ascending. */
  readonly #cumulative: Float64Array

  /** @param from, to milliseconds since 1970, `from` before `to` */
  constructor(from: number, to: number) {
    const steps = Math.max(1, Math.min(100_000, Math.ceil((to - from) / (5 * minute))))
    this.#from = from
    this.#step = (to - from) / steps
    this.#cumulative = new Float64Array(steps)
    let sum = 0
    for (let i = 0; i < steps; i++) {
      sum += activity(from + (i + 0.5) * this.#step)
      this.#cumulative[i] = sum
    }
  }

  /** The moment before which a share (0 to 1) of all records lies. */
  at(share: number): number {
    const wanted = share * this.#cumulative.at(-1)!
    let low = 0
    let high = this.#cumulative.length - 1
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#cumulative[middle]! < wanted) low = middle + 1
      else high = middle
    }
    const before = low === 0 ? 0 : this.#cumulative[low - 1]!
    const within = (wanted - before) / (this.#cumulative[low]! - before)
    return this.#from + (low + within) * this.#step
  }
}
