import type { ArchivePlace } from '../../home/place.ts'
import type { Proxies } from '../../runtime/proxies.ts'
import {
  archiveGroup,
  archivePlace,
  bucketOptions,
  inBucket,
  isInBucket,
  json,
} from '../archive.ts'
import { logGroup } from '../log.ts'
import {
  because,
  combine,
  needed,
  overridden,
  overrides,
  own,
  requires,
  that,
  type ValuesOf,
} from '../options.ts'
import { type ArchiveRoot, archiveRoot, bucketGroup, storeGroup } from '../s3.ts'

const toBucket = that<'copyTo', ArchiveRoot>('copyTo', 'a --copy-to in a bucket', isInBucket)

/** How the target is reached, where that differs from the source. */
const targetGroup = overrides('to', storeGroup, {
  title: 'Bucket of the target of a copy',
  of: 'the target of the copy',
})
const targetOptions = Object.keys(targetGroup.options) as (keyof typeof targetGroup.options)[]

/** The options of S3 are for both places, whichever of them is a bucket. */
export const copySet = combine(
  [
    archiveGroup,
    bucketGroup,
    targetGroup,
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
    requires(targetOptions, toBucket),
  ],
)

export type CopyOptions = ValuesOf<typeof copySet>

/** The place that an archive is copied to. */
export function copyTarget(options: CopyOptions, proxies?: Proxies): ArchivePlace {
  const place = archivePlace(
    { ...options, ...overridden('to', storeGroup, options), archiveDir: options.copyTo! },
    proxies,
  )
  return 'bucket' in place ? { ...place, bucket: { ...place.bucket, isCopyTarget: true } } : place
}
