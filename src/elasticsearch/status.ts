import type { Latency, SinkEvent } from '../pipeline/observer.ts'
import { messageOf } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import type { Elasticsearch } from './client/client.ts'
import { statusIndexPrefix } from './index-name.ts'

/** `archiver-status-2026.11`: UTC. */
export function statusIndex(time: Date): string {
  return `${statusIndexPrefix}${time.toISOString().slice(0, 7).replace('-', '.')}`
}

/** Who a document is from, in each of them. */
export interface StatusOrigin {
  readonly worker: string
  readonly host: string
  readonly group: string
  readonly index_prefix: string
}

/**
 * One fact of one worker at one moment. Counts (`records`, `bytes`, `count`, `rebalances` …) are
 * those since the document before, so that sums over time and over workers are right; everything
 * else is how it is now. Fields: `index-templates/index-archiver-status.json`.
 */
export type StatusDocument =
  | {
      readonly kind: 'worker'
      readonly records: number
      readonly bytes: number
      readonly lag: number
      readonly oldest_unacknowledged_s: number
      readonly partitions: number
      /**
       * Partitions that have no document of their own here: only those with the most to tell have.
       */
      readonly partitions_omitted: number
      readonly paused: number
      readonly rebalances: number
      readonly fenced: number
      readonly uptime_s: number
      /** Of one core. */
      readonly cpu_share: number
      readonly event_loop_delay_ms: number
      readonly memory: Readonly<
        Record<'rss_bytes' | 'heap_bytes' | 'held_bytes' | 'budget_bytes', number>
      >
    }
  | {
      readonly kind: 'sink'
      readonly sink: string
      readonly records: number
      readonly bytes: number
      readonly held_bytes: number
      /** Bulk requests or flushes, and how long they took. */
      readonly operations: number
      readonly latency_ms?: Omit<Latency, 'operations'>
      readonly waiting?: string
    }
  | {
      readonly kind: 'partition'
      readonly topic: string
      readonly partition: number
      readonly topic_partition: string
      readonly state: string
      readonly oldest_unacknowledged_s: number
      readonly position?: number
      readonly committed?: number
      readonly lag?: number
      readonly waiting?: string
    }
  | {
      readonly kind: 'event'
      readonly event: SinkEvent | 'gap' | 'pause'
      readonly reason: string
      readonly count: number
      readonly sink?: string
    }

const timeoutMs = 5000

/**
 * Writes status documents now and then. Never in the way of archiving: it waits for nobody, has one
 * request under way at most, and what is not taken is dropped.
 */
export class StatusWriter {
  readonly #client: Elasticsearch
  readonly #origin: StatusOrigin
  readonly #documents: (intervalS: number) => readonly StatusDocument[]
  readonly #log: Logger
  readonly #timer: NodeJS.Timeout
  #writing: Promise<boolean> | undefined
  #takenLast = true
  #since = performance.now()

  /** `documents` is asked for what to write; it gets the time since it was asked before, in s. */
  constructor(parts: {
    client: Elasticsearch
    origin: StatusOrigin
    documents: (intervalS: number) => readonly StatusDocument[]
    intervalMs: number
    log: Logger
  }) {
    this.#client = parts.client
    this.#origin = parts.origin
    this.#documents = parts.documents
    this.#log = parts.log
    this.#timer = setInterval(() => {
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined
      })
    }, parts.intervalMs)
  }

  /** Writes the last ones, unless the server did not take those before. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#writing
    if (this.#takenLast) await this.#write()
    await this.#client.close()
  }

  async #write(): Promise<boolean> {
    const now = performance.now()
    const intervalS = (now - this.#since) / 1000
    this.#since = now
    const time = new Date()
    const action = `${JSON.stringify({ create: { _index: statusIndex(time) } })}\n`
    const head = { '@timestamp': time.toISOString(), ...this.#origin, interval_s: intervalS }
    const lines = this.#documents(intervalS).map(
      (document) => `${action}${JSON.stringify({ ...head, ...document }, rounded)}\n`,
    )
    try {
      await this.#client.bulk(Buffer.from(lines.join('')), lines.length, {
        timeoutMs,
        signal: AbortSignal.timeout(timeoutMs),
      })
      this.#takenLast = true
    } catch (error) {
      this.#takenLast = false
      this.#log.debug(`status documents were not written: ${messageOf(error)}`)
    }
    return this.#takenLast
  }
}

/** Seconds and shares to three decimals; what is finer is noise. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value)
    ? Math.round(value * 1000) / 1000
    : value
}
