import { resolve } from 'node:path'
import PQueue from 'p-queue'
import type { Logger } from '../log.ts'
import type { Observer } from '../observer.ts'
import { partitionKey, type RecordBatch, type TopicPartition } from '../record.ts'
import type { Sink, SinkPosition } from '../sink.ts'
import { claimArchive } from './archive.ts'
import { BufferPool } from './buffer-pool.ts'
import { Compactor } from './compactor.ts'
import { PartitionWriter, type WriterContext } from './partition-writer.ts'

export interface FilesSinkOptions {
  readonly archiveDir: string
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
  /** Hears of flushes. */
  readonly observer?: Observer
}

/** Above this part of the memory limit the largest buckets are written as they are … */
const spillAbove = 0.35
/** … until this part is left. */
const spillDownTo = 0.2
/** Files open at once, of all partitions. */
const openFiles = 16
const ageCheckMs = 250

/**
 * The gzip JSONL archive. It holds no more than buffers in memory: ten thousand open types and hours cost their unwritten lines,
 * and when those are too many the largest are written early, as smaller gzip members.
 *
 * It never waits for a disk that is in trouble: a partition whose flush failed reports that to who wrote it and is opened again
 * by the worker, which reads the records anew. So there is one way back from every trouble, and it is the same as after a crash.
 */
export class FilesSink implements Sink {
  readonly name = 'files'
  readonly #options: FilesSinkOptions
  readonly #log: Logger
  readonly #files = new PQueue({ concurrency: openFiles })
  readonly #writers = new Map<string, PartitionWriter>()
  readonly #context: WriterContext
  #relieved: () => void = () => {}
  #held = 0
  #ageTimer: NodeJS.Timeout | undefined
  #compactor: Compactor | undefined
  #compactedFiles = 0

  constructor(options: FilesSinkOptions, log: Logger) {
    this.#options = options
    this.#log = log
    this.#context = {
      root: resolve(options.archiveDir),
      gzipLevel: options.gzipLevel,
      buffers: new BufferPool(),
      worker: options.worker,
      log,
      committedOffset: options.committedOffset,
      now: () => performance.now(),
      flushed: (ms) => options.observer?.done('files', ms),
      onFile: (task) => this.#files.add(task),
      held: (delta) => this.#changeHeld(delta),
    }
  }

  get heldBytes(): number {
    return this.#held
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

  /** How long it takes at the most until what is staged of a partition is committed, in ms; undefined where nothing is. */
  flushDueMs(tp: TopicPartition): number | undefined {
    const since = this.#writers.get(partitionKey(tp))?.stagedSince
    if (since === undefined) return undefined
    return Math.max(0, since + this.#options.flushIntervalMs - performance.now())
  }

  /** Trouble of the disk shows as a partition that cannot be opened; this sink itself never waits. */
  readonly waiting = undefined

  async start(relieved: () => void): Promise<void> {
    this.#relieved = relieved
    await claimArchive(this.#context.root, this.#options.clusterId, this.#options.group)
    const { compactAfterMs } = this.#options
    if (compactAfterMs > 0) {
      this.#compactor = new Compactor(this.#context, {
        compactAfterMs,
        compacted: ({ replaced }) => {
          this.#compactedFiles += replaced
        },
      })
    }
    this.#ageTimer = setInterval(() => this.#flushOld(), Math.min(ageCheckMs, this.#options.flushIntervalMs))
  }

  async open(tp: TopicPartition, fallback: number): Promise<SinkPosition> {
    await this.close(tp)
    const { writer, position } = await PartitionWriter.open(this.#context, tp, fallback)
    this.#writers.set(partitionKey(tp), writer)
    this.#compactor?.add(tp)
    return position
  }

  write(batch: RecordBatch): Promise<void> {
    const writer = this.#writers.get(partitionKey(batch))
    // A partition that was given up: nobody waits for its records any more.
    if (writer === undefined) return new Promise(() => {})
    const committed = writer.write(batch)
    if (writer.stagedBytes >= this.#options.flushBytes) void writer.flush()
    if (this.#held > this.#options.memoryLimit * spillAbove) this.#spill()
    return committed
  }

  async flush(tps: readonly TopicPartition[]): Promise<void> {
    await Promise.all(tps.map((tp) => this.#writers.get(partitionKey(tp))?.flush()))
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
  }

  pressure(): number {
    return this.#held / this.#options.memoryLimit
  }

  #changeHeld(delta: number): void {
    this.#held += delta
    if (delta < 0) this.#relieved()
  }

  #flushOld(): void {
    const oldest = performance.now() - this.#options.flushIntervalMs
    for (const writer of this.#writers.values()) {
      const since = writer.stagedSince
      if (since !== undefined && since <= oldest) void writer.flush()
    }
  }

  /** Writes the largest buffers early. What is being compressed still counts as held until it is written. */
  #spill(): void {
    const buckets = [...this.#writers.values()].flatMap((writer) => [...writer.bufferedBuckets()])
    buckets.sort((a, b) => b.bufferBytes - a.bufferBytes)
    let kept = buckets.reduce((sum, bucket) => sum + bucket.bufferBytes, 0)
    const goal = this.#options.memoryLimit * spillDownTo
    let spilled = 0
    for (const bucket of buckets) {
      if (kept <= goal) break
      kept -= bucket.bufferBytes
      bucket.seal()
      spilled++
    }
    if (spilled > 0) this.#log.debug({ spilled, held: this.#held }, 'memory is short: buffers written early')
  }
}
