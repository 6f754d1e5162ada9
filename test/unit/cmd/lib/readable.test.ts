import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readableBytes, readableTimestamp } from '../../../../src/cmd/lib/readable.ts'

test('bytes become one safe line', () => {
  assert.equal(readableBytes(null), 'null')
  assert.equal(readableBytes(Buffer.from('{"a":"ü"}')), '{"a":"ü"}')
  assert.equal(readableBytes(Buffer.from('\x1b[2Ja\nb\u202e')), '\\u001b[2Ja\\u000ab\\u202e')
  assert.equal(readableBytes(Buffer.from([0xff, 0x00])), 'base64:/wA=')
  assert.equal(readableBytes(Buffer.from('\ufeffx')), '\ufeffx')
})

test('no bytes bring a control character', () => {
  const property = fc.property(fc.uint8Array(), (bytes) =>
    assert.doesNotMatch(readableBytes(Buffer.from(bytes)), /\p{Cc}/u),
  )
  fc.assert(property, { numRuns: 500 })
})

test('timestamps are ISO 8601 if there is such a time', () => {
  assert.equal(readableTimestamp('1564629783000'), '2019-08-01T03:23:03.000Z')
  assert.equal(readableTimestamp('-1'), '-1')
  assert.equal(readableTimestamp('9223372036854775807'), '9223372036854775807')
})
