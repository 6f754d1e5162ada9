import { partitionKey, type TopicPartition } from '../record/record.ts'
import { Backoff } from '../runtime/retry.ts'
import type { Tracker } from './offsets/tracker.ts'
import type {
  Close,
  Failure,
  Ignored,
  PartitionEvents,
  PartitionState,
  Pause,
  Reopen,
  Seek,
} from './partition-events.ts'

const ignored: Ignored = { action: 'ignored' }
const pause: Pause = { action: 'pause' }
const close: Close = { action: 'close' }
const resume = { action: 'resume' } as const
const stop = { action: 'stop' } as const
const locate = { action: 'locate' } as const
const flush = { action: 'flush' } as const

const firstRetryMs = 500
const maxRetryMs = 30_000

/**
 * One assignment of a partition to this worker, as a state machine. Pure: no network, no disk, and
 * time is an argument.
 *
 *                 ┌───────────── failed ◄── any open state, stopped
 *                 ▼
 *             opening ── opened ──► paused ◄── full, roomFreed ──► flowing
 *                 ▲                    ▲                              │
 *                 │                 located     fetched elsewhere, unreadable, doubted
 *              settled                 │                              ▼
 *                 └──── settling ◄── gone ────────────────────── locating
 *
 * Every problem of a partition has one way back: it is reopened, exactly as after a crash.
 *
 * **Invariant**: it has a tracker exactly while it is open, or was open when it stopped. A new one
 * only comes in `opening`, which has none.
 */
export class Partition implements PartitionEvents {
  readonly tp: TopicPartition
  /** As `partitionKey`. */
  readonly key: string
  readonly #backoff: Backoff
  #state: PartitionState
  #life = new AbortController()
  #waiting: string | undefined
  /** The end of the log, as Kafka last said. */
  highWatermark: number | undefined
  /** What the group has committed, as far as is known while nothing tracks it. */
  committed: number | undefined
  /** The next offset to read, as far as is known while nothing tracks it. */
  resumesAt: number | undefined

  constructor(tp: TopicPartition, now: number, random: () => number = Math.random) {
    this.tp = tp
    this.key = partitionKey(tp)
    this.#backoff = new Backoff({ firstMs: firstRetryMs, maxMs: maxRetryMs, random })
    this.#state = { name: 'opening', dueAt: now }
  }

  get state(): PartitionState {
    return this.#state
  }

  get tracker(): Tracker | undefined {
    return 'tracker' in this.#state ? this.#state.tracker : undefined
  }

  /** Aborted when the partition is reopened or given up: what began before has no effect. */
  get life(): AbortSignal {
    return this.#life.signal
  }

  /** How often something failed since the last progress. */
  get failures(): number {
    return this.#backoff.failures
  }

  /** The delay before what failed for it is retried, in ms. It grows until there is progress. */
  nextRetryMs(): number {
    return this.#backoff.next()
  }

  /** Records of it are taken. */
  get isReading(): boolean {
    return this.#state.name === 'flowing' || this.#state.name === 'paused'
  }

  /** How long the next try to open it has to wait, in ms. */
  delayMs(now: number): number {
    return this.#state.name === 'opening' ? Math.max(0, this.#state.dueAt - now) : 0
  }

