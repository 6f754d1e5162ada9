import { envelopeOfLine, valueOfLine } from '../record/line/decoder.ts'
import { LineEncoder } from '../record/line/encoder.ts'
import {
  lineStart,
  malformedType,
  type RecordBatch,
  type RecordType,
  type SourceRecord,
  untypedType,
} from '../record/record.ts'

/**
 * What is kept of a record that Elasticsearch refused for its own content: the envelope without
 * `value`, the original text as `value_text` where that is known to be taken, and why. It stays
 * findable by topic, partition, offset, key and time, and nothing of it can be refused for the same
 * reason: no field of the value is a field of the document.
 */
export interface Rejection {
  readonly type: string
  readonly reason: string
  /** What a log may say in place of a reason that quotes the record. */
  readonly sayable?: string
}

/** Lucene refuses nothing in an analysed text, but a request has an end. */
const longestText = 8 * 2 ** 20
const longestReason = 2000

/** Whether the value of a record is short enough to be kept in a reject. */
export function fitsReject(batch: RecordBatch, i: number): boolean {
  return batch.ends[i]! - lineStart(batch, i) <= longestText
}

/**
 * The document for the rejected index, ended by LF. `keepValue`: false where even the text is too
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
    reason: rejection.reason.slice(0, longestReason),
  })
  const envelope = envelopeOfLine(line).toString('utf8')
  return Buffer.from(`${envelope}${valueField(line, value, keepValue)},"error":${error}}\n`, 'utf8')
}

function valueField(line: Buffer, value: Buffer | undefined, keepValue: boolean): string {
  if (!keepValue) return ',"value_omitted":true'
  if (value !== undefined) return `,"value_text":${JSON.stringify(value.toString('utf8'))}`
  const { value_base64 } = JSON.parse(line.toString('utf8')) as { value_base64: string }
  return `,"value_base64":"${value_base64}"`
}

/** A document of the rejected index, as `_source` gives it back. */
export interface RejectedSource {
  readonly '@timestamp'?: string
  readonly type?: string
  readonly kafka: {
    readonly topic: string
    readonly partition: number
    readonly offset: number
    readonly timestamp: number
    readonly key?: string
    readonly key_base64?: string
    readonly headers?: readonly {
      readonly key: string
      readonly value?: string | null
      readonly value_base64?: string
    }[]
    readonly schema_id?: number
  }
  readonly value_text?: string
  readonly value_base64?: string
  readonly value_omitted?: boolean
  readonly error: Rejection
}

/** The type of the record that was refused. */
export function typeOfRejected({ type, value_base64 }: RejectedSource): RecordType {
  if (type !== undefined) return { name: type, reserved: false }
  return value_base64 === undefined ? untypedType : malformedType
}

// What is kept as base64 was malformed to the worker, framed JSON too if the worker does not read
// it.
const anyType = new LineEncoder({ from: 'topic' }, { framedJson: false })

/**
 * The record's own line again, byte for byte, ended by LF: what the files hold of it and what is
 * sent as `_source`. Undefined where the reject does not hold all of it (`value_omitted`, or a
 * timestamp that JSON numbers cannot carry).
 */
export function lineOfRejected(source: RejectedSource): Buffer | undefined {
  const { value_text, value_base64, value_omitted: _, error: __, ...envelope } = source
  const { topic, partition, offset, timestamp, key, key_base64, headers } = source.kafka
  if (!Number.isSafeInteger(timestamp)) return undefined
  if (value_text !== undefined)
    return Buffer.from(`${JSON.stringify(envelope).slice(0, -1)},"value":${value_text}}\n`)
  if (value_base64 === undefined) return undefined
  // Of what is no JSON the line says why, which the scanner alone knows.
  const record: SourceRecord = {
    offset,
    timestamp,
    key: bytesOf(key, key_base64),
    value: Buffer.from(value_base64, 'base64'),
    headers: (headers ?? []).map(({ key, value, value_base64 }) => ({
      key,
      value: bytesOf(value ?? undefined, value_base64),
    })),
  }
  return anyType.encode({ topic, partition, from: offset, next: offset + 1, records: [record] })
    .lines
}

function bytesOf(text: string | undefined, base64: string | undefined): Buffer | null {
  if (text !== undefined) return Buffer.from(text)
  return base64 === undefined ? null : Buffer.from(base64, 'base64')
}
