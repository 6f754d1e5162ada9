import PQueue from 'p-queue'
import type { Home } from '../home/home.ts'
import type { Observer } from '../pipeline/observer.ts'
import type { Sink, SinkPosition } from '../pipeline/sink.ts'
import {
  partitionKey,
  type RecordBatch,
  type SourceRecord,
  type TopicPartition,
} from '../record/record.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { Compactor } from './compact/compactor.ts'
import { claimArchive } from './log/archive.ts'
import { lastRecords } from './read/edge-records.ts'
import { BufferPool } from './write/buffer-pool.ts'
import { LineMemory } from './write/line-memory.ts'
import { PartitionWriter, type WriterContext } from './write/partition-writer.ts'

export interface FilesSinkOptions {
  /** Where the archive lives; `stop` gives it up. */
  readonly home: Home
  readonly clusterId: string
  readonly group: string
  readonly worker: string
  /** 1 fast to 9 small. */
  readonly gzipLevel: number
  /** A range is flushed when its first record has waited this long, in ms … */
  readonly flushIntervalMs: number
  /** … or when its lines are this many bytes. */
  readonly flushBytes: number
  /** Bytes of lines in memory at which partitions are paused. */
  readonly memoryLimit: number
  readonly committedOffset: (tp: TopicPartition) => number | undefined
  /** The files of an hour become one so long after it has closed, in ms; 0: never. */
  readonly compactAfterMs: number
  /** No merged file is larger, in bytes; 1 GiB without it. */
  readonly compactMaxBytes?: number
  /** Types and hours of one range, 20,000 unless a test wants fewer. */
  readonly maxBuckets?: number
  /** Hears of flushes. */
  readonly observer?: Observer
}

/**
 * Above this part of the memory limit the lines of all buckets go to spill files; while they are
 * written, as much may gather again.
 */
const spillAbove = 0.4
/**
 * This part of the memory limit may wait for the threads that compress: it keeps them busy, and
 * more would only be memory.
 */
const mostCompressing = 0.4
/**
 * Above this part of the memory limit, taken by the fixed cost of open buckets, the partition with
 * the largest number is flushed.
 */
const bucketsAbove = 0.5
/**
 * A range is cut before it has more buckets: its manifest has 10 MB then, and is no more than some
 * of what else there is to do in a flush. Who puts an id into the type gets as many files either
 * way; this bounds what one flush needs at once.
 */
const maxBuckets = 20_000
/** Staged files that are compressed or open at once, of all partitions. */
const openFiles = 16
const ageCheckMs = 250
/** A partition in trouble is opened again sooner than this. */
const mostRetryMs = 60_000

/**
 * The gzip JSONL archive. It holds no more than buffers in memory: ten thousand open types and
 * hours cost their unwritten lines, and when those are too many they wait on the disk.
 *
 * It never waits for a disk that is in trouble: a partition whose flush failed reports that to who
 * wrote it and is opened again by the worker, which reads the records anew. So there is one way
 * back from every trouble, and it is the same as after a crash.
 */
export class FilesSink implements Sink {
  readonly name = 'files'
  /** Buckets copy them. */
  readonly keepsLines = false
  readonly #options: FilesSinkOptions
  readonly #log: Logger
  readonly #files = new PQueue({ concurrency: openFiles })
  /** One at a time keeps all files busy, too. */
  readonly #spilled = new PQueue({ concurrency: 1 })
  readonly #writers = new Map<string, PartitionWriter>()
  readonly #context: WriterContext
  #relieved: () => void = () => {}
  readonly #memory = new LineMemory(() => this.#relieved())
  #ageTimer: NodeJS.Timeout | undefined
  #compactor: Compactor | undefined
  #compactedFiles = 0
  /** What failed last of a partition, and when. */
  readonly #failures = new Map<string, { readonly message: string; readonly at: number }>()

