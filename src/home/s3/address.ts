import { ArchiverError } from '../../runtime/errors.ts'

/** A place in an object store: every name of the archive is a key that begins with the prefix. */
export interface BucketAddress {
  readonly bucket: string
  /** Without a slash at either end; empty for the whole bucket. */
  readonly prefix: string
}

/** True for what is meant as a bucket, also when it is written wrongly. */
export function isBucketUrl(text: string): boolean {
  return /^(s3[an]?|arn):/i.test(text)
}

/** What `--archive-dir` allows for a bucket. */
export const bucketUrlForm = 's3://bucket or s3://bucket/prefix'

/**
 * A key has at most 1024 bytes (Amazon S3, "Naming Amazon S3 objects"). The longest name of an
 * archive has about 600: a type of 200, a topic of 249, a day, an hour, a partition, two offsets.
 */
export const maxPrefixBytes = 400

/**
 * Reads `s3://bucket/prefix`.
 *
 * @throws ArchiverError `USAGE` that says what is wrong with it.
 */
export function parseBucketUrl(text: string): BucketAddress {
  const refuse = (why: string) =>
    new ArchiverError('USAGE', `${JSON.stringify(text)} ${why}; expected ${bucketUrlForm}`, {
      expected: `${bucketUrlForm}; it ${why}`,
    })
  const [, bucket, rest = ''] = /^s3:\/\/([^/]*)(?:\/(.*))?$/s.exec(text) ?? []
  if (bucket === undefined) throw refuse('does not begin with s3://')
  if (/:\d+$|(^|\.)amazonaws\.com$/.test(bucket))
    throw refuse('names a host in place of a bucket; --s3-endpoint names the host')
  // Amazon's names have 3 to 63 lower-case characters; older buckets and other stores allow more.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/.test(bucket) || bucket.includes('..'))
    throw refuse(bucket === '' ? 'names no bucket' : 'names a bucket that cannot exist')
  const prefix = rest.replace(/\/$/, '')
  // What globs, shells and URLs read as themselves: readers list the archive by glob.
  if (!/^[A-Za-z0-9!_.'()=+:@,&$~/-]*$/.test(prefix))
    throw refuse('has a character in its prefix that other readers of the bucket misread')
  if (prefix !== '' && prefix.split('/').some((part) => part === '' || /^\.\.?$/.test(part)))
    throw refuse('has an empty part, "." or ".." in its prefix')
  if (Buffer.byteLength(prefix) > maxPrefixBytes)
    throw refuse(`has a prefix of more than ${maxPrefixBytes} bytes`)
  return { bucket, prefix }
}

/** `s3://bucket/prefix`, for people. */
export function bucketUrl({ bucket, prefix }: BucketAddress): string {
  return prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}`
}
