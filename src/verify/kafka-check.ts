import { firstRecords, lastRecords } from '../files/read/edge-records.ts'
import type { ReadableHome } from '../home/home.ts'
import type { KafkaPosition } from '../kafka/positions.ts'
import { type Identity, identify } from '../pipeline/recreated.ts'
import { partitionKey, rangeOf, type SourceRecord, type TopicPartition } from '../record/record.ts'
import { describeOffsets, type Problems } from './problems.ts'

/** Compares what Kafka says of a partition with the end of its commit log. */
export function checkPosition(
  tp: TopicPartition,
  { committed, start, end }: KafkaPosition,
  next: number | undefined,
  problems: Problems,
): void {
  if (next === undefined) {
    if (end <= start) return
    const offsets = { from: start, next: end }
    problems.add({
      kind: 'not-archived',
      message: `Kafka has ${describeOffsets(offsets)} of ${partitionKey(tp)}, the archive has nothing of it`,
      offsets,
    })
    return
  }
  if (committed !== undefined && committed > next) {
    problems.add({
      kind: 'archive-behind-group',
      message: `the group has committed ${committed}, the files end at ${next}`,
      offsets: { from: next, next: committed },
    })
  }
  if (start > next) {
    problems.add({
      kind: 'lost-before-archived',
      message: `the files end at ${next}, Kafka's log begins at ${start}`,
      offsets: { from: next, next: start },
    })
  }
  if (end < next) {
    problems.add({
      kind: 'archive-ahead-of-log',
      message: `the files end at ${next}, Kafka's log at ${end}`,
      offsets: { from: end, next },
    })
  }
}

/**
 * Compares the last archived records with Kafka's. Offsets and counts agree when a topic was
 * recreated and has grown past the archive; its records do not. The first records that Kafka still
 * has are compared as well: a worker that ran meanwhile, or whose group was given an offset,
 * archived the new topic from there on, and then the last records agree.
 *
 * @param start the first offset that Kafka still has
 * @param read records of Kafka from an offset on
 * @returns undefined when nothing is archived
 */
export async function checkIdentity(
  home: ReadableHome,
  tp: TopicPartition,
  start: number,
  read: (offset: number) => Promise<readonly SourceRecord[]>,
  problems: Problems,
): Promise<Identity | undefined> {
  const last = await lastRecords(home, tp)
  if (last.length === 0) return undefined
  let identity = await identify(last, start, read)
  if (identity.verdict === 'same') {
    const first = await identify(await firstRecords(home, tp, start), start, read)
    if (first.verdict === 'different') identity = first
  }
  if (identity.verdict === 'different') {
    const { offset } = identity
    problems.add({
      kind: 'topic-recreated',
      message: `Kafka's record at offset ${offset} is not the one that is archived`,
      offsets: rangeOf(offset),
    })
  }
  return identity
}
