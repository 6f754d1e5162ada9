import { setImmediate } from 'node:timers/promises'
import type { FetchedBatch, UnreadableBatch } from '../../pipeline/source.ts'
import { type LostRange, partitionKey, type TopicPartition } from '../../record/record.ts'
import type { Logger } from '../../runtime/log.ts'
import { sleep } from '../../runtime/retry.ts'
import type { FetchedPartitionBatch } from './fetched-batch.ts'
import { Lane, LaneSeat } from './lane.ts'
import { oversizedRange, type Piece, releaseLarge, UnpackError } from './piece.ts'
import type { RecordLimits } from './record-reader.ts'
import { unpack } from './unpack.ts'
import { Unpacking } from './unpacking.ts'

export interface UnpackerLimits extends RecordLimits {
  /**
   * Max memory of all waiting partitions together, in bytes. Beyond it, the oldest is fetched again
   * later.
   */
  readonly heldBytes: number
}

/** What an unpacker needs of the source and of the worker behind it. */
export interface UnpackerParts {
  readonly limits: UnpackerLimits
  readonly log: Logger
  /** Takes a piece; pauses the partition through `pause` if it has to. */
  deliver(batch: FetchedBatch): void
  /** Whether the sinks have room for more of a partition, or for this many bytes at once. */
  hasRoom(tp: TopicPartition, bytes: number): boolean
  unreadable(batch: UnreadableBatch): void
  /** Makes the client fetch from this offset next. */
  seek(tp: TopicPartition, offset: number): void
  /** Makes the client fetch nothing of a partition. */
  pauseFetch(tp: TopicPartition): void
  resumeFetch(tp: TopicPartition): void
}

const maxQueued = 2
/** While one batch is inflated on another thread, one is encoded on this. */
const smallLanes = 2
/** Batches that are inflated as a stream: one at a time, as each may hold a whole large record. */
const streamLanes = 1
/** The pause between two looks for room. */
const lookAgainMs = 50
/**
 * A record that is larger than a piece waits up to this long until the sinks hold little. Then it
 * uses the margin of the budget.
 */
const maxRoomWaitMs = 30_000
const maxStalls = 10
const stallMs = 200

/**
 * Unpacks what was fetched, piece by piece and only while there is room. It hands over one piece a
 * turn of the event loop. A failure of a batch concerns only its partition. A damaged batch is
 * fetched once more before it counts as lost: only what is damaged twice is damaged in Kafka's log.
 */
export class Unpacker {
  readonly #parts: UnpackerParts
  readonly #unpackings = new Map<string, Unpacking>()
  /** Partitions that the worker paused. */
  readonly #paused = new Set<string>()
  /** Partitions that have enough fetched for now. */
  readonly #full = new Set<string>()
  /** Where a batch was found damaged, by partition. */
  readonly #suspects = new Map<string, number>()
  readonly #stalls = new Map<string, number>()
  readonly #small = new Lane(smallLanes)
  readonly #streams = new Lane(streamLanes)
  #changed = Promise.withResolvers<void>()

  constructor(parts: UnpackerParts) {
    this.#parts = parts
  }

  /**
   * Takes over what was fetched. Returns false when it must be fetched again: the partition waits
   * for the worker or for a long stream, or `isCurrent` says that the wanted position has changed.
   * Waits only while the partition makes progress.
   */
  async take(fetched: FetchedPartitionBatch, isCurrent: () => boolean): Promise<boolean> {
    const key = partitionKey(fetched)
    for (;;) {
      if (!isCurrent()) return false
      const unpacking = this.#unpackings.get(key)
      if (unpacking === undefined || unpacking.queue.length < maxQueued) break
      if (this.#paused.has(key) || unpacking.streamBytes > 0) {
        this.#full.add(key)
        this.#parts.pauseFetch(fetched)
        return false
      }
      await this.#changed.promise
    }
    const unpacking = this.#unpackings.get(key)
    if (unpacking !== undefined) {
      unpacking.add(fetched)
      return true
    }
    const begun = new Unpacking(fetched)
    this.#unpackings.set(key, begun)
    this.#run(begun).catch((error: unknown) => this.#failed(begun, error))
    return true
  }

