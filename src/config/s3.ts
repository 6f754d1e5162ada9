import { tmpdir } from 'node:os'
import {
  type BucketAddress,
  bucketUrlForm,
  isBucketUrl,
  parseBucketUrl,
} from '../home/s3/address.ts'
import { type BucketSettings, usualSettings } from '../home/s3/settings.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import type { Proxies } from '../runtime/proxies.ts'
import {
  addressIn,
  combine,
  directory,
  flag,
  group,
  httpUrl,
  integer,
  is,
  kind,
  listKind,
  oneOf,
  requires,
  text,
  url,
  type ValuesOf,
} from './options.ts'

const title = 'Bucket'

/** How a bucket is reached, and what its objects are stored with. */
export const storeGroup = group(
  title,
  {
    s3Endpoint: url(
      {
        placeholder: '<https://host:port>',
        explanation:
          'Address of the object store. Without it: Amazon S3. Credentials come from the usual places of AWS: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, SSO, a web identity, the role of a container or of an instance.',
      },
      endpoint,
    ),
    s3Region: text({
      placeholder: '<region>',
      check: checkRegion,
      explanation:
        'Region of the bucket. Without it: that of AWS_REGION or of the profile; us-east-1 with --s3-endpoint.',
    }),
    s3PathStyle: flag({
      default: false,
      explanation:
        'Name the bucket in the path (https://host/bucket) and not in the host (https://bucket.host). Most stores other than Amazon S3 need this.',
    }),
    s3Profile: text({
      placeholder: '<name>',
      explanation:
        'Profile of the AWS configuration files whose credentials and region are used, before variables. Without it: AWS_PROFILE.',
    }),
    s3RoleArn: text({
      placeholder: '<arn:…>',
      check: checkArn,
      explanation: 'Role to assume with the credentials that are found.',
    }),
    s3ExternalId: text({
      placeholder: '<id>',
      explanation: 'External id that this role asks for.',
    }),
    s3Sse: oneOf(['none', 'AES256', 'aws:kms', 'aws:kms:dsse'], {
      default: 'none',
      explanation:
        'Server-side encryption that each write asks for. none: as the bucket has it by default.',
    }),
    s3KmsKey: text({
      placeholder: '<key>',
      explanation: 'Key of AWS KMS, by id or ARN. Without it: the default key of the account.',
    }),
    s3StorageClass: text({
      placeholder: '<class>',
      check: checkStorageClass,
      explanation:
        'Storage class of data files, e.g. STANDARD_IA or INTELLIGENT_TIERING. The commit log stays in the standard class.',
    }),
    s3Tags: tags({ explanation: 'Tags of every object, e.g. team=data,env=prod.' }),
    s3Checksum: oneOf(['none', 'crc32', 'crc32c', 'sha256'], {
      default: 'none',
      explanation:
        'Checksum that goes with each body and is stored. none: bodies are verified by their signature alone, which every store understands. A bucket with Object Lock needs one.',
    }),
    s3RequestPayer: flag({
      default: false,
      explanation: 'Pay for requests to a bucket whose owner lets requesters pay.',
    }),
    s3ExpectedOwner: text({
      placeholder: '<account>',
      check: checkAccount,
      explanation: 'Refuse a bucket of any other AWS account than this.',
    }),
    s3Timeout: integer({
      default: String(usualSettings.requestTimeoutMs / 1000),
      min: 1,
      unit: 's',
      explanation:
        'Maximum time for an answer; then the request is sent again. A body gets a second more for each 64 KiB.',
    }),
  },
  [
    requires(['s3ExternalId'], 's3RoleArn'),
    requires(['s3KmsKey'], is('s3Sse', 'aws:kms', 'aws:kms:dsse')),
  ],
)

/** What the bucket needs that `--archive-dir s3://…` names. */
export const bucketGroup = combine([
  storeGroup,
  group(title, {
    scratchDir: directory({
      explanation:
        'Local directory in which files are staged until they are uploaded. It needs room for --flush-bytes of each partition. Without it: the directory for temporary files.',
    }),
  }),
])

/** A path, or a place in a bucket. */
export type ArchiveRoot = string | BucketAddress

const path = directory({ explanation: '', default: '.' })