  constructor(options: FilesSinkOptions, log: Logger) {
    this.#options = options
    this.#log = log
    this.#context = {
      home: options.home,
      gzipLevel: options.gzipLevel,
      buffers: new BufferPool(),
      worker: options.worker,
      log,
      committedOffset: options.committedOffset,
      now: () => performance.now(),
      flushed: (ms) => options.observer?.done('files', ms),
      onFile: (task) => this.#files.add(task),
      memory: this.#memory,
      maxBuckets: options.maxBuckets ?? maxBuckets,
      onSpilled: (task) => this.#spilled.add(task),
    }
  }

  get heldBytes(): number {
    return this.#memory.heldBytes
  }

  get openBuckets(): number {
    let buckets = 0
    for (const writer of this.#writers.values()) buckets += writer.openBuckets
    return buckets
  }

  /** Files that were merged into larger ones. */
  get compactedFiles(): number {
    return this.#compactedFiles
  }

  /**
   * How long it takes at the most until what is staged of a partition is committed, in ms;
   * undefined where nothing is.
   */
  flushDueMs(tp: TopicPartition): number | undefined {
    const since = this.#writers.get(partitionKey(tp))?.stagedSince
    if (since === undefined) return undefined
    return Math.max(0, since + this.#options.flushIntervalMs - performance.now())
  }

  /**
   * A disk in trouble is tried again by opening the partition, which may go well on a full disk,
   * and by the next flush, which does not. So a failure counts until that much time has gone by, or
   * a flush went well.
   */
  get waiting(): string | undefined {
    const oldest = performance.now() - this.#options.flushIntervalMs - mostRetryMs
    for (const [key, { message, at }] of this.#failures) {
      if (at > oldest) return message
      this.#failures.delete(key)
    }
    return undefined
  }

  async start(relieved: () => void): Promise<void> {
    this.#relieved = relieved
    const { home, clusterId, group } = this.#options
    await claimArchive(home, clusterId, group)
    const { compactAfterMs, compactMaxBytes: maxBytes } = this.#options
    if (compactAfterMs > 0) {
      this.#compactor = new Compactor(this.#context, {
        compactAfterMs,
        maxBytes,
        compacted: ({ replaced }) => {
          this.#compactedFiles += replaced
        },
      })
    }
    this.#ageTimer = setInterval(
      () => this.#flushOld(),
      Math.min(ageCheckMs, this.#options.flushIntervalMs),
    )
  }

  async open(tp: TopicPartition, fallback: number): Promise<SinkPosition> {
    await this.close(tp)
    try {
      const { writer, position } = await PartitionWriter.open(this.#context, tp, fallback)
      this.#writers.set(partitionKey(tp), writer)
      this.#compactor?.add(tp)
      return position
    } catch (error) {
      this.#failed(tp, error)
      throw error
    }
  }

  write(batch: RecordBatch): Promise<void> {
    const writer = this.#writers.get(partitionKey(batch))
    // A partition that was given up: nobody waits for its records any more.
    if (writer === undefined) return new Promise(() => {})
    const committed = writer.write(batch)
    this.#watch({ topic: batch.topic, partition: batch.partition }, committed)
    if (writer.stagedBytes >= this.#options.flushBytes) void writer.flush()
    if (this.#memory.openBucketsBytes > this.#options.memoryLimit * bucketsAbove)
      this.#flushLargest()
    if (this.#memory.gatheringBytes > this.#options.memoryLimit * spillAbove) this.#spill()
    return committed
  }

  async flush(tps: readonly TopicPartition[]): Promise<void> {
    await Promise.all(tps.map((tp) => this.#writers.get(partitionKey(tp))?.flush()))
  }

  lastRecords(tp: TopicPartition): Promise<readonly SourceRecord[]> {
    return lastRecords(this.#options.home, tp)
  }

  async close(tp: TopicPartition): Promise<void> {
    const writer = this.#writers.get(partitionKey(tp))
    this.#writers.delete(partitionKey(tp))
    this.#compactor?.remove(tp)
    await writer?.close()
  }

  async stop(): Promise<void> {
    clearInterval(this.#ageTimer)
    await this.#compactor?.stop()
    const writers = [...this.#writers.values()]
    this.#writers.clear()
    await Promise.all(writers.map((writer) => writer.close()))
    await this.#files.onIdle()
    await this.#options.home[Symbol.asyncDispose]()
  }

  pressure(): number {
    const { memoryLimit } = this.#options
    return (
      Math.max(this.#memory.heldBytes, this.#memory.compressingBytes / mostCompressing) /
      memoryLimit
    )
  }

  /** Knows no batch: what waits for a flush must not keep the lines that were copied already. */
  #watch(tp: TopicPartition, committed: Promise<void>): void {
    committed.then(
      () => this.#failures.delete(partitionKey(tp)),
      (error: unknown) => this.#failed(tp, error),
    )
  }

  #failed(tp: TopicPartition, error: unknown): void {
    if (error instanceof ArchiverError && error.code === 'FENCED') return
    this.#failures.set(partitionKey(tp), { message: messageOf(error), at: performance.now() })
  }

  #flushOld(): void {
    const oldest = performance.now() - this.#options.flushIntervalMs
    for (const writer of this.#writers.values()) {
      const since = writer.stagedSince
      if (since !== undefined && since <= oldest) void writer.flush()
    }
  }

  #flushLargest(): void {
    let largest: PartitionWriter | undefined
    for (const writer of this.#writers.values()) {
      if (writer.openBuckets > (largest?.openBuckets ?? 0)) largest = writer
    }
    void largest?.flush()
  }

  #spill(): void {
    this.#log.debug(
      { gathered: this.#memory.gatheringBytes },
      'memory is short: lines wait in spill files',
    )
    for (const writer of this.#writers.values()) writer.spill()
  }
}
