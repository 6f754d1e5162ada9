/**
 * The vocabulary of the data: what every room of this program means by a topic-partition, a range,
 * a type, a batch. An offset is a `number`, and the source rejects one above 2^53 - 1, so all other
 * code may rely on exact numbers.
 */

/** One log of Kafka. "Partition" alone always means Kafka's. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** `topic/partition`: a key for maps, and a name for log lines. */
export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}

/** Offsets from `from` up to, and without, `next`: half-open, so that ranges tile. */
export interface OffsetRange {
  readonly from: number
  readonly next: number
}

/** The range of one offset, or of all from the first to the last, both included. */
export function rangeOf(first: number, last = first): OffsetRange {
  return { from: first, next: last + 1 }
}

export interface Header {
  readonly key: string
  readonly value: Buffer | null
}

/** One record as Kafka delivered it. */
export interface SourceRecord {
  readonly offset: number
  /** Kafka's int64, in ms; a bigint when a number would not be exact. */
  readonly timestamp: number | bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** In the producer's order, duplicates kept. */
  readonly headers: readonly Header[]
}

/** Where the parts of a record lie in its bytes. A null begins at -1. */
export interface RecordPositions {
  readonly offset: number
  readonly timestamp: number | bigint
  /** What the positions are in; other records lie around this one. */
  readonly bytes: Buffer
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
  /** Four for each header: where its key begins and ends, then the same of its value. */
  readonly headerPositions: readonly number[]
}

/**
 * A record where its bytes lie: positions instead of objects, as a million records come in ten
 * seconds.
 */
export class RecordInPlace implements SourceRecord, RecordPositions {
  readonly offset: number
  readonly timestamp: number | bigint
  readonly bytes: Buffer
  readonly keyStart: number
  readonly keyEnd: number
  readonly valueStart: number
  readonly valueEnd: number
  readonly headerPositions: readonly number[]

  /** The object argument costs nothing once this is compiled: it is never allocated. */
  constructor(at: RecordPositions) {
    this.offset = at.offset
    this.timestamp = at.timestamp
    this.bytes = at.bytes
    this.keyStart = at.keyStart
    this.keyEnd = at.keyEnd
    this.valueStart = at.valueStart
    this.valueEnd = at.valueEnd
    this.headerPositions = at.headerPositions
  }

  /** The same record with its bytes in one place; itself when they are there already. */
  static of(record: SourceRecord): RecordInPlace {
    if (record instanceof RecordInPlace) return record
    const parts: Buffer[] = []
    let end = 0
    const lay = (part: Buffer | null): number => {
      if (part === null) return -1
      parts.push(part)
      end += part.length
      return end - part.length
    }
    const keyStart = lay(record.key)
    const keyEnd = end
    const valueStart = lay(record.value)
    const valueEnd = end
    const headerPositions: number[] = []
    for (const { key, value } of record.headers)
      headerPositions.push(lay(Buffer.from(key)), end, lay(value), end)
    return new RecordInPlace({
      offset: record.offset,
      timestamp: record.timestamp,
      bytes: parts.length === 1 ? parts[0]! : Buffer.concat(parts),
      keyStart,
      keyEnd,
      valueStart,
      valueEnd,
      headerPositions,
    })
  }

  get key(): Buffer | null {
    return this.#part(this.keyStart, this.keyEnd)
  }

  get value(): Buffer | null {
    return this.#part(this.valueStart, this.valueEnd)
  }

  get headers(): readonly Header[] {
    const at = this.headerPositions
    return Array.from({ length: at.length / 4 }, (_, i) => ({
      key: this.bytes.toString('utf8', at[4 * i], at[4 * i + 1]),
      value: this.#part(at[4 * i + 2]!, at[4 * i + 3]!),
    }))
  }

  #part(start: number, end: number): Buffer | null {
    return start === -1 ? null : this.bytes.subarray(start, end)
  }
}

