import type { TestContext } from 'node:test'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import type { ElasticsearchConnection } from '../../src/elasticsearch/connection.ts'
import type { ElasticsearchSinkOptions } from '../../src/elasticsearch/sink/options.ts'
import { ElasticsearchSink } from '../../src/elasticsearch/sink/sink.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import type { RecordBatch, SourceRecord } from '../../src/record/record.ts'
import { SinkCounts, type SinkLog, sinkLog } from './observed-sink.ts'

/** 2019-08-01 03:23:03 UTC. */
export const someTime = 1_564_629_783_000
export const someDay = '2019.08.01'

/**
 * A batch of one partition: records with these values, from an offset on. Types are those of the
 * field `type`, or the topic.
 */
export function batchOf(
  topic: string,
  values: readonly (string | Buffer | null)[],
  options: {
    from?: number
    partition?: number
    timestamp?: number
    typeFrom?: 'value' | 'topic'
  } = {},
): RecordBatch {
  const { from = 0, partition = 0, timestamp = someTime, typeFrom = 'value' } = options
  const records: SourceRecord[] = values.map((value, i) => ({
    offset: from + i,
    timestamp,
    key: null,
    value: typeof value === 'string' ? Buffer.from(value) : value,
    headers: [],
  }))
  const encoder = new LineEncoder(
    typeFrom === 'topic' ? { from: 'topic' } : { from: 'value', path: ['type'] },
  )
  return encoder.encode({ topic, partition, from, next: from + values.length, records })
}

/** A sink on its own, without Kafka and worker. */
export interface OpenSink extends SinkLog {
  readonly sink: ElasticsearchSink
  readonly counts: SinkCounts
  /**
   * Opens the partition if that is not done, and writes. Settles when every record is durable.
   */
  readonly write: (batch: RecordBatch) => Promise<void>
}

export async function openSink(
  t: TestContext,
  options: {
    nodes: readonly string[]
    connection?: Partial<ElasticsearchConnection>
  } & Partial<ElasticsearchSinkOptions>,
): Promise<OpenSink> {
  const written = sinkLog()
  const counts = new SinkCounts()
  const { nodes, connection, ...rest } = options
  const client = new Elasticsearch({
    nodes,
    compression: false,
    requestTimeoutMs: 10_000,
    ...connection,
  })
  const sink = new ElasticsearchSink(
    client,
    {
      indexPrefix: 'archive-',
      bulkBytes: 5_000_000,
      bulkConcurrency: 4,
      bulkLingerMs: 20,
      shardTimeoutMs: 5000,
      rejectBreaker: 500,
      rejectHoldMs: 600_000,
      memoryLimit: 64 * 2 ** 20,
      hasFiles: true,
      logSamples: false,
      installTemplates: false,
      templateCheckMs: 300_000,
      observer: counts,
      ...rest,
    },
    written.logger,
  )
  t.after(() => sink.stop())
  await sink.start(() => {})
  const opened = new Set<string>()
  return {
    ...written,
    sink,
    counts,
    write: async (batch) => {
      const key = `${batch.topic}/${batch.partition}`
      if (!opened.has(key)) await sink.open(batch)
      opened.add(key)
      await sink.write(batch)
    },
  }
}
