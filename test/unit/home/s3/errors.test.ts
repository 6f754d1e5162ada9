import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  explainStore,
  isLostUpload,
  isMissing,
  isPassing,
  isTaken,
} from '../../../../src/home/s3/errors.ts'
import { usualSettings } from '../../../../src/home/s3/settings.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { Proxies } from '../../../../src/runtime/proxies.ts'
import { TunnelRefused } from '../../../../src/runtime/tunnel.ts'

/** An error as the SDK throws it for an answer. */
function refusal(status: number, code: string, more: Record<string, unknown> = {}): Error {
  return Object.assign(new Error('what the store says'), {
    name: code,
    Code: code,
    $metadata: { httpStatusCode: status },
    $response: { headers: {} },
    ...more,
  })
}

/** An error as the SDK throws it without an answer. */
function silence(code: string, message = ''): Error {
  return Object.assign(new Error(message), { code, $metadata: { attempts: 1 } })
}

const proxy = new Proxies({ https_proxy: 'http://proxy:3128' }).of(new URL('https://store'))!

const settings = {
  ...usualSettings,
  bucket: 'archive',
  prefix: 'p',
  region: 'eu-west-1',
  endpoint: 'http://store:9000',
}

describe('what a refusal means', () => {
  it('is that it passes by itself, or not', () => {
    const passing = [
      refusal(503, 'SlowDown'),
      refusal(500, 'InternalError'),
      refusal(200, 'InternalError'),
      refusal(502, 'BadGateway'),
      refusal(429, 'TooManyRequests'),
      refusal(409, 'ConditionalRequestConflict'),
      refusal(409, 'OperationAborted'),
      refusal(400, 'RequestTimeout'),
      refusal(403, 'RequestTimeTooSkewed'),
      refusal(400, 'ExpiredToken'),
      silence('ECONNRESET', 'socket hang up'),
      silence('ECONNREFUSED'),
      silence('ENOTFOUND'),
      Object.assign(new AggregateError([silence('ECONNREFUSED')]), { name: 'AggregateError' }),
      Object.assign(new Error('no answer'), { name: 'TimeoutError' }),
      new TunnelRefused(proxy, 'store:443', 503),
    ]
    for (const error of passing) assert.ok(isPassing(error), error.name)
    const lasting = [
      refusal(403, 'AccessDenied'),
      refusal(404, 'NoSuchBucket'),
      refusal(404, 'NoSuchUpload'),
      refusal(301, 'PermanentRedirect'),
      refusal(412, 'PreconditionFailed'),
      refusal(400, 'InvalidArgument'),
      refusal(501, 'NotImplemented'),
      silence('DEPTH_ZERO_SELF_SIGNED_CERT'),
      new TypeError('a mistake of ours'),
      new TunnelRefused(proxy, 'store:443', 403),
    ]
    for (const error of lasting) assert.ok(!isPassing(error), error.name)
  })

  it('is that a name is taken, an object is not there, or an upload is lost', () => {
    assert.ok(isTaken(refusal(412, 'PreconditionFailed')))
    assert.ok(!isTaken(refusal(409, 'ConditionalRequestConflict')))
    for (const error of [refusal(404, 'NoSuchKey'), refusal(404, 'NotFound')])
      assert.ok(isMissing(error))
    assert.ok(!isMissing(refusal(404, 'NoSuchBucket')))
    for (const code of ['NoSuchUpload', 'InvalidPart', 'InvalidPartOrder'])
      assert.ok(isLostUpload(refusal(code === 'NoSuchUpload' ? 404 : 400, code)), code)
    for (const error of [
      refusal(503, 'SlowDown'),
      refusal(403, 'AccessDenied'),
      refusal(404, 'NoSuchBucket'),
    ])
      assert.ok(!isLostUpload(error))
  })
})

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
    ['nobody there', silence('ECONNREFUSED'), /^no answer from http:\/\/store:9000: ECONNREFUSED/],
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
