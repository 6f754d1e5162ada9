import assert from 'node:assert/strict'
import { test } from 'node:test'
import { archivePlace, archiveSet } from '../../../src/config/archive.ts'
import { flushIntervalMs } from '../../../src/config/files.ts'
import { readOptions, related } from '../../../src/config/options.ts'

function read(...argv: string[]) {
  return related(archiveSet, readOptions(archiveSet.options, { argv, env: {} }))
}

test('a directory is a directory, and s3:// a bucket with what the options say of it', () => {
  assert.deepEqual(archivePlace(read('--archive-dir', './s3')), { directory: './s3' })
  const place = archivePlace(
    read(
      ...['--archive-dir', 's3://archive/prod', '--s3-endpoint', 'http://minio:9000/'],
      ...[
        '--s3-path-style',
        '--s3-region',
        'eu-west-1',
        '--s3-sse',
        'aws:kms',
        '--s3-kms-key',
        'k',
      ],
      ...['--s3-tags', 'team=data,env=a=b', '--s3-checksum', 'sha256', '--scratch-dir', '/scratch'],
    ),
  )
  assert.ok('bucket' in place)
  assert.equal(place.scratchDir, '/scratch')
  const { bucket, prefix, endpoint, pathStyle, region, encryption, kmsKey, tags } = place.bucket
  assert.deepEqual(
    { bucket, prefix, endpoint, pathStyle, region, encryption, kmsKey, tags },
    {
      bucket: 'archive',
      prefix: 'prod',
      endpoint: 'http://minio:9000',
      pathStyle: true,
      region: 'eu-west-1',
      encryption: 'aws:kms',
      kmsKey: 'k',
      tags: { team: 'data', env: 'a=b' },
    },
  )
})

test('what cannot be meant is refused in a line that names the option', () => {
  const bucket = ['--archive-dir', 's3://archive/a']
  const refused: readonly [readonly string[], RegExp][] = [
    [['--archive-dir', 'S3://archive'], /--archive-dir: .*s3:\/\/bucket/],
    [['--archive-dir', 'gs://archive'], /--archive-dir: .*without gs:\/\//],
    [['--s3-region', 'eu-west-1'], /--s3-region needs an --archive-dir in a bucket/],
    [['--scratch-dir', '/x'], /--scratch-dir needs an --archive-dir in a bucket/],
    [[...bucket, '--s3-endpoint', 'minio:9000'], /--s3-endpoint: .*http:\/\/host:port/],
    [[...bucket, '--s3-endpoint', 'http://minio:9000/?x'], /--s3-endpoint: /],
    [[...bucket, '--s3-external-id', 'x'], /--s3-external-id needs --s3-role-arn/],
    [[...bucket, '--s3-role-arn', 'archiver'], /--s3-role-arn: .*the ARN of a role/],
    [[...bucket, '--s3-kms-key', 'k'], /--s3-kms-key needs --s3-sse aws:kms/],
    [[...bucket, '--s3-sse', 'AES256', '--s3-kms-key', 'k'], /--s3-kms-key needs --s3-sse aws:kms/],
    [[...bucket, '--s3-storage-class', 'GLACIER'], /--s3-storage-class: .*read at once/],
    [[...bucket, '--s3-tags', 'team'], /--s3-tags: .*key=value/],
    [[...bucket, '--s3-tags', 'a=1,a=2'], /--s3-tags: .*each key once/],
    [[...bucket, '--s3-checksum', 'md5'], /--s3-checksum: /],
    [[...bucket, '--s3-expected-owner', '123'], /--s3-expected-owner: .*12 digits/],
    [[...bucket, '--s3-timeout', '0'], /--s3-timeout: /],
  ]
  for (const [argv, message] of refused)
    assert.throws(() => read(...argv), { code: 'USAGE', message }, argv.join(' '))
})

test('no message shows credentials in an endpoint, or in the place of a bucket', () => {
  const refused: readonly (readonly [string, readonly string[]])[] = [
    ['--s3-endpoint', ['--archive-dir', 's3://archive/a', '--s3-endpoint', 'http://k:hunter2@s:9']],
    ['--archive-dir', ['--archive-dir', 's3://key:hunter2@archive/a']],
    ['--archive-dir', ['--archive-dir', 'https://key:hunter2@archive.example/a']],
  ]
  for (const [named, argv] of refused) {
    assert.throws(
      () => read(...argv),
      (error: Error) => !error.message.includes('hunter2') && error.message.startsWith(named),
      argv.join(' '),
    )
  }
})

test('a flush waits 60 s for a directory and 300 s for a bucket, unless an option says otherwise', () => {
  const inBucket = { bucket: 'a', prefix: '' }
  assert.equal(flushIntervalMs({ flushInterval: undefined, archiveDir: './a' }), 60_000)
  assert.equal(flushIntervalMs({ flushInterval: undefined, archiveDir: inBucket }), 300_000)
  assert.equal(flushIntervalMs({ flushInterval: 10, archiveDir: inBucket }), 10_000)
})
