import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { msPerHour } from '../../record/time.ts'
import { errorFields } from '../../runtime/errors.ts'
import { Backoff } from '../../runtime/retry.ts'
import { DamagedFiles } from '../log/damaged-files.ts'
import {
  type Compaction,
  type CompactionContext,
  type CompactionOptions,
  compactPartition,
} from './compaction.ts'
import { shortageFields } from './free-space.ts'

export interface CompactorOptions {
  readonly compactAfterMs: number
  /** The max size of a merged file; 1 GiB without it. */
  readonly maxBytes?: number | undefined
  /** Called after every pass that did something. */
  readonly compacted?: (compaction: Compaction) => void
  /** Milliseconds of a clock that never goes back. */
  readonly clock?: () => number
  /** One pass over a partition. */
  readonly pass?: (tp: TopicPartition, options: CompactionOptions) => Promise<Compaction>
}

interface Due {
  readonly tp: TopicPartition
  readonly closing: AbortController
  readonly backoff: Backoff
  /** Of `clock`. */
  at: number
}

/** Passes of many partitions begin within this part of the interval, not all at once. */
const staggered = 1 / 6
const firstRetryMs = 10_000
const maxRetryMs = 600_000

/**
 * Compacts the partitions that a worker owns, one at a time. Passes begin once an hour: the delay
 * after the full hour is the time for which a closed hour is left alone. When a pass ends, the next
 * due partition begins. A failure is logged and retried; archiving continues.
 */
export class Compactor {
  readonly #context: CompactionContext
  readonly #options: CompactorOptions
  readonly #intervalMs: number
  readonly #clock: () => number
  readonly #pass: (tp: TopicPartition, options: CompactionOptions) => Promise<Compaction>
  readonly #partitions = new Map<string, Due>()
  #timer: NodeJS.Timeout | undefined
  /** Of `clock`: when the timer wakes up. */
  #wakesAt = Number.POSITIVE_INFINITY
  #running: Promise<void> | undefined
  #isShort = false
  #isStopped = false

  constructor(context: CompactionContext, options: CompactorOptions) {
    this.#context = { damaged: new DamagedFiles(), ...context }
    this.#options = options
    this.#intervalMs = Math.min(msPerHour, Math.max(1000, options.compactAfterMs))
    this.#clock = options.clock ?? (() => performance.now())
    this.#pass =
      options.pass ?? ((tp, passOptions) => compactPartition(this.#context, tp, passOptions))
  }

  /** The partition is owned from now on. */
  add(tp: TopicPartition): void {
    const due = {
      tp,
      closing: new AbortController(),
      backoff: new Backoff({
        firstMs: Math.min(firstRetryMs, this.#intervalMs),
        maxMs: maxRetryMs,
      }),
      at: this.#clock() + Math.random() * this.#intervalMs * staggered,
    }
    this.#partitions.set(partitionKey(tp), due)
    if (this.#running === undefined && due.at < this.#wakesAt) this.#wakeFor(due)
  }

  /** The worker gives it up: a running pass ends as soon as it may. Others may own it already. */
  remove(tp: TopicPartition): void {
    this.#partitions.get(partitionKey(tp))?.closing.abort()
    this.#partitions.delete(partitionKey(tp))
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    for (const { closing } of this.#partitions.values()) closing.abort()
    this.#partitions.clear()
    await this.#running
  }

  /** Wakes up when the first partition is due. */
  #wakeForNext(): void {
    this.#wakesAt = Number.POSITIVE_INFINITY
    let next: Due | undefined
    for (const due of this.#partitions.values())
      if (next === undefined || due.at < next.at) next = due
    if (next !== undefined) this.#wakeFor(next)
  }

  #wakeFor(due: Due): void {
    if (this.#isStopped) return
    clearTimeout(this.#timer)
    this.#wakesAt = due.at
    this.#timer = setTimeout(() => this.#begin(due), Math.max(0, Math.ceil(due.at - this.#clock())))
  }

  #begin(due: Due): void {
    // The worker may have given it up since.
    if (this.#partitions.get(partitionKey(due.tp)) !== due) {
      this.#wakeForNext()
      return
    }
    this.#running = this.#compact(due).finally(() => {
      this.#running = undefined
      this.#wakeForNext()
    })
  }

  async #compact(due: Due): Promise<void> {
    const { tp, closing, backoff } = due
    const { compactAfterMs, maxBytes, compacted } = this.#options
    try {
      const compaction = await this.#pass(tp, {
        compactAfterMs,
        maxBytes,
        now: Date.now(),
        signal: closing.signal,
      })
      if (compaction.folded > 0 || compaction.merged > 0) compacted?.(compaction)
      this.#say(compaction)
      backoff.reset()
      due.at = this.#clock() + this.#delay(compaction)
    } catch (error) {
      if (closing.signal.aborted) return
      const delay = backoff.next()
      due.at = this.#clock() + delay
      this.#context.log[backoff.failures > 1 ? 'debug' : 'warn'](
        { event: 'partition_not_compacted', ...tp, retry_ms: delay, ...errorFields(error) },
        'a partition cannot be compacted',
      )
    }
  }

  /** A lack of room concerns the whole home: it is logged once, until a merge has room again. */
  #say({ shortage, merged }: Compaction): void {
    if (shortage === undefined) {
      if (merged > 0) this.#isShort = false
      return
    }
    this.#context.log[this.#isShort ? 'debug' : 'warn'](
      { event: 'files_not_merged', ...shortageFields(this.#context.home.title, shortage) },
      'some files are not merged: too little free space',
    )
    this.#isShort = true
  }

  /**
   * Ms until the next pass. Hours close at the full hour and are merged a fixed delay later, one
   * partition after another.
   */
  #delay({ isMore, shortage }: Compaction): number {
    if (isMore) return 0
    const interval = this.#intervalMs
    if (shortage !== undefined) return Math.min(interval, maxRetryMs)
    const { compactAfterMs } = this.#options
    const now = Date.now()
    const slot = Math.floor((now - compactAfterMs) / interval) + 1
    return slot * interval + compactAfterMs - now + Math.random() * interval * staggered
  }
}
