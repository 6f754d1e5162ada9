import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isLostUpload, isMissing, isPassing, isTaken } from '../../../../src/home/s3/errors.ts'
import { Proxies } from '../../../../src/runtime/proxies.ts'
import { TunnelRefused } from '../../../../src/runtime/tunnel.ts'
import { refusal, silence } from '../../../helpers/store-errors.ts'

const proxy = new Proxies({ https_proxy: 'http://proxy:3128' }).of(new URL('https://store'))!

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
