import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { explainStore } from '../../../../src/home/s3/explain.ts'
import { usualSettings } from '../../../../src/home/s3/settings.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { refusal, silence } from '../../../helpers/store-errors.ts'

const settings = {
  ...usualSettings,
  bucket: 'archive',
  prefix: 'p',
  region: 'eu-west-1',
  endpoint: 'http://store:9000',
}

describe('one line for a person', () => {
  const put = { operation: 'PutObject', key: 'p/_archive.json' }
  const lines: readonly [string, Error, RegExp][] = [
    [
      'bucket',
      refusal(404, 'NoSuchBucket'),
      /^there is no bucket archive at http:\/\/store:9000: make it/,
    ],
    ['key', refusal(403, 'InvalidAccessKeyId'), /does not know the access key/],
    ['secret', refusal(403, 'SignatureDoesNotMatch'), /does not accept the secret key/],
    [
      'right',
      refusal(403, 'AccessDenied'),
      /does not allow s3:PutObject on s3:\/\/archive\/p\/_archive\.json/,
    ],
    [
      'role',
      Object.assign(refusal(403, 'AccessDenied'), {
        message: 'User: arn:aws:iam::1:user/a is not authorized to perform: sts:AssumeRole on …',
      }),
      /^the credentials that were found may not assume the role: User: arn.*change the trust policy/,
    ],
    [
      'region',
      refusal(301, 'PermanentRedirect', {
        $response: { headers: { 'x-amz-bucket-region': 'us-west-2' } },
      }),
      /bucket archive is in region us-west-2, not in eu-west-1: give --s3-region us-west-2/,
    ],
    [
      'region in the body',
      refusal(400, 'AuthorizationHeaderMalformed', { Region: 'us-west-2' }),
      /--s3-region us-west-2/,
    ],
    [
      'clock',
      refusal(403, 'RequestTimeTooSkewed', {
        $response: { headers: { date: new Date(Date.now() - 3_600_000).toUTCString() } },
      }),
      /clock of this machine differs .*by 3[56]\d\d s\): set it/,
    ],
    [
      'clock, by a HEAD',
      refusal(403, '403', {
        $response: { headers: { date: new Date(Date.now() + 3_600_000).toUTCString() } },
      }),
      /gave no reason; the clock of this machine differs .*by -3[56]\d\d s\): set it .*s3:PutObject/,
    ],
    [
      'right, by a HEAD at the right time',
      refusal(403, '403', { $response: { headers: { date: new Date().toUTCString() } } }),
      /does not allow s3:PutObject/,
    ],
    ['token', refusal(400, 'ExpiredToken'), /session token that was found has expired/],
    [
      'no credentials',
      Object.assign(new Error('x'), { name: 'CredentialsProviderError' }),
      /no credentials for the bucket were found: give AWS_ACCESS_KEY_ID/,
    ],
    ['KMS', refusal(400, 'KMS.DisabledException'), /cannot encrypt .*--s3-kms-key/],
    ['storage class', refusal(400, 'InvalidStorageClass'), /--s3-storage-class/],
    ['a store that lacks it', refusal(501, 'NotImplemented'), /does not know PutObject/],
    ['name', silence('ENOTFOUND'), /is not known \(ENOTFOUND\): check --s3-endpoint/],
    [
      'nobody there',
      silence('ECONNREFUSED'),
      /^no answer from http:\/\/store:9000: ECONNREFUSED; is it running, and is --s3-endpoint right\?$/,
    ],
    [
      'certificate',
      silence('DEPTH_ZERO_SELF_SIGNED_CERT'),
      /certificate of .* is not trusted .*NODE_EXTRA_CA_CERTS/,
    ],
    ['protocol', silence('EPROTO'), /check http or https in --s3-endpoint/],
    [
      'anything else',
      refusal(418, 'Teapot'),
      /refused PutObject of s3:\/\/archive\/p\/_archive\.json: 418 Teapot: what the store says/,
    ],
  ]
  for (const [what, error, message] of lines) {
    it(`names ${what}`, () => {
      const explained = explainStore(settings, put, error)
      assert.ok(explained instanceof ArchiverError)
      assert.match(explained.message, message)
      assert.ok(!explained.message.includes('\n'))
    })
  }

  it('is UNREACHABLE only when nothing answered', () => {
    assert.equal(explainStore(settings, put, silence('ECONNREFUSED')).code, 'UNREACHABLE')
    assert.equal(explainStore(settings, put, refusal(403, 'AccessDenied')).code, 'ARCHIVE_UNUSABLE')
  })

  it('keeps nothing of a signature, which carries the request that was signed', () => {
    const error = refusal(403, 'SignatureDoesNotMatch', { StringToSign: 'AWS4-HMAC secret' })
    const explained = explainStore(settings, put, error)
    assert.equal(explained.cause, undefined)
    assert.doesNotMatch(JSON.stringify(explained), /AWS4-HMAC/)
  })
})
