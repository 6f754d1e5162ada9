import type { Sink, SinkPosition } from '../../src/pipeline/sink.ts'
import {
  lineStart,
  partitionKey,
  type RecordBatch,
  type TopicPartition,
} from '../../src/record/record.ts'

/**
 * What a memory sink keeps: lines by `topic/partition/offset`. Outlives the sink, as a disk
 * outlives a process.
 */
export type MemoryStore = Map<string, string>

interface Taken {
  readonly batch: RecordBatch
  readonly durable: () => void
}

/**
 * The contract of sinks in its shortest form: what was taken becomes durable at a flush. The
 * reference for the contract's tests.
 */
export class MemorySink implements Sink {
  readonly name = 'memory'
  readonly keepsLines = true
  readonly waiting = undefined
  readonly #store: MemoryStore
  readonly #memoryLimit: number
  readonly #taken = new Map<string, Taken[]>()
  #relieved: () => void = () => {}

  constructor(store: MemoryStore, memoryLimit: number) {
    this.#store = store
    this.#memoryLimit = memoryLimit
  }

  async start(relieved: () => void): Promise<void> {
    this.#relieved = relieved
  }

  async open(tp: TopicPartition): Promise<SinkPosition> {
    await this.close(tp)
    this.#taken.set(partitionKey(tp), [])
    return { next: undefined, origin: undefined, committed: undefined }
  }

  write(batch: RecordBatch): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#taken.get(partitionKey(batch))?.push({ batch, durable: resolve })
    return promise
  }

  async flush(tps: readonly TopicPartition[]): Promise<void> {
    for (const { batch, durable } of tps.flatMap(
      (tp) => this.#taken.get(partitionKey(tp))?.splice(0) ?? [],
    )) {
      for (let i = 0; i < batch.count; i++) {
        const line = batch.lines.toString('utf8', lineStart(batch, i), batch.ends[i]! - 1)
        this.#store.set(`${partitionKey(batch)}/${batch.offsets[i]}`, line)
      }
      durable()
    }
    this.#relieved()
  }

  async close(tp: TopicPartition): Promise<void> {
    if (this.#taken.delete(partitionKey(tp))) this.#relieved()
  }

  async stop(): Promise<void> {
    this.#taken.clear()
  }

  pressure(): number {
    return this.heldBytes / this.#memoryLimit
  }

  get heldBytes(): number {
    return [...this.#taken.values()].flat().reduce((sum, { batch }) => sum + batch.lines.length, 0)
  }
}
