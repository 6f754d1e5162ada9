import { onOneLine } from '../record/ascii.ts'
import type { SourceRecord, TopicPartition } from '../record/record.ts'
import type { Sink } from './sink.ts'
import type { Source } from './source.ts'

/**
 * Whether a topic is still the one that was archived. A topic that was recreated has the same name
 * and the same offsets; only its records differ. So the last archived records are compared with
 * Kafka's at the same offsets.
 */
export type Identity =
  /** Kafka's record at this offset is the archived one. */
  | { readonly verdict: 'same'; readonly offset: number }
  /** Kafka's record at this offset is not the archived one. */
  | { readonly verdict: 'different'; readonly offset: number }
  /** Kafka has none of the last archived records any more, so nobody can tell. */
  | { readonly verdict: 'unknown' }

/**
 * Asks Kafka for one record, and for a second one only if compaction removed the first.
 *
 * @param archived the last archived records of a partition, in order
 * @param start the first offset that Kafka still has
 * @param read records of Kafka from an offset on, as many as one small fetch brings; none if it has
 *   none
 */
export async function identify(
  archived: readonly SourceRecord[],
  start: number,
  read: (offset: number) => Promise<readonly SourceRecord[]>,
): Promise<Identity> {
  const present = archived.filter(({ offset }) => offset >= start)
  const tries = new Set(
    [present.at(-1)?.offset, present[0]?.offset].filter((offset) => offset !== undefined),
  )
  for (const from of tries) {
    const found = new Map((await read(from)).map((record) => [record.offset, record]))
    let same: number | undefined
    for (const record of present) {
      const theirs = found.get(record.offset)
      if (theirs === undefined) continue
      if (!isSameRecord(record, theirs)) return { verdict: 'different', offset: record.offset }
      same = record.offset
    }
    if (same !== undefined) return { verdict: 'same', offset: same }
  }
  return { verdict: 'unknown' }
}

/**
 * True if an archived record may be this one of Kafka: its timestamp, key and value are what an
 * archive would keep. An archive keeps line breaks in a JSON text as spaces, and JSON `null` as a
 * tombstone.
 */
export function isSameRecord(archived: SourceRecord, kafka: SourceRecord): boolean {
  return (
    BigInt(archived.timestamp) === BigInt(kafka.timestamp) &&
    isSame(archived.key, kafka.key) &&
    (isSame(contentOf(archived), contentOf(kafka)) ||
      isSame(asOneLine(contentOf(archived)), asOneLine(contentOf(kafka))))
  )
}

function isSame(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b)
}

const nullText = Buffer.from('null')

function contentOf({ value }: SourceRecord): Buffer | null {
  return value === null || value.equals(nullText) ? null : value
}

function asOneLine(value: Buffer | null): Buffer | null {
  if (value === null) return null
  const line = Buffer.from(value)
  onOneLine(line)
  return line
}

/**
 * Compares the last records that a sink knows of with Kafka's. One partition at a time: after a
 * group lost its offsets thousands are opened at once, and each check keeps a piece of a file in
 * memory.
 */
export class IdentityCheck {
  readonly #sinks: readonly Sink[]
  readonly #source: Pick<Source, 'records'>
  #last: Promise<unknown> = Promise.resolve()

  constructor(sinks: readonly Sink[], source: Pick<Source, 'records'>) {
    this.#sinks = sinks
    this.#source = source
  }

  /** @param start the first offset that Kafka still has */
  of(tp: TopicPartition, start: number): Promise<Identity> {
    const answer = this.#last.then(() => this.#identify(tp, start))
    this.#last = answer.catch(() => {})
    return answer
  }

  async #identify(tp: TopicPartition, start: number): Promise<Identity> {
    let archived: readonly SourceRecord[] = []
    for (const sink of this.#sinks)
      if (archived.length === 0) archived = (await sink.lastRecords?.(tp)) ?? []
    return identify(archived, start, (offset) => this.#source.records(tp, offset))
  }
}