/** A directory, as `directory` takes it, or `s3://bucket/prefix`. */
export const archiveRoot = kind<ArchiveRoot>(
  () => '<directory | s3://bucket/prefix>',
  () => (value) => {
    if (!isBucketUrl(value)) return directoryIn(value)
    try {
      return parseBucketUrl(value)
    } catch (error) {
      throw error instanceof ArchiverError ? new Error(String(error.context.expected)) : error
    }
  },
)

/** @throws Error whose message says what is allowed: for a URL, also how a bucket is written. */
function directoryIn(value: string): string {
  try {
    return path.parse(value)
  } catch (error) {
    if (!/^[a-z][a-z0-9+.-]+:\//i.test(value)) throw error
    throw new Error(`${messageOf(error)}, or ${bucketUrlForm}`)
  }
}

/** The bucket of these options. */
export function bucketSettings(
  address: BucketAddress,
  values: ValuesOf<typeof bucketGroup>,
  proxies?: Proxies,
): BucketSettings {
  return {
    ...address,
    proxies,
    endpoint: values.s3Endpoint,
    region: values.s3Region,
    pathStyle: values.s3PathStyle,
    profile: values.s3Profile,
    roleArn: values.s3RoleArn,
    externalId: values.s3ExternalId,
    encryption: values.s3Sse === 'none' ? 'bucket' : values.s3Sse,
    kmsKey: values.s3KmsKey,
    storageClass: values.s3StorageClass,
    tags: Object.fromEntries(values.s3Tags ?? []),
    checksum: values.s3Checksum,
    requesterPays: values.s3RequestPayer,
    expectedOwner: values.s3ExpectedOwner,
    requestTimeoutMs: values.s3Timeout * 1000,
  }
}

/** The directory in which files of a bucket are staged. */
export function scratchDir({ scratchDir: chosen }: ValuesOf<typeof bucketGroup>): string {
  return chosen ?? tmpdir()
}

/** @throws Error whose message says what is allowed, and shows nothing of the text. */
function endpoint(value: string): string {
  const { url: address, username } = addressIn(value, httpUrl)
  if (username !== undefined || /[?#]/.test(address.href))
    throw new Error(`${httpUrl.expected}, without credentials: those come from the environment`)
  return address.href.replace(/\/$/, '')
}

function checkRegion(region: string): void {
  if (!/^[a-z0-9-]+$/i.test(region)) throw new Error('a region such as eu-central-1')
}

function checkArn(arn: string): void {
  if (!/^arn:[a-z0-9-]+:iam::\d{12}:role\/.+$/.test(arn))
    throw new Error('the ARN of a role such as arn:aws:iam::123456789012:role/archiver')
}

function checkStorageClass(name: string): void {
  if (!/^[A-Z0-9_]+$/.test(name)) throw new Error('a storage class such as STANDARD_IA')
  // Their objects must be restored, which takes hours, before anything reads them.
  if (/^(GLACIER|DEEP_ARCHIVE)$/.test(name))
    throw new Error('a class whose objects can be read at once, e.g. STANDARD_IA or GLACIER_IR')
}

function checkAccount(account: string): void {
  if (!/^\d{12}$/.test(account)) throw new Error('the 12 digits of an AWS account')
}

/** Amazon S3, "Categorizing your storage using tags". */
const maxTags = 10
const tagText = /^[\p{L}\p{N} _.:/=+\-@]*$/u

function tags(described: { readonly explanation: string }) {
  return listKind<readonly [string, string]>('<key=value,…>', (elements) => {
    const pairs = elements.map((element): readonly [string, string] => {
      const [, key = '', value = ''] = /^([^=]*)=(.*)$/s.exec(element.trim()) ?? []
      if (key === '' || key.length > 128 || value.length > 256)
        throw new Error('key=value, keys of up to 128 and values of up to 256 characters')
      if (!tagText.test(key) || !tagText.test(value))
        throw new Error('key=value of letters, digits, spaces and _ . : / = + - @')
      return [key, value]
    })
    if (new Set(pairs.map(([key]) => key)).size !== pairs.length)
      throw new Error('key=value, each key once')
    if (pairs.length > maxTags) throw new Error(`up to ${maxTags} tags`)
    return pairs
  })(described)
}
