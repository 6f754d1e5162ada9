import PQueue from 'p-queue'
import type { Home } from '../home/home.ts'
import type { Observer } from '../pipeline/observer.ts'
import type { IncompleteRange, Sink, SinkPosition } from '../pipeline/sink.ts'
import {
  type Gap,
  type OffsetRange,
  partitionKey,
  type RecordBatch,
  type SourceRecord,
  type TopicPartition,
} from '../record/record.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { Compactor } from './compact/compactor.ts'
import { claimArchive } from './log/archive.ts'
import type { Incomplete } from './log/roll-forward.ts'
import { lastRecords } from './read/edge-records.ts'
import { BufferPool } from './write/buffer-pool.ts'
import { GzipMembers } from './write/gzip-members.ts'
import { LineMemory } from './write/line-memory.ts'
import { PartitionWriter, type WriterContext } from './write/partition-writer.ts'
import { refill } from './write/refill.ts'

/** When the partitions of a topic are flushed. */
export interface FlushSettings {
  readonly intervalMs: number
  readonly bytes: number
}

export interface TopicFlushes {
  /** The shortest interval of any topic. */
  readonly minIntervalMs: number
  of(topic: string): FlushSettings
}

export interface FilesSinkOptions {
  /** The home of the archive; `stop` disposes of it. */
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
  /** Topics that differ in these. */
  readonly flushes?: TopicFlushes | undefined
  /** Bytes of lines in memory at which partitions are paused. */
  readonly memoryLimit: number
  readonly committedOffset: (tp: TopicPartition) => number | undefined
  /** Merge the files of an hour this many ms after it has closed; 0 disables compaction. */
  readonly compactAfterMs: number
  /** No merged file is larger, in bytes; 1 GiB without it. */
  readonly compactMaxBytes?: number
  /** Max types and hours of one range; 20,000 unless a test wants fewer. */
  readonly maxBuckets?: number
  /** Gets the flushes. */
  readonly observer?: Observer
}

/**
 * Above this share of the memory limit, the lines of all buckets move to spill files. While they
 * are written, as many may gather again.
 */
const spillAbove = 0.4
/** Share of the memory limit that may queue for compression: enough to keep the threads busy. */
const maxCompressing = 0.4
/**
 * When open buckets cost more than this share of the memory limit, the partition with the largest
 * number of them is flushed.
 */
const bucketsAbove = 0.5
/**
 * A range is cut before it has more buckets. Its manifest has 10 MB then, a small part of the work
 * of such a flush. An id in the type makes as many files either way; this limits what one flush
 * needs at once.
 */
const maxBuckets = 20_000
/** Staged files that are compressed or open at once, of all partitions. */
const openFiles = 16
const ageCheckMs = 250
/** A partition that failed is reopened sooner than this. */
const maxRetryMs = 60_000

/**
 * The gzip JSONL archive. It holds only buffers in memory: ten thousand open types and hours cost
 * their unwritten lines, and too many of those wait on the disk.
 *
 * It never waits for a failing disk. A partition whose flush failed rejects the writes; the worker
 * reopens it and reads the records again. So there is one way back from every failure, and it is
 * the same as after a crash.
 */
export class FilesSink implements Sink {
  readonly name = 'files'
  /** Buckets copy them. */
  readonly keepsLines = false
  readonly #options: FilesSinkOptions
  readonly #log: Logger
  readonly #files = new PQueue({ concurrency: openFiles })
  /** One at a time keeps all files busy. */
  readonly #spilled = new PQueue({ concurrency: 1 })
  readonly #writers = new Map<string, PartitionWriter>()
  /** Of open partitions. */
  readonly #incomplete = new Map<string, readonly Incomplete[]>()
  readonly #context: WriterContext
  #relieved: () => void = () => {}
  readonly #memory = new LineMemory(() => this.#relieved())
  #ageTimer: NodeJS.Timeout | undefined
  #compactor: Compactor | undefined
  #compactedFiles = 0
  /** The last failure of each partition, and its time. */
  readonly #failures = new Map<
    string,
    { readonly message: string; readonly at: number; readonly intervalMs: number }
  >()

