import assert from 'node:assert/strict'
import { test } from 'node:test'
import { timeoutOf } from '../../../../src/home/s3/connection.ts'
import { partBytes } from '../../../../src/home/s3/multipart.ts'
import { usualSettings } from '../../../../src/home/s3/settings.ts'

test('a body gets the time that a slow line needs for it, beside --s3-timeout', () => {
  const settings = { ...usualSettings, bucket: 'archive', prefix: '' }
  assert.equal(timeoutOf(settings, Buffer.alloc(0)).requestTimeout, 60_000)
  assert.equal(timeoutOf(settings, Buffer.alloc(partBytes)).requestTimeout, 60_000 + 256_000)
})
