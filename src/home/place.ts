import type { BucketSettings } from './s3/settings.ts'

/** A directory, as `--archive-dir` names it. */
export interface DirectoryPlace {
  readonly directory: string
}

/** A bucket, with how it is reached. */
export interface BucketPlace {
  readonly bucket: BucketSettings
  /** The folder on the local disk in which files are staged. */
  readonly scratchDir: string
}

/** Where an archive lives. */
export type ArchivePlace = DirectoryPlace | BucketPlace
