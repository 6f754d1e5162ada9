import { isInBucket } from './archive.ts'
import { bytes, decimal, duration, flag, group, integer, perTopic } from './options.ts'
import type { ArchiveRoot } from './s3.ts'

export const compactMaxBytes = bytes({
  default: '1GiB',
  min: 1024,
  explanation: 'Maximum size of a merged file. An hour with more data keeps several files.',
})

/** How often a worker flushes when nothing is said, in s. */
const usualFlushInterval = { directory: 60, bucket: 300 }

/** Ms from the first record that waits to a flush. */
export function flushIntervalMs(values: {
  readonly flushInterval: number | undefined
  readonly archiveDir: ArchiveRoot
}): number {
  const usual = isInBucket(values.archiveDir)
    ? usualFlushInterval.bucket
    : usualFlushInterval.directory
  return (values.flushInterval ?? usual) * 1000
}

/** What a worker writes. */
export const filesGroup = group('Files', {
  files: flag({ default: true, explanation: 'Write the gzip JSONL archive.' }),
  gzipLevel: integer({
    default: '5',
    min: 1,
    max: 9,
    explanation:
      'Compression level of files: 1 is fast, 9 is small. Level 6 saves 3 % of the bytes and takes 15 % more CPU time than 5.',
  }),
  flushInterval: perTopic(
    decimal({
      min: 0.1,
      max: 86_400,
      unit: 's',
      explanation:
        'Maximum time until records are in committed files and their offsets can be committed. Without it: 60, in a bucket 300, where each flush costs requests.',
    }),
  ),
  flushBytes: perTopic(
    bytes({
      default: '256MiB',
      min: 1024,
      explanation: 'Flush a partition earlier once its lines reach this size.',
    }),
  ),
  compactAfter: duration({
    default: '1h',
    placeholder: '<30m>',
    explanation:
      "Merge an hour's small files, and fold old manifests, this long after the hour ends and its last file was written, e.g. 1h or 30m. 0 disables compaction.",
  }),
  compactMaxBytes,
})
