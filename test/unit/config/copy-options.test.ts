import assert from 'node:assert/strict'
import { test } from 'node:test'
import { archivePlace } from '../../../src/config/archive.ts'
import { copySet, copyTarget } from '../../../src/config/commands/copy.ts'
import { readOptions, related, variableName } from '../../../src/config/options.ts'
import { storeGroup } from '../../../src/config/s3.ts'
import type { BucketSettings } from '../../../src/home/s3/settings.ts'

type Env = Readonly<Record<string, string>>

function read(argv: readonly string[], env: Env = {}) {
  const words = ['--archive-dir', 's3://old/a', '--copy-to', 's3://new/b', ...argv]
  return related(copySet, readOptions(copySet.options, { argv: words, env }))
}

function target(argv: readonly string[], env: Env = {}): BucketSettings {
  const place = copyTarget(read(argv, env))
  assert.ok('bucket' in place)
  return place.bucket
}

const source = [
  ...['--s3-endpoint', 'http://minio:9000', '--s3-path-style', '--s3-region', 'eu-west-1'],
  ...['--s3-role-arn', 'arn:aws:iam::123456789012:role/old', '--s3-external-id', 'x'],
  ...['--s3-sse', 'aws:kms', '--s3-kms-key', 'k', '--s3-tags', 'a=1', '--s3-checksum', 'sha256'],
  ...['--s3-profile', 'old', '--s3-expected-owner', '123456789012', '--s3-timeout', '7'],
  ...['--s3-storage-class', 'STANDARD_IA', '--s3-request-payer', '--scratch-dir', '/scratch'],
]

test('without options of its own a target has those of the source', () => {
  const place = archivePlace(read(source))
  assert.ok('bucket' in place)
  const { isCopyTarget, ...settings } = target(source)
  assert.deepEqual(settings, { ...place.bucket, bucket: 'new', prefix: 'b' })
  assert.equal(isCopyTarget, true)
  assert.equal(place.bucket.isCopyTarget, undefined)
})

test('a target has options of its own, one by one', () => {
  const settings = target([
    ...source,
    ...['--to-s3-endpoint', 'https://other/', '--to-s3-region', 'us-west-2'],
    ...['--no-to-s3-path-style', '--no-to-s3-request-payer', '--to-s3-profile', 'new'],
    ...['--to-s3-tags', 'b=2', '--to-s3-checksum', 'none', '--to-s3-timeout', '9'],
  ])
  assert.equal(settings.endpoint, 'https://other')
  assert.equal(settings.region, 'us-west-2')
  assert.equal(settings.pathStyle, false)
  assert.equal(settings.requesterPays, false)
  assert.equal(settings.profile, 'new')
  assert.deepEqual(settings.tags, { b: '2' })
  assert.equal(settings.checksum, 'none')
  assert.equal(settings.requestTimeoutMs, 9000)
  assert.equal(settings.storageClass, 'STANDARD_IA')
})

test('each option of the source can be left out for the target', () => {
  const settings = target(
    [
      ...source,
      ...['--no-to-s3-endpoint', '--no-to-s3-region', '--no-to-s3-profile', '--no-to-s3-role-arn'],
      ...['--no-to-s3-tags', '--no-to-s3-storage-class', '--to-s3-sse', 'none'],
    ],
    { ARCHIVER_TO_S3_EXPECTED_OWNER: 'false', ARCHIVER_NO_TO_S3_PATH_STYLE: 'true' },
  )
  const { endpoint, region, profile, roleArn, externalId, storageClass, expectedOwner } = settings
  assert.deepEqual(
    [endpoint, region, profile, roleArn, externalId, storageClass, expectedOwner],
    new Array(7).fill(undefined),
  )
  assert.deepEqual(settings.tags, {})
  assert.equal(settings.encryption, 'bucket')
  // Keys without what they are for would be refused by the store.
  assert.equal(settings.kmsKey, undefined)
  assert.equal(settings.pathStyle, false)
})

test('a role has no external id of another one, an encryption no key of another one', () => {
  const settings = target([
    ...source,
    ...['--to-s3-role-arn', 'arn:aws:iam::123456789012:role/new', '--to-s3-sse', 'aws:kms'],
  ])
  assert.equal(settings.roleArn, 'arn:aws:iam::123456789012:role/new')
  assert.equal(settings.externalId, undefined)
  assert.equal(settings.encryption, 'aws:kms')
  assert.equal(settings.kmsKey, undefined)
})

test('each option of a bucket exists for a target, as a flag and as a variable', () => {
  for (const key of Object.keys(storeGroup.options)) {
    const own = `to${key.charAt(0).toUpperCase()}${key.slice(1)}`
    assert.ok(own in copySet.options, own)
    assert.match(variableName(own), /^ARCHIVER_TO_S3_/)
  }
})

test('what cannot be meant is refused in a line that names the option of the target', () => {
  const refused: readonly [readonly string[], RegExp][] = [
    [['--to-s3-endpoint', 'minio:9000'], /^--to-s3-endpoint: .*http:\/\/host:port/],
    [['--to-s3-endpoint', 'http://key:hunter2@minio:9000'], /^--to-s3-endpoint: /],
    [['--to-s3-external-id', 'x'], /^--to-s3-external-id needs --to-s3-role-arn$/],
    [['--to-s3-kms-key', 'k'], /^--to-s3-kms-key needs --to-s3-sse aws:kms or aws:kms:dsse$/],
    [['--to-s3-sse', 'AES256', '--to-s3-kms-key', 'k'], /^--to-s3-kms-key needs --to-s3-sse aws/],
    [['--to-s3-storage-class', 'GLACIER'], /^--to-s3-storage-class: .*read at once/],
    [['--to-s3-tags', 'a=1,a=2'], /^--to-s3-tags: .*each key once/],
    [['--to-s3-checksum', 'md5'], /^--to-s3-checksum: /],
    [['--to-s3-expected-owner', '123'], /^--to-s3-expected-owner: .*12 digits/],
    [['--to-s3-timeout', '0'], /^--to-s3-timeout: /],
    [['--to-s3-profile', ''], /^--to-s3-profile: /],
    [['--to-scratch-dir', '/x'], /^--to-scratch-dir is not an option/],
  ]
  for (const [argv, message] of refused) {
    assert.throws(() => read(argv), { code: 'USAGE', message }, argv.join(' '))
    assert.throws(
      () => read(argv),
      (error: Error) => !error.message.includes('hunter2'),
    )
  }
  for (const argv of [['--to-s3-region', 'x'], ['--to-s3-sse', 'none'], ['--to-s3-path-style']]) {
    const words = ['--archive-dir', 's3://old/a', '--copy-to', './here', ...argv]
    assert.throws(
      () => related(copySet, readOptions(copySet.options, { argv: words, env: {} })),
      { message: /^--to-s3-\S+ needs a --copy-to in a bucket$/ },
      argv.join(' '),
    )
  }
})
