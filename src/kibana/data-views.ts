import type { DataViewSpec, FieldFormat } from './saved-object.ts'

const wholeNumber = { id: 'number', params: { pattern: '0,0' } } as const
/** Offsets and partitions are names, not quantities: no separators. */
const plainNumber = { id: 'number', params: { pattern: '0' } } as const
const bytes = { id: 'bytes', params: { pattern: '0,0.[0] b' } } as const
/** A duration in words, e.g. 1.5 s. @param inputFormat the unit of its numbers, as Kibana has it */
export function durationIn(inputFormat: string): FieldFormat {
  return {
    id: 'duration',
    params: {
      inputFormat,
      outputFormat: 'humanizePrecise',
      outputPrecision: 1,
      useShortSuffix: true,
    },
  }
}
const milliseconds = durationIn('milliseconds')
const seconds = durationIn('seconds')

/** Shorter than Kibana's own format, and in an order that sorts. */
const moment = { id: 'date', params: { pattern: 'YYYY-MM-DD HH:mm:ss.SSS' } } as const
/** Pixels that such a moment takes in a table. */
export const dateWidth = 205

export const envelopeFormats = {
  '@timestamp': moment,
  'kafka.offset': plainNumber,
  'kafka.partition': plainNumber,
  'kafka.timestamp': plainNumber,
}

export const envelopeLabels = {
  '@timestamp': 'Time',
  type: 'Type',
  'kafka.topic': 'Topic',
  'kafka.partition': 'Partition',
  'kafka.offset': 'Offset',
  'kafka.key': 'Key',
}

const errorLabels = { 'error.type': 'Error', 'error.reason': 'Reason' }

/**
 * The data views of an archive. Their ids begin as its indices do, so two archives can share a
 * Kibana.
 */
export interface ArchiveDataViews {
  readonly all: DataViewSpec
  readonly rejected: DataViewSpec
  readonly malformed: DataViewSpec
}

/** What people call an archive: just `Archive` with the usual prefix. */
export function archiveName(indexPrefix: string): string {
  return indexPrefix === 'archive-' ? 'Archive' : `Archive ${indexPrefix.replace(/[-_.]+$/, '')}`
}

export function archiveDataViews(indexPrefix: string): ArchiveDataViews {
  const name = archiveName(indexPrefix)
  const labels = { ...envelopeLabels, ...errorLabels }
  return {
    all: {
      id: `${indexPrefix}all`,
      title: `${indexPrefix}*`,
      name,
      labels,
      formats: envelopeFormats,
    },
    rejected: {
      id: `${indexPrefix}rejected`,
      title: `${indexPrefix}_rejected-*`,
      name: `${name}: rejected by Elasticsearch`,
      labels: { ...labels, value_text: 'Value as text' },
      formats: envelopeFormats,
    },
    malformed: {
      id: `${indexPrefix}malformed`,
      title: `${indexPrefix}_malformed-*`,
      name: `${name}: not JSON`,
      labels,
      formats: envelopeFormats,
    },
  }
}

/** The workers' own documents. */
export const statusDataView: DataViewSpec = {
  id: 'archiver-status',
  title: 'archiver-status-*',
  name: 'Archiver: status of the workers',
  labels: {
    '@timestamp': 'Time',
    kind: 'Kind',
    worker: 'Worker',
    host: 'Host',
    sink: 'Sink',
    topic: 'Topic',
    partition: 'Partition',
    topic_partition: 'Partition',
    records: 'Records',
    bytes: 'Bytes',
    lag: 'Lag',
    oldest_unacknowledged_s: 'Oldest unacknowledged',
    waiting: 'Waits because',
    event: 'Event',
    reason: 'Reason',
    count: 'How often',
  },
  formats: {
    '@timestamp': moment,
    records: wholeNumber,
    bytes,
    lag: wholeNumber,
    count: wholeNumber,
    partition: plainNumber,
    position: plainNumber,
    committed: plainNumber,
    oldest_unacknowledged_s: seconds,
    uptime_s: seconds,
    held_bytes: bytes,
    'memory.rss_bytes': bytes,
    'memory.heap_bytes': bytes,
    'memory.held_bytes': bytes,
    'memory.budget_bytes': bytes,
    'latency_ms.mean': milliseconds,
    'latency_ms.max': milliseconds,
    event_loop_delay_ms: milliseconds,
    cpu_share: { id: 'percent', params: { pattern: '0%' } },
  },
}
