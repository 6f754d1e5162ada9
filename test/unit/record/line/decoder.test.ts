import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeLine, valueOfLine } from '../../../../src/record/line/decoder.ts'
import { LineEncoder } from '../../../../src/record/line/encoder.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { binary } from '../../../helpers/arbitraries.ts'

test('a value cannot pass for the envelope', () => {
  for (const value of [
    '{"a":"},\\"value\\":"}',
    '{"x":{"y":1},"value":{"z":2}}',
    '{"x":{},"value_base64":"AAAA"}',
    '{"kafka":{"offset":7,"timestamp":8},"@timestamp":"no"}',
  ]) {
    const records = [{ offset: 5, timestamp: 6, key: null, value: Buffer.from(value), headers: [] }]
    const { lines: line } = new LineEncoder({ from: 'value', path: ['type'] }).encode({
      topic: 'events',
      partition: 3,
      from: 5,
      next: 6,
      records,
    })
    assert.equal(valueOfLine(line)?.toString(), value)
    assert.equal(valueOfLine(line.subarray(0, -1))?.toString(), value)
    const { record } = decodeLine(line)
    assert.equal(record.value?.toString(), value)
    assert.equal(record.offset, 5)
    assert.equal(record.timestamp, 6)
  }
})

test('what is no line of an archive is a clear error', () => {
  const refuses = fc.property(binary, (bytes) => {
    assert.throws(
      () => decodeLine(bytes),
      (error) => error instanceof ArchiverError && error.message.startsWith('not a line'),
    )
  })
  fc.assert(refuses, { numRuns: 200 })
})
