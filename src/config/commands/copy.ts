import { archiveGroup, bucketOptions, inBucket, isInBucket, json } from '../archive.ts'
import { logGroup } from '../log.ts'
import { because, combine, needed, own, requires, that, type ValuesOf } from '../options.ts'
import { type ArchiveRoot, archiveRoot, bucketGroup } from '../s3.ts'

const toBucket = that<'copyTo', ArchiveRoot>('copyTo', 'a --copy-to in a bucket', isInBucket)

/** The options of S3 are for both places, whichever of them is a bucket. */
export const copySet = combine(
  [
    archiveGroup,
    bucketGroup,
    own({
      copyTo: archiveRoot({
        explanation:
          'Where the archive is copied to: an empty place, or a copy of the same archive, which is continued. `archiver copy FROM TO` is short for --archive-dir and --copy-to.',
      }),
      json: json(' a partition'),
    }),
    logGroup,
  ],
  [
    because('where is the archive to be copied? archiver copy FROM TO', needed('copyTo')),
    requires(bucketOptions, inBucket, toBucket),
  ],
)

export type CopyOptions = ValuesOf<typeof copySet>
