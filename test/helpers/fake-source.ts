import type {
  Answers,
  LogBounds,
  Source,
  SourceEvents,
  UnreadableBatch,
} from '../../src/pipeline/source.ts'
import {
  type OffsetRange,
  partitionKey,
  type SourceBatch,
  type SourceRecord,
  type TopicPartition,
} from '../../src/record/record.ts'

const batchRecords = 100

interface Log {
  readonly tp: TopicPartition
  start: number
  end: number
  /** The consumer's position. */
  position: number
  paused: boolean
}

/**
 * A source of logs that a test writes and cuts off at will, for what a real broker takes hours to
 * do. Like kafkajs it delivers what is at its own position, and goes to the beginning of the log if
 * that position is gone.
 */
export class FakeSource implements Source {
  readonly clusterId = 'fake'
  silentMs = 0
  /** What the group has committed. */
  readonly group = new Map<string, number>()
  /** What a question or a commit is answered with instead, if it is set. */
  refusal: { bounds?: Error; committed?: Error; commit?: Error } = {}
  /** The record batch of these offsets is damaged, or its record too large. */
  damaged: OffsetRange | undefined
  damagedBy: 'unreadable' | 'oversized' = 'unreadable'
  /** No encoder takes the batch that has this offset. */
  poison: number | undefined
  /** How many questions about positions were put. */
  questions = 0
  /** Topics that cannot be asked about. */
  readonly unknown = new Set<string>()
  readonly #logs = new Map<string, Log>()
  #events: SourceEvents | undefined
  #owned: readonly TopicPartition[] = []

  /** Makes a partition, or cuts its log to what is given. */
  setLog(tp: TopicPartition, { start, end }: LogBounds): void {
    const key = partitionKey(tp)
    const log = this.#logs.get(key) ?? { tp, start, end, position: 0, paused: true }
    this.#logs.set(key, Object.assign(log, { start, end }))
    this.#deliverSoon(log)
  }

  async connect(): Promise<void> {}

