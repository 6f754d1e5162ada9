import { partitionKey, type TopicPartition } from '../record/record.ts'
import type { Partition } from './partition.ts'
import type { Pauses } from './pauses.ts'
import type { Sink } from './sink.ts'
import type { Source } from './source.ts'
import type { WorkerCounts } from './worker-status.ts'

/** Below this pressure a paused partition is resumed: well below 1, so that it does not flap. */
const resumeBelow = 0.75
/**
 * A large record takes memory for its bytes, for its line (a third longer in base64) and for what a
 * sink makes of it.
 */
const largeRecordCost = 3
/** When the sinks hold no more than this, there is room for any record that may be kept. */
const littleHeldBytes = 2 ** 20

/**
 * Pauses partitions when sinks are full or an operator says so, and resumes them when there is room
 * and nobody holds them.
 */
export class BackPressure {
  readonly #source: Pick<Source, 'pause' | 'resume'>
  readonly #sinks: readonly Sink[]
  readonly #partitions: ReadonlyMap<string, Partition>
  readonly #counts: WorkerCounts
  readonly #memoryBudget: number
  readonly #flush: () => Promise<void>
  readonly #pauses: Pauses
  /** A flush that makes room for a large record. */
  #flushing: Promise<void> | undefined

  constructor(parts: {
    source: Pick<Source, 'pause' | 'resume'>
    sinks: readonly Sink[]
    partitions: ReadonlyMap<string, Partition>
    counts: WorkerCounts
    /** Memory for records on their way, in bytes. */
    memoryBudget: number
    /** Has the sinks store what they hold. */
    flush: () => Promise<void>
    /** What an operator paused. */
    pauses: Pauses
  }) {
    this.#source = parts.source
    this.#sinks = parts.sinks
    this.#partitions = parts.partitions
    this.#counts = parts.counts
    this.#memoryBudget = parts.memoryBudget
    this.#flush = parts.flush
    this.#pauses = parts.pauses
  }

  /**
   * Whether the sinks have room for more of a partition, or for one record of this many bytes. A
   * partition without room is paused until a sink has some.
   */
  hasRoom(tp: TopicPartition, bytes: number): boolean {
    if (bytes > 0) return this.#hasRoomForLarge(bytes)
    const partition = this.#partitions.get(partitionKey(tp))
    return partition === undefined || !this.pauseIfFull(partition)
  }

  /** @returns true if it is paused by this */
  pauseIfFull(partition: Partition): boolean {
    const { tp, state } = partition
    const isHeld = this.#pauses.holds(tp.topic)
    if (state.name !== 'flowing' || !(isHeld || this.#isAbove(tp, 1))) return false
    if (partition.full().action !== 'pause') return false
    if (!isHeld) this.#counts.pauses++
    this.#source.pause(tp)
    return true
  }

  /** An operator paused something, or resumed it. */
  pausesChanged(): void {
    for (const partition of this.#partitions.values()) {
      if (!this.pauseIfFull(partition)) this.resumeIfRoom(partition)
    }
  }

  #isAbove(tp: TopicPartition, pressure: number): boolean {
    return this.#sinks.some((sink) => sink.pressure(tp) >= pressure)
  }

  /**
   * A large record and its line need much memory at once. So the sinks are flushed until they hold
   * little, and only then is one read.
   */
  #hasRoomForLarge(bytes: number): boolean {
    const held = this.#sinks.reduce((sum, { heldBytes }) => sum + heldBytes, 0)
    if (held <= Math.max(littleHeldBytes, this.#memoryBudget - largeRecordCost * bytes)) return true
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined
    })
    return false
  }

  /** A sink has more room. */
  roomFreed(): void {
    for (const partition of this.#partitions.values()) this.resumeIfRoom(partition)
  }

  resumeIfRoom(partition: Partition): void {
    const { tp, state } = partition
    if (state.name !== 'paused' || this.#pauses.holds(tp.topic)) return
    if (this.#isAbove(tp, resumeBelow)) return
    if (partition.roomFreed().action === 'resume') this.#source.resume(tp)
  }
}