  constructor(options: FilesSinkOptions, log: Logger) {
    this.#options = options
    this.#log = log
    this.#context = {
      home: options.home,
      members: new GzipMembers(options.gzipLevel),
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

  /** The number of files that were merged into larger ones. */
  get compactedFiles(): number {
    return this.#compactedFiles
  }

  /** Max ms until staged records of a partition are committed; undefined if there are none. */
  flushDueMs(tp: TopicPartition): number | undefined {
    const since = this.#writers.get(partitionKey(tp))?.stagedSince
    if (since === undefined) return undefined
    return Math.max(0, since + this.#flushOf(tp.topic).intervalMs - performance.now())
  }

  /**
   * A failing disk is retried in two ways: by reopening the partition, which may succeed on a full
   * disk, and by the next flush, which does not. So a failure counts until a flush succeeds, or
   * until both have had time.
   */
  get waiting(): string | undefined {
    const now = performance.now() - maxRetryMs
    for (const [key, { message, at, intervalMs }] of this.#failures) {
      if (at > now - intervalMs) return message
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
      Math.min(ageCheckMs, this.#options.flushes?.minIntervalMs ?? this.#options.flushIntervalMs),
    )
  }

  async open(tp: TopicPartition, fallback: number, committed?: number): Promise<SinkPosition> {
    await this.close(tp)
    try {
      const opened = await PartitionWriter.open(this.#context, tp, fallback, committed)
      const { incomplete, ...position } = opened.position
      this.#writers.set(partitionKey(tp), opened.writer)
      this.#compactor?.add(tp)
      if (incomplete.length === 0) return position
      this.#incomplete.set(partitionKey(tp), incomplete)
      return { ...position, incomplete: incomplete.map(rangeOfIncomplete) }
    } catch (error) {
      this.#failed(tp, error)
      throw error
    }
  }

  refill(
    tp: TopicPartition,
    { from }: OffsetRange,
    batches: AsyncIterable<RecordBatch>,
    acceptsLoss: boolean,
  ): Promise<readonly Gap[]> {
    const known = this.#incomplete.get(partitionKey(tp)) ?? []
    const incomplete = known.find(({ manifest }) => manifest.from === from)
    if (incomplete === undefined)
      throw new ArchiverError('INTERNAL', `${partitionKey(tp)}: the range of ${from} is complete`)
    return refill(this.#context, tp, incomplete, {
      batches,
      acceptsLoss,
      isFull: () => this.pressure() >= 1,
    })
  }

  write(batch: RecordBatch): Promise<void> {
    const writer = this.#writers.get(partitionKey(batch))
    // The partition was given up: nobody waits for its records any more.
    if (writer === undefined) return new Promise(() => {})
    const committed = writer.write(batch)
    this.#watch({ topic: batch.topic, partition: batch.partition }, committed)
    if (writer.stagedBytes >= this.#flushOf(batch.topic).bytes) void writer.flush()
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
    this.#incomplete.delete(partitionKey(tp))
    this.#compactor?.remove(tp)
    await writer?.close()
  }

  giveUp(): string | undefined {
    return this.#options.home.giveUp?.()
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
      Math.max(this.#memory.heldBytes, this.#memory.compressingBytes / maxCompressing) / memoryLimit
    )
  }

  /** Captures no batch: its lines are copied, and must not stay in memory until the flush. */
  #watch(tp: TopicPartition, committed: Promise<void>): void {
    committed.then(
      () => this.#failures.delete(partitionKey(tp)),
      (error: unknown) => this.#failed(tp, error),
    )
  }

  #failed(tp: TopicPartition, error: unknown): void {
    if (error instanceof ArchiverError && error.code === 'FENCED') return
    const { intervalMs } = this.#flushOf(tp.topic)
    const at = performance.now()
    this.#failures.set(partitionKey(tp), { message: messageOf(error), at, intervalMs })
  }

  #flushOld(): void {
    const now = performance.now()
    for (const writer of this.#writers.values()) {
      const since = writer.stagedSince
      if (since === undefined) continue
      if (since <= now - this.#flushOf(writer.topic).intervalMs) void writer.flush()
    }
  }

  #flushOf(topic: string): FlushSettings {
    const { flushes, flushIntervalMs: intervalMs, flushBytes: bytes } = this.#options
    return flushes?.of(topic) ?? { intervalMs, bytes }
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
      { event: 'lines_spilled', bytes: this.#memory.gatheringBytes },
      'memory is short: moving lines to spill files',
    )
    for (const writer of this.#writers.values()) writer.spill()
  }
}

function rangeOfIncomplete({ manifest: { from, next }, missing }: Incomplete): IncompleteRange {
  return { from, next, lostRecords: missing.reduce((sum, { records }) => sum + records, 0) }
}