  /** Why it makes no progress, for people; undefined while it does. */
  get waiting(): string | undefined {
    if (this.#waiting !== undefined) return this.#waiting
    if (this.#state.name === 'paused') return 'paused until the sinks have room'
    if (this.#state.name === 'locating') return 'paused until it is known where to read on'
    return undefined
  }

  opened(tracker: Tracker): Ignored | Seek {
    if (this.#state.name !== 'opening') return ignored
    this.#state = { name: 'paused', tracker }
    this.#waiting = undefined
    return { action: 'seek', tracker }
  }

  openFailed(why: string, now: number): ReturnType<PartitionEvents['openFailed']> {
    if (this.#state.name !== 'opening') return ignored
    const delayMs = this.#backoff.next()
    this.#state = { name: 'opening', dueAt: now + delayMs }
    this.#waiting = why
    return { action: 'retry', delayMs }
  }

  fetched(from: number, highWatermark: number): ReturnType<PartitionEvents['fetched']> {
    switch (this.#state.name) {
      case 'flowing':
      case 'paused': {
        const { tracker } = this.#state
        this.highWatermark = highWatermark
        if (from === tracker.position) return { action: 'take', tracker }
        this.#state = { name: 'locating', tracker }
        return { action: 'locate', tracker }
      }
      case 'locating':
      case 'settling':
        this.highWatermark = highWatermark
        return ignored
      default:
        return pause
    }
  }

  /** A batch was encoded: any earlier wait is over. */
  encoded(): void {
    this.#waiting = undefined
  }

  full(): Ignored | Pause {
    if (this.#state.name !== 'flowing') return ignored
    this.#state = { name: 'paused', tracker: this.#state.tracker }
    return pause
  }

  roomFreed(): ReturnType<PartitionEvents['roomFreed']> {
    if (this.#state.name !== 'paused') return ignored
    this.#state = { name: 'flowing', tracker: this.#state.tracker }
    return resume
  }

  unreadable(
    why: string,
    offset: number,
    isFinal: boolean,
  ): ReturnType<PartitionEvents['unreadable']> {
    if (this.#state.name !== 'flowing' && this.#state.name !== 'paused') return ignored
    const { tracker } = this.#state
    this.#waiting = why
    if (isFinal) {
      this.resumesAt = offset
      this.#state = { name: 'stopped', tracker }
      return stop
    }
    this.#state = { name: 'locating', tracker }
    return { action: 'reread', tracker, delayMs: this.#backoff.next() }
  }

  doubted(): ReturnType<PartitionEvents['doubted']> {
    if (this.#state.name !== 'flowing' && this.#state.name !== 'paused') return ignored
    this.#state = { name: 'locating', tracker: this.#state.tracker }
    return locate
  }

  located(): Ignored | Seek {
    if (this.#state.name !== 'locating') return ignored
    const { tracker } = this.#state
    this.#state = { name: 'paused', tracker }
    return { action: 'seek', tracker }
  }

  gone(why: string): ReturnType<PartitionEvents['gone']> {
    if (this.#state.name !== 'locating') return ignored
    const { tracker } = this.#state
    this.#state = { name: 'settling', tracker }
    this.#waiting = why
    return { action: 'settle', tracker }
  }

  settled(why: string, now: number): Ignored | Reopen {
    if (this.#state.name !== 'settling') return ignored
    return this.#reopen(this.#state.tracker, why, this.#backoff.next(), now)
  }

  failed(tracker: Tracker, { why, isFenced }: Failure, now: number): Ignored | Reopen | Close {
    // It belongs to an earlier life: its records are read again, or belong to another worker.
    if (this.tracker !== tracker || tracker.closed) return ignored
    if (this.#state.name === 'draining') return this.close()
    return isFenced
      ? this.#reopen(tracker, undefined, 0, now)
      : this.#reopen(tracker, why, this.#backoff.next(), now)
  }

  #reopen(tracker: Tracker, why: string | undefined, delayMs: number, now: number): Reopen {
    this.#beginLife()
    this.resumesAt = tracker.committable
    this.#state = { name: 'opening', dueAt: now + delayMs }
    this.#waiting = why
    return { action: 'reopen', delayMs }
  }

  lost(why: string, resumesAt: number | undefined): ReturnType<PartitionEvents['lost']> {
    switch (this.#state.name) {
      case 'opening':
      case 'flowing':
      case 'paused':
      case 'locating':
        this.#state = { name: 'stopped', tracker: this.tracker }
        this.#waiting = why
        this.resumesAt = resumesAt
        return stop
      default:
        return ignored
    }
  }

  drain(): ReturnType<PartitionEvents['drain']> {
    switch (this.#state.name) {
      case 'opening':
        return this.close()
      case 'closed':
        return ignored
      case 'stopped':
        return this.#state.tracker === undefined ? ignored : flush
      case 'draining':
        return flush
      default:
        this.#beginLife()
        this.#state = { name: 'draining', tracker: this.#state.tracker }
        return flush
    }
  }

  close(): Ignored | Close {
    if (this.#state.name === 'closed') return ignored
    this.#life.abort()
    this.#state = { name: 'closed' }
    return close
  }

  /** The worker ends: nothing that was begun has an effect any more. Its state stays to be read. */
  end(): void {
    this.#life.abort()
  }

  /** What every sink holds has grown: the next failure is a first one. */
  progressed(): void {
    this.#backoff.reset()
  }

  #beginLife(): void {
    this.#life.abort()
    this.#life = new AbortController()
  }
}
