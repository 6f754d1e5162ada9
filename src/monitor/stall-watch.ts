import type { Sink } from '../pipeline/sink.ts'
import type { PartitionStatus } from '../pipeline/worker-status.ts'
import { partitionKey } from '../record/record.ts'
import type { Logger } from '../runtime/log.ts'
import { UnacknowledgedAges } from './ages.ts'

const sampleMs = 5000
const sayAgainMs = 60_000
/** Longer than a few requests in a row may take, each up to its end. */
const timeouts = 3

export interface StallWatchOptions {
  /** When records are flushed at the latest, in ms. */
  readonly flushIntervalMs: number
  /** The longest time that a request to a sink may take, in ms. */
  readonly requestTimeoutMs: number
}

/**
 * Warns of records that no sink has acknowledged for longer than a flush and a few timeouts
 * explain.
 */
export class StallWatch {
  readonly #ages = new UnacknowledgedAges()
  readonly #maxAgeMs: number
  readonly #status: () => readonly PartitionStatus[]
  readonly #sinks: readonly Pick<Sink, 'name' | 'waiting'>[]
  readonly #log: Logger
  readonly #now: () => number
  #saidAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  /** @param parts.now milliseconds of a clock that never goes back */
  constructor(
    { flushIntervalMs, requestTimeoutMs }: StallWatchOptions,
    parts: {
      readonly status: () => readonly PartitionStatus[]
      readonly sinks: readonly Pick<Sink, 'name' | 'waiting'>[]
      readonly log: Logger
      readonly now?: () => number
    },
  ) {
    this.#maxAgeMs = flushIntervalMs + timeouts * requestTimeoutMs
    this.#status = parts.status
    this.#sinks = parts.sinks
    this.#log = parts.log
    this.#now = parts.now ?? (() => performance.now())
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), sampleMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Looks once; a stall is said when it begins, and once a minute as long as it lasts. */
  look(): void {
    const now = this.#now()
    const partitions = this.#status()
    this.#ages.sample(partitions, now)
    const old = partitions
      .map((partition) => ({ partition, seconds: this.#ages.of(partition, now) }))
      .filter(({ seconds }) => seconds * 1000 > this.#maxAgeMs)
      .sort((a, b) => b.seconds - a.seconds)
    const [oldest] = old
    if (oldest === undefined) {
      this.#saidAt = Number.NEGATIVE_INFINITY
      return
    }
    if (now - this.#saidAt < sayAgainMs) return
    this.#saidAt = now
    const waiting = this.#sinks.flatMap(({ name, waiting }) =>
      waiting === undefined ? [] : [`${name}: ${waiting}`],
    )
    const { topic, partition, committed } = oldest.partition
    const age = Math.round(oldest.seconds)
    this.#log.warn(
      { topic, partition, committed, age_s: age, partitions: old.length, waiting },
      `records of ${partitionKey({ topic, partition })} have not been acknowledged for ${age} s`,
    )
  }
}
