import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeLine, envelopeOfLine } from '../../../../src/record/line/decoder.ts'
import { LineEncoder } from '../../../../src/record/line/encoder.ts'
import { LineHead } from '../../../../src/record/line/head.ts'
import {
  type Envelope,
  envelopeOf,
  envelopeText,
  timeFieldBytes,
} from '../../../../src/record/line/layout.ts'
import { lineStart } from '../../../../src/record/record.ts'
import { unknownHour } from '../../../../src/record/time.ts'
import { sourceBatch } from '../../../helpers/arbitraries.ts'

const encoder = new LineEncoder({ from: 'value', path: ['type'] })

test('an envelope made of its parts is the one that the encoder writes', () => {
  const agrees = fc.property(sourceBatch(), (source) => {
    const batch = encoder.encode(source)
    for (let i = 0; i < batch.count; i++) {
      const line = batch.lines.subarray(lineStart(batch, i), batch.ends[i])
      const written = `${envelopeOfLine(line).toString('utf8')}`
      const envelope = JSON.parse(`${written}}`) as Envelope
      const { kafka } = envelope
      const text = envelopeText({
        topic: kafka.topic,
        partition: kafka.partition,
        time: envelope['@timestamp'],
        typeJson: envelope.type === undefined ? undefined : JSON.stringify(envelope.type),
        offset: kafka.offset,
        timestamp: String(decodeLine(line).record.timestamp),
        key: kafka.key,
        keyBase64: kafka.key_base64,
        headersJson: kafka.headers && JSON.stringify(kafka.headers),
        schemaId: kafka.schema_id,
      })
      assert.equal(`${text}}`, written)
    }
  })
  fc.assert(agrees, { numRuns: 500 })
})

test('between the time and the offset a line says its type and its partition', () => {
  const head = new LineHead()
  const agrees = fc.property(sourceBatch(), (source) => {
    const batch = encoder.encode(source)
    for (let i = 0; i < batch.count; i++) {
      const start = lineStart(batch, i)
      assert.ok(head.read(batch.lines, start))
      const opening = batch.hours[i] === unknownHour ? 1 : timeFieldBytes
      assert.equal(
        batch.lines.toString('utf8', start + opening, head.offsetAt),
        envelopeOf(batch.types[batch.typeIndexes[i]!]!, batch),
      )
    }
  })
  fc.assert(agrees, { numRuns: 500 })
})