  pause(tp: TopicPartition): void {
    this.#paused.add(partitionKey(tp))
    this.#tell()
  }

  /** False when nothing more must be fetched yet. */
  resume(tp: TopicPartition): boolean {
    const key = partitionKey(tp)
    this.#paused.delete(key)
    this.#unpackings.get(key)?.wake()
    return !this.#full.has(key)
  }

  /** Forgets what was fetched of a partition: another position is fetched. */
  drop(tp: TopicPartition): void {
    const key = partitionKey(tp)
    this.#unpackings.get(key)?.close()
    this.#unpackings.delete(key)
    this.#full.delete(key)
    this.#tell()
  }

  /** Forgets everything: another consumer, or another assignment, begins. */
  clear(): void {
    for (const unpacking of this.#unpackings.values()) unpacking.close()
    this.#unpackings.clear()
    this.#paused.clear()
    this.#full.clear()
    this.#stalls.clear()
    this.#tell()
  }

  #tell(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }

  async #run(unpacking: Unpacking): Promise<void> {
    const { key, tp, queue } = unpacking
    for (let fetched = queue[0]; fetched !== undefined && !unpacking.isClosed; fetched = queue[0]) {
      try {
        await this.#unpack(unpacking, fetched)
        if (fetched.damaged !== undefined && !unpacking.isClosed) {
          const { from, next, detail } = fetched.damaged
          throw new UnpackError({ offset: from, next, isDamage: true }, detail)
        }
      } catch (error) {
        if (!unpacking.isClosed) this.#failed(unpacking, error)
        return
      }
      queue.shift()
      unpacking.hasBegun = false
      this.#tell()
      if (!unpacking.isClosed && this.#full.delete(key) && !this.#paused.has(key))
        this.#parts.resumeFetch(tp)
    }
    if (this.#unpackings.get(key) === unpacking) this.#unpackings.delete(key)
  }

  async #unpack(unpacking: Unpacking, fetched: FetchedPartitionBatch): Promise<void> {
    if (fetched.failure !== undefined) throw fetched.failure
    if (fetched.isStalled) return this.#stalled(unpacking, fetched)
    const pieces = unpack(fetched, {
      ...this.#parts.limits,
      isWanted: () => !unpacking.isClosed,
      room: (bytes) => this.#room(unpacking, bytes),
    })
    const seat = new LaneSeat()
    try {
      while (!unpacking.isClosed) {
        if (!this.#isWanted(unpacking)) {
          seat.leave()
          await this.#hold(unpacking)
          continue
        }
        const needed = unpacking.streamBytes > 0 ? this.#streams : this.#small
        if (!seat.isIn(needed)) {
          await seat.move(needed)
          continue
        }
        unpacking.hasBegun = true
        const { value: piece, done } = await pieces.next()
        // Its answer is left to the garbage collector: another thread may still inflate.
        if (unpacking.isClosed) return
        if (done === true) {
          fetched.letGo()
          return
        }
        unpacking.streamBytes = piece.streamBytes
        // A caller that waits to add to the queue must not wait for a whole stream.
        if (piece.streamBytes > 0) this.#tell()
        if (piece.next > piece.from) await this.#handOver(unpacking, fetched, piece)
      }
    } finally {
      seat.leave()
      unpacking.streamBytes = 0
      await pieces.return(undefined)
    }
  }

  #isWanted({ key, tp }: Unpacking): boolean {
    return !this.#paused.has(key) && this.#parts.hasRoom(tp, 0)
  }

