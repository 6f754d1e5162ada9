import type { ArchivePlace } from '../home/place.ts'
import type { Proxies } from '../runtime/proxies.ts'
import {
  combine,
  flag,
  group,
  instant,
  integer,
  list,
  own,
  requires,
  texts,
  that,
  type ValuesOf,
} from './options.ts'
import { type ArchiveRoot, archiveRoot, bucketGroup, bucketSettings, scratchDir } from './s3.ts'

/** How to reach an archive: for every command that reads or writes one. */
export const archiveGroup = group('Files', {
  archiveDir: archiveRoot({
    default: './archive',
    explanation:
      'Root of the gzip JSONL archive: a directory, or s3://bucket/prefix for a bucket. Workers that share partitions share it.',
  }),
})

/** Options that mean nothing without a bucket. */
export const bucketOptions = [
  's3Endpoint',
  's3Region',
  's3PathStyle',
  's3Profile',
  's3RoleArn',
  's3StorageClass',
  's3Tags',
  's3RequestPayer',
  's3ExpectedOwner',
  'scratchDir',
] as const

export const inBucket = that('archiveDir', 'an --archive-dir in a bucket (s3://…)', isInBucket)

/** The archive, in a directory or in a bucket. */
export const archiveSet = combine([archiveGroup, bucketGroup], [requires(bucketOptions, inBucket)])

export type ArchiveValues = ValuesOf<typeof archiveSet>

/** True for `s3://…`. */
export function isInBucket(root: ArchiveRoot): boolean {
  return typeof root !== 'string'
}

/** The place of the archive that these options name. */
export function archivePlace(values: ArchiveValues, proxies?: Proxies): ArchivePlace {
  const { archiveDir } = values
  if (typeof archiveDir === 'string') return { directory: archiveDir }
  return { bucket: bucketSettings(archiveDir, values, proxies), scratchDir: scratchDir(values) }
}

/** Which records of an archive a command is about. */
export const selectionSet = own({
  type: texts({
    explanation:
      'Only records of these types. _malformed and _untyped select records without a type; a type that messages call _untyped is %5Funtyped.',
  }),
  topic: list({ placeholder: '<a,b,…>', explanation: 'Only records of these topics.' }),
  partition: integer({ min: 0, explanation: 'Only records of this partition.' }),
  from: instant({ explanation: 'Only records with this Kafka timestamp or a later one, in UTC.' }),
  to: instant({ explanation: 'Only records with an earlier Kafka timestamp, in UTC.' }),
})

/** The switch `--json`; `what` says what an object stands for. */
export function json(what: string) {
  return flag({ default: false, explanation: `Print one JSON object${what}.` })
}

/** The switch `--dry-run`. */
export const dryRun = flag({
  default: false,
  explanation: 'Only show what would be done; change nothing.',
})