  topics(): readonly string[] {
    return [...new Set([...this.#logs.values()].map(({ tp }) => tp.topic))]
  }

  async run(events: SourceEvents): Promise<void> {
    this.#events = events
    this.assign([...this.#logs.values()].map(({ tp }) => tp))
  }

  /** The worker joins the group and has these partitions, which others had before. */
  assign(gained: readonly TopicPartition[]): void {
    const lost = this.#owned
    this.#owned = gained
    for (const tp of gained) this.pause(tp)
    this.#events?.joined({ gained, kept: [], lost })
  }

  /** The worker joins again: some partitions come, some are gone, the others stay. */
  rebalance(change: {
    readonly gained?: readonly TopicPartition[]
    readonly lost?: readonly TopicPartition[]
  }): void {
    const { gained = [], lost = [] } = change
    const kept = without(this.#owned, lost)
    this.#owned = [...kept, ...gained]
    for (const tp of gained) this.pause(tp)
    this.#events?.joined({ gained, kept, lost })
  }

  /** The group wants partitions back; resolves when others may have them. */
  async revoke(tps: readonly TopicPartition[]): Promise<void> {
    await this.#events?.revoked(tps)
    this.#owned = without(this.#owned, tps)
  }

  /** A batch cannot be read. */
  unreadable(batch: UnreadableBatch): void {
    this.#events?.unreadable(batch)
  }

  seek(tp: TopicPartition, offset: number): void {
    this.#log(tp).position = offset
  }

  pause(tp: TopicPartition): void {
    this.#log(tp).paused = true
  }

  resume(tp: TopicPartition): void {
    this.#log(tp).paused = false
    this.#deliverSoon(this.#log(tp))
  }

  async committedOffsets(tps: readonly TopicPartition[]): Promise<Answers<number>> {
    this.questions++
    if (this.refusal.committed !== undefined) throw this.refusal.committed
    return this.#answers(tps, (key) => this.group.get(key))
  }

  async bounds(tps: readonly TopicPartition[]): Promise<Answers<LogBounds>> {
    this.questions++
    if (this.refusal.bounds !== undefined) throw this.refusal.bounds
    return this.#answers(tps, (key) => this.#boundsOf(this.#logs.get(key)))
  }

  async allBounds(topics: readonly string[]): Promise<Map<string, LogBounds>> {
    const asked = [...this.#logs].filter(([, { tp }]) => topics.includes(tp.topic))
    return new Map(asked.map(([key, log]) => [key, this.#boundsOf(log)!]))
  }

  #boundsOf(log: Log | undefined): LogBounds | undefined {
    return log === undefined ? undefined : { start: log.start, end: log.end }
  }

  #answers<T>(tps: readonly TopicPartition[], answer: (key: string) => T | undefined): Answers<T> {
    const found = new Map<string, T>()
    const refused = new Map<string, unknown>()
    for (const tp of tps) {
      const key = partitionKey(tp)
      const known = answer(key)
      if (this.unknown.has(tp.topic)) refused.set(tp.topic, new Error(`no topic ${tp.topic}`))
      else if (known !== undefined) found.set(key, known)
    }
    return { found, refused }
  }

  /** Which life of the topics this is: their records differ. */
  life = 1

  async records(tp: TopicPartition, offset: number): Promise<readonly SourceRecord[]> {
    const log = this.#log(tp)
    if (offset < log.start || offset >= log.end) return []
    return recordsOf({ from: offset, next: Math.min(log.end, offset + 10) }, this.life)
  }

  async *read(tp: TopicPartition, { from, next }: OffsetRange): AsyncGenerator<SourceBatch> {
    const { start, end } = this.#log(tp)
    const range = { from: Math.max(from, start), next: Math.min(next, end) }
    if (range.from < range.next) yield { ...tp, ...range, records: recordsOf(range, this.life) }
  }

  async commit(offsets: readonly (TopicPartition & { readonly offset: number })[]): Promise<void> {
    if (this.refusal.commit !== undefined) throw this.refusal.commit
    for (const { topic, partition, offset } of offsets)
      this.group.set(partitionKey({ topic, partition }), offset)
  }

  async stop(): Promise<void> {
    this.#events = undefined
  }

  #log(tp: TopicPartition): Log {
    return this.#logs.get(partitionKey(tp))!
  }

  #deliverSoon(log: Log): void {
    setImmediate(() => {
      if (log.paused || this.#events === undefined) return
      if (log.position < log.start || log.position > log.end) log.position = log.start
      if (log.position === log.end) return
      const end = Math.min(log.end, log.position + batchRecords)
      const { damaged } = this
      const isMet = damaged !== undefined && damaged.from < end && log.position < damaged.next
      const good: OffsetRange = { from: log.position, next: isMet ? damaged.from : end }
      const range: OffsetRange = { from: good.from, next: isMet ? damaged.next : end }
      log.position = range.next
      const lost = isMet
        ? ({ ...damaged, reason: this.damagedBy, detail: 'it is damaged' } as const)
        : undefined
      this.#events.batch({
        ...log.tp,
        ...range,
        records: recordsOf(good, this.life, this.poison),
        lost,
        highWatermark: log.end,
      })
      this.#deliverSoon(log)
    })
  }
}

export function recordsOf({ from, next }: OffsetRange, life = 1, poison?: number): SourceRecord[] {
  return Array.from({ length: next - from }, (_, i) => ({
    // Offsets that go back are what an encoder refuses.
    offset: from + i === poison ? from - 1 : from + i,
    timestamp: 1_700_000_000_000 + life * 1_000_000 + from + i,
    key: null,
    value: Buffer.from(`{"type":"a","n":${from + i}}`),
    headers: [],
  }))
}

function without(
  tps: readonly TopicPartition[],
  removed: readonly TopicPartition[],
): readonly TopicPartition[] {
  const keys = new Set(removed.map(partitionKey))
  return tps.filter((tp) => !keys.has(partitionKey(tp)))
}
