import type { Proxies } from '../../runtime/proxies.ts'
import type { BucketAddress } from './address.ts'

/** How objects are encrypted at rest: as the bucket says, or as each request says. */
export type Encryption = 'bucket' | 'AES256' | 'aws:kms' | 'aws:kms:dsse'

/** Which checksum goes with each body, beside the SHA-256 that the signature covers. */
export type ChecksumChoice = 'none' | 'crc32' | 'crc32c' | 'sha256'

/** How a bucket is reached, and what every object of the archive gets. */
export interface BucketSettings extends BucketAddress {
  /** Absent: Amazon's own of the region. */
  readonly endpoint?: string | undefined
  /** Absent: that of the environment or profile; `us-east-1` when an endpoint is named. */
  readonly region?: string | undefined
  /** `https://endpoint/bucket/key` in place of `https://bucket.endpoint/key`. */
  readonly pathStyle: boolean
  /** Of the AWS configuration files; absent: the credentials that the SDK finds. */
  readonly profile?: string | undefined
  /** A role to take on with these credentials. */
  readonly roleArn?: string | undefined
  readonly externalId?: string | undefined
  readonly encryption: Encryption
  readonly kmsKey?: string | undefined
  /** Of data files; the commit log is read at every take-over and stays in the standard class. */
  readonly storageClass?: string | undefined
  readonly tags: Readonly<Record<string, string>>
  readonly checksum: ChecksumChoice
  readonly requesterPays: boolean
  readonly expectedOwner?: string | undefined
  /** A request that takes longer is given up and sent again, in ms. */
  readonly requestTimeoutMs: number
  /** Absent: every request goes straight to its host. */
  readonly proxies?: Proxies | undefined
  /** True for the bucket that a copy is made to: its options have names of their own. */
  readonly isCopyTarget?: boolean
}

/** What is usual when nothing else is asked for. */
export const usualSettings = {
  pathStyle: false,
  encryption: 'bucket',
  tags: {},
  checksum: 'none',
  requesterPays: false,
  requestTimeoutMs: 60_000,
} as const satisfies Partial<BucketSettings>

/** What people call the store. */
export function storeTitle({ endpoint, region }: BucketSettings): string {
  return endpoint ?? `Amazon S3 in ${region ?? 'the region of the profile'}`
}

/** The store, as far as a proxy for it is concerned. */
export function storeUrl({ endpoint, region }: BucketSettings): string {
  return endpoint ?? `https://s3.${region ?? 'us-east-1'}.amazonaws.com`
}

/** A message that names options of a bucket, with their names if it is the target of a copy. */
export function withOptionNames({ isCopyTarget }: BucketSettings, message: string): string {
  if (isCopyTarget !== true) return message
  return message.replaceAll('--s3-', '--to-s3-').replaceAll('--archive-dir', '--copy-to')
}