  async #handOver(
    unpacking: Unpacking,
    fetched: FetchedPartitionBatch,
    piece: Piece,
  ): Promise<void> {
    // One piece a turn of the event loop: between two pieces, what Kafka sent meanwhile is read.
    await setImmediate()
    if (unpacking.isClosed) return
    const { tp, key } = unpacking
    const { from, next, records, oversized } = piece
    unpacking.position = next
    this.#stalls.delete(key)
    if ((this.#suspects.get(key) ?? next) < next) this.#suspects.delete(key)
    const lost = oversized === undefined ? undefined : oversizedRange(oversized, this.#parts.limits)
    const letGo = fetched.hold()
    const release = () => {
      releaseLarge(records, this.#parts.limits.pieceBytes)
      letGo()
    }
    this.#parts.deliver({
      ...tp,
      from,
      next,
      records,
      lost,
      highWatermark: Number(fetched.highWatermark),
      release,
    })
  }

  /**
   * Waits until the worker wants more. If what waits is too much together, the oldest is fetched
   * again later.
   */
  async #hold(unpacking: Unpacking): Promise<void> {
    if (!unpacking.isHeld) {
      unpacking.hold()
      this.#evict()
    }
    if (unpacking.isClosed) return
    if (this.#paused.has(unpacking.key)) await unpacking.woken()
    else await sleep(lookAgainMs)
    if (this.#isWanted(unpacking)) unpacking.release()
  }

  #evict(): void {
    const held = [...this.#unpackings.values()].filter(({ isHeld }) => isHeld)
    let bytes = held.reduce((sum, unpacking) => sum + unpacking.heldBytes, 0)
    for (const unpacking of held) {
      if (bytes <= this.#parts.limits.heldBytes) return
      bytes -= unpacking.heldBytes
      this.#refetch(unpacking.tp, unpacking.position)
    }
  }

  #refetch(tp: TopicPartition, offset: number): void {
    const key = partitionKey(tp)
    const wasFull = this.#full.has(key)
    this.drop(tp)
    this.#parts.seek(tp, offset)
    if (wasFull && !this.#paused.has(key)) this.#parts.resumeFetch(tp)
  }

  /** Waits until the sinks hold little enough for one record of this size. */
  async #room(unpacking: Unpacking, bytes: number): Promise<void> {
    const until = performance.now() + maxRoomWaitMs
    while (
      !unpacking.isClosed &&
      performance.now() < until &&
      !this.#parts.hasRoom(unpacking.tp, bytes)
    ) {
      await sleep(lookAgainMs)
    }
  }

  #failed(unpacking: Unpacking, error: unknown): void {
    const { tp, key, position } = unpacking
    const { topic, partition } = tp
    if (!(error instanceof UnpackError) || !error.isDamage) {
      const offset = error instanceof UnpackError ? error.offset : position
      this.drop(tp)
      this.#parts.unreadable({ ...tp, offset, error, canPass: true })
      return
    }
    const { offset, next, message } = error
    if (this.#suspects.get(key) !== offset) {
      this.#suspects.set(key, offset)
      this.#parts.log.warn(
        { event: 'batch_damaged', topic, partition, offset, err: message },
        'a record batch is damaged; fetching it once more',
      )
      this.#refetch(tp, offset)
      return
    }
    this.#suspects.delete(key)
    const highWatermark = Math.max(next, Number(unpacking.queue[0]?.highWatermark ?? next))
    this.#refetch(tp, next)
    const lost: LostRange = { from: offset, next, reason: 'unreadable', detail: message }
    this.#parts.deliver({ ...tp, from: offset, next, records: [], lost, highWatermark })
  }

  /**
   * A broker must answer with records at the offset or behind it. If it does not, it may do so
   * later; the position stays.
   */
  async #stalled(unpacking: Unpacking, { fetchedOffset }: FetchedPartitionBatch): Promise<void> {
    const { tp, key } = unpacking
    const stalls = (this.#stalls.get(key) ?? 0) + 1
    this.#stalls.set(key, stalls)
    this.#full.add(key)
    this.#parts.pauseFetch(tp)
    await sleep(stallMs)
    if (unpacking.isClosed) return
    if (stalls < maxStalls) {
      this.#refetch(tp, fetchedOffset)
      return
    }
    this.drop(tp)
    this.#stalls.delete(key)
    const error = new Error(
      `${stalls} fetches at offset ${fetchedOffset} brought only what lies before it`,
    )
    this.#parts.unreadable({ ...tp, offset: fetchedOffset, error, canPass: false })
  }
}
