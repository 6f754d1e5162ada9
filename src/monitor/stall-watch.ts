import type { Sink } from '../pipeline/sink.ts'
import type { PartitionStatus } from '../pipeline/worker-status.ts'
import type { Logger } from '../runtime/log.ts'
import { UnacknowledgedAges } from './ages.ts'

const sampleMs = 5000
const logAgainMs = 60_000
/** A few requests in a row may each take their whole timeout. */
const timeouts = 3

export interface StallWatchOptions {
  /** Max time until records are flushed, in ms. */
  readonly flushIntervalMs: number
  /** Max time of a request to a sink, in ms. */
  readonly requestTimeoutMs: number
}

/**
 * Warns of records that no sink has acknowledged for longer than a flush and a few timeouts can
 * take.
 */
export class StallWatch {
  readonly #ages = new UnacknowledgedAges()
  readonly #maxAgeMs: number
  readonly #status: () => readonly PartitionStatus[]
  readonly #sinks: readonly Pick<Sink, 'name' | 'waiting'>[]
  readonly #log: Logger
  readonly #now: () => number
  #loggedAt = Number.NEGATIVE_INFINITY
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
    this.#timer = setInterval(() => this.check(), sampleMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Checks once. A stall is logged when it begins, and once a minute while it lasts. */
  check(): void {
    const now = this.#now()
    const partitions = this.#status()
    this.#ages.sample(partitions, now)
    const old = partitions
      .map((partition) => ({ partition, seconds: this.#ages.of(partition, now) }))
      .filter(({ seconds }) => seconds * 1000 > this.#maxAgeMs)
      .sort((a, b) => b.seconds - a.seconds)
    const [oldest] = old
    if (oldest === undefined) {
      this.#loggedAt = Number.NEGATIVE_INFINITY
      return
    }
    if (now - this.#loggedAt < logAgainMs) return
    this.#loggedAt = now
    const waiting = this.#sinks.flatMap(({ name, waiting }) =>
      waiting === undefined ? [] : [`${name}: ${waiting}`],
    )
    const { topic, partition, committed } = oldest.partition
    this.#log.warn(
      {
        event: 'records_unacknowledged',
        topic,
        partition,
        committed,
        age_s: Math.round(oldest.seconds),
        partitions: old.length,
        waiting,
      },
      'records are not acknowledged',
    )
  }
}