/**
 * What one fetch returned for one partition. It covers `[from, next)` whole: for an offset in it
 * without a record, Kafka has none (compaction, transaction markers, aborted transactions).
 */
export interface SourceBatch extends TopicPartition, OffsetRange {
  readonly records: readonly SourceRecord[]
}

/** The type of a message, or one of the program's own types for a message that has none. */
export interface RecordType {
  readonly name: string
  /**
   * True for the program's own `_malformed` and `_untyped`. A message that names itself so has an
   * ordinary type.
   */
  readonly reserved: boolean
}

export const malformedType: RecordType = { name: '_malformed', reserved: true }
export const untypedType: RecordType = { name: '_untyped', reserved: true }

export type GapReason =
  /**
   * Kafka skipped these offsets: compaction removed them, they are transaction markers, or they
   * belong to aborted transactions.
   */
  | 'not-delivered'
  /** Retention removed records before they were read. They are lost to the archive. */
  | 'retention'
  /** The record batch that had them is damaged in Kafka's log. */
  | 'unreadable'
  /** The record is larger than `--max-record-bytes`. Kafka still has it. */
  | 'oversized'
  /**
   * The log ended before these offsets when it was read again: it was truncated, or the topic was
   * recreated.
   */
  | 'truncated'
  /**
   * Kafka has other records at offsets that are archived: the topic was recreated. Stops the
   * partition.
   */
  | 'recreated'
  /**
   * A committed file of theirs was lost before the group committed it, and Kafka does not have them
   * any more either.
   */
  | 'file-lost'

/** Offsets inside a range that have no record in the archive, and why. */
export interface Gap extends OffsetRange {
  readonly reason: GapReason
}

/** Offsets of records that Kafka has and the archive does not get, and why. */
export interface LostRange extends Gap {
  /** What is wrong with them, for people. */
  readonly detail: string
  /** The size of the one record that is too large. */
  readonly bytes?: number
}

/**
 * Records of one partition, encoded once. `lines` holds one line of JSON for each record, ended by
 * LF, in the order of offsets. Every sink takes its bytes from here. Line `i` is
 * `lines[lineStart(i), ends[i])`, and its offset is `offsets[i]`.
 */
export interface RecordBatch extends TopicPartition, OffsetRange {
  readonly count: number
  readonly lines: Buffer
  readonly ends: Uint32Array
  readonly offsets: Float64Array
  /** Kafka's timestamps in ms; approximate beyond 2^53. */
  readonly timestamps: Float64Array
  /** Hours since 1970 (UTC) of the timestamps; `unknownHour` outside the years 1970 to 9999. */
  readonly hours: Int32Array
  /** Index into `types` per record. */
  readonly typeIndexes: Uint32Array
  readonly types: readonly RecordType[]
  readonly gaps: readonly Gap[]
  /**
   * 1 for each record whose value has a number that a double may not hold; undefined if unknown.
   */
  readonly longNumbers?: Uint8Array
  /**
   * If it exists, call it once nobody reads `lines` any more. It frees their memory and leaves them
   * empty. Otherwise the garbage collector would scan the whole heap for each 64 MB of them.
   */
  readonly free?: () => void
}

/** Where line `i` begins. */
export function lineStart(batch: RecordBatch, i: number): number {
  return i === 0 ? 0 : batch.ends[i - 1]!
}

/** A batch without records: it only moves a position forward, past gaps. */
export function emptyBatch(
  tp: TopicPartition,
  range: OffsetRange,
  gaps: readonly Gap[],
): RecordBatch {
  return {
    topic: tp.topic,
    partition: tp.partition,
    from: range.from,
    next: range.next,
    count: 0,
    lines: Buffer.alloc(0),
    ends: new Uint32Array(0),
    offsets: new Float64Array(0),
    timestamps: new Float64Array(0),
    hours: new Int32Array(0),
    typeIndexes: new Uint32Array(0),
    types: [],
    gaps,
  }
}
