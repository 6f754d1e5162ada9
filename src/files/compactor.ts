import { messageOf } from '../errors.ts'
import { partitionKey, type TopicPartition } from '../record.ts'
import { Backoff } from '../retry.ts'
import { type Compaction, type CompactionContext, compactPartition } from './compaction.ts'

export interface CompactorOptions {
  readonly compactAfterMs: number
  /** Hears of every pass that did something. */
  readonly compacted?: (compaction: Compaction) => void
}

interface Due {
  readonly tp: TopicPartition
  readonly closing: AbortController
  readonly backoff: Backoff
  /** Ms since 1970. */
  at: number
}

const msPerHour = 3_600_000
const longestTickMs = 30_000
const shortestTickMs = 50
/** Passes of many partitions begin within this part of the interval, not all at once. */
const staggered = 1 / 6
const firstRetryMs = 10_000
const mostRetryMs = 600_000

/**
 * Compacts the partitions that a worker owns, one at a time: once an hour, as long after the full hour as an hour is left alone.
 * What fails is told and tried again; archiving goes on beside it, and whatever comes of it.
 */
export class Compactor {
  readonly #context: CompactionContext
  readonly #options: CompactorOptions
  readonly #intervalMs: number
  readonly #partitions = new Map<string, Due>()
  readonly #timer: NodeJS.Timeout
  #running: Promise<void> | undefined

  constructor(context: CompactionContext, options: CompactorOptions) {
    this.#context = context
    this.#options = options
    this.#intervalMs = Math.min(msPerHour, Math.max(1000, options.compactAfterMs))
    const tickMs = Math.min(longestTickMs, Math.max(shortestTickMs, this.#intervalMs / 10))
    this.#timer = setInterval(() => this.#tick(), tickMs)
  }

  /** The partition is owned from now on. */
  add(tp: TopicPartition): void {
    this.#partitions.set(partitionKey(tp), {
      tp,
      closing: new AbortController(),
      backoff: new Backoff({ firstMs: Math.min(firstRetryMs, this.#intervalMs), mostMs: mostRetryMs }),
      at: Date.now() + Math.random() * this.#intervalMs * staggered,
    })
  }

  /** It is given up: a pass that is under way ends where it may. Others may have it already. */
  remove(tp: TopicPartition): void {
    this.#partitions.get(partitionKey(tp))?.closing.abort()
    this.#partitions.delete(partitionKey(tp))
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    for (const { closing } of this.#partitions.values()) closing.abort()
    this.#partitions.clear()
    await this.#running
  }

  #tick(): void {
    if (this.#running !== undefined) return
    let first: Due | undefined
    for (const due of this.#partitions.values()) if (due.at <= (first?.at ?? Date.now())) first = due
    if (first === undefined) return
    this.#running = this.#pass(first).finally(() => {
      this.#running = undefined
    })
  }

  async #pass(due: Due): Promise<void> {
    const { tp, closing, backoff } = due
    const { compactAfterMs, compacted } = this.#options
    const now = Date.now()
    try {
      const compaction = await compactPartition(this.#context, tp, { compactAfterMs, now, signal: closing.signal })
      if (compaction.folded > 0 || compaction.merged > 0) compacted?.(compaction)
      backoff.reset()
      due.at = compaction.isMore ? now : this.#next(now)
    } catch (error) {
      if (closing.signal.aborted) return
      const delay = backoff.next()
      due.at = Date.now() + delay
      this.#context.log[backoff.failures > 1 ? 'debug' : 'warn'](
        { topic: tp.topic, partition: tp.partition, retry_ms: delay },
        `${partitionKey(tp)} cannot be compacted: ${messageOf(error)}; archiving goes on, trying again later`,
      )
    }
  }

  /** Hours close at the full hour, and are merged so long after it; partitions one after another. */
  #next(now: number): number {
    const interval = this.#intervalMs
    const { compactAfterMs } = this.#options
    const slot = Math.floor((now - compactAfterMs) / interval) + 1
    return slot * interval + compactAfterMs + Math.random() * interval * staggered
  }
}
