import { envelopeOfLine, recordOf, typeOfEnvelope, valueOfLine } from '../record/line/decoder.ts'
import { LineEncoder } from '../record/line/encoder.ts'
import { type Envelope, fields, type MalformedPart } from '../record/line/layout.ts'
import { lineStart, type RecordBatch, type RecordType, rangeOf } from '../record/record.ts'

/**
 * Why Elasticsearch rejected a record for its own content. What is kept of the record has the
 * envelope, the original text as `value_text` when Elasticsearch is known to take it, and the
 * rejection as `error`. It stays findable by topic, partition, offset, key and time. It cannot be
 * rejected for the same reason: no field of the value is a field of the document.
 */
export interface Rejection {
  readonly type: string
  readonly reason: string
  /** What a log may show when the reason quotes the record. */
  readonly sayable?: string
}

/** Lucene refuses nothing in an analysed text, but a request has an end. */
const maxTextBytes = 8 * 2 ** 20
const maxReasonLength = 2000
/** In place of `value`: the original text, as a text. */
const textField = ',"value_text":'

/** Whether the value of a record is short enough to be kept in a reject. */
export function fitsReject(batch: RecordBatch, i: number): boolean {
  return batch.ends[i]! - lineStart(batch, i) <= maxTextBytes
}

/**
 * The document for the rejected index, ended by LF. `keepValue`: false when even the text is too
 * large.
 */
export function rejectedDocument(
  batch: RecordBatch,
  i: number,
  rejection: Rejection,
  keepValue = true,
): Buffer {
  const line = batch.lines.subarray(lineStart(batch, i), batch.ends[i]!)
  const value = valueOfLine(line)
  const error = JSON.stringify({
    type: rejection.type,
    reason: rejection.reason.slice(0, maxReasonLength),
  })
  const envelope = envelopeOfLine(line).toString('utf8')
  return Buffer.from(`${envelope}${valueField(line, value, keepValue)}${fields.error}${error}}\n`)
}

function valueField(line: Buffer, value: Buffer | undefined, keepValue: boolean): string {
  if (!keepValue) return ',"value_omitted":true'
  if (value !== undefined) return `${textField}${JSON.stringify(value.toString('utf8'))}`
  const { value_base64 } = JSON.parse(line.toString('utf8')) as MalformedPart
  return `${fields.valueBase64}"${value_base64}"`
}

/** A document of the rejected index, as `_source` gives it back. */
export interface RejectedSource extends Envelope {
  readonly value_text?: string
  readonly value_base64?: string
  readonly value_omitted?: boolean
  readonly error: Rejection
}

/** The type of the record that was rejected. */
export function typeOfRejected(source: RejectedSource): RecordType {
  return typeOfEnvelope(source, source.value_base64 !== undefined)
}

// What is kept as base64 was malformed to the worker; framed JSON too, when the worker does not
// read that.
const anyType = new LineEncoder({ from: 'topic' }, { framedJson: false })

/**
 * The record's own line again, byte for byte, ended by LF: what the files hold of it and what is
 * sent as `_source`. Undefined when the reject does not hold all of it (`value_omitted`, or a
 * timestamp that JSON numbers cannot carry).
 */
export function lineOfRejected(source: RejectedSource): Buffer | undefined {
  const { value_text, value_base64, value_omitted: _, error: __, ...envelope } = source
  const { topic, partition, offset, timestamp } = source.kafka
  if (!Number.isSafeInteger(timestamp)) return undefined
  if (value_text !== undefined)
    return Buffer.from(`${JSON.stringify(envelope).slice(0, -1)}${fields.value}${value_text}}\n`)
  if (value_base64 === undefined) return undefined
  // For what is no JSON, the line says why. Only the scanner knows that.
  const record = recordOf(source, timestamp, Buffer.from(value_base64, 'base64'))
  return anyType.encode({ topic, partition, ...rangeOf(offset), records: [record] }).lines
}

const textMark = Buffer.from(textField)

/**
 * The same for a document as bytes, without its LF, exact for every timestamp; undefined when the
 * reject keeps its value as base64 or not at all.
 */
export function originalLineOf(source: Buffer): Buffer | undefined {
  const mark = source.indexOf(textMark)
  if (mark === -1) return undefined
  const { value_text } = JSON.parse(source.toString('utf8')) as RejectedSource
  return Buffer.concat([source.subarray(0, mark), Buffer.from(`${fields.value}${value_text}}`)])
}
