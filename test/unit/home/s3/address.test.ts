import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bucketUrl, isBucketUrl, parseBucketUrl } from '../../../../src/home/s3/address.ts'

test('a bucket and a prefix are read from a URL', () => {
  const urls = {
    's3://archive': { bucket: 'archive', prefix: '' },
    's3://archive/': { bucket: 'archive', prefix: '' },
    's3://archive/prod': { bucket: 'archive', prefix: 'prod' },
    's3://my.bucket-1/a/b=c/d': { bucket: 'my.bucket-1', prefix: 'a/b=c/d' },
    's3://archive/prod/': { bucket: 'archive', prefix: 'prod' },
  }
  for (const [url, address] of Object.entries(urls))
    assert.deepEqual(parseBucketUrl(url), address, url)
})

test('what is no place for an archive is refused with the reason', () => {
  const refused: Readonly<Record<string, RegExp>> = {
    's3:/archive': /does not begin with s3:\/\//,
    's3a://archive': /does not begin with s3:\/\//,
    'arn:aws:s3:::archive': /does not begin with s3:\/\//,
    'S3://archive': /does not begin with s3:\/\//,
    's3://': /names no bucket/,
    's3:///prefix': /names no bucket/,
    's3://a_/x': /names a bucket that cannot exist/,
    's3://a..b': /names a bucket that cannot exist/,
    's3://user:secret@bucket': /names a bucket that cannot exist/,
    's3://minio.example:9000/archive/prod': /names a host in place of a bucket/,
    's3://archive.s3.eu-central-1.amazonaws.com/prod':
      /names a host .*--s3-endpoint names the host/,
    's3://ab': /names a bucket that cannot exist/,
    's3://archive//x': /has an empty part/,
    's3://archive/x//y': /has an empty part/,
    's3://archive/../x': /"\.\."/,
    's3://archive/.': /"\.\."/,
    's3://archive/a*b': /other readers of the bucket misread/,
    's3://archive/a?b': /other readers of the bucket misread/,
    's3://archive/a b': /other readers of the bucket misread/,
    's3://archive/a%20b': /other readers of the bucket misread/,
    's3://archive/größe': /other readers of the bucket misread/,
    's3://archive/a\nb': /other readers of the bucket misread/,
    [`s3://archive/${'x'.repeat(401)}`]: /more than 400 bytes/,
  }
  for (const [url, why] of Object.entries(refused)) {
    assert.throws(() => parseBucketUrl(url), { code: 'USAGE', message: why }, url)
  }
})

test('an address that was read prints as a URL that reads the same', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      let address: ReturnType<typeof parseBucketUrl>
      try {
        address = parseBucketUrl(`s3://bucket/${text}`)
      } catch {
        return
      }
      assert.deepEqual(parseBucketUrl(bucketUrl(address)), address)
    }),
  )
})

test('a bucket is distinguished from a directory, however it is written', () => {
  for (const url of ['s3://a', 'S3://a', 's3:/a', 's3a://a', 's3n://a', 'arn:aws:s3:::a'])
    assert.ok(isBucketUrl(url))
  for (const path of ['./s3', '/srv/s3:', 's3', 'x/s3://y']) assert.ok(!isBucketUrl(path))
})
