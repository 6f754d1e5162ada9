import { envelopeOfLine, valueOfLine } from '../line.ts'
import { lineStart, type RecordBatch } from '../record.ts'

/**
 * What is kept of a record that Elasticsearch refused for its own content: the envelope without `value`, the original text as
 * `value_text` where that is known to be taken, and why. It stays findable by topic, partition, offset, key and time, and
 * nothing of it can be refused for the same reason: no field of the value is a field of the document.
 */
export interface Rejection {
  readonly type: string
  readonly reason: string
}

/** Lucene refuses nothing in an analysed text, but a request has an end: beyond this the files alone keep the value. */
const longestText = 8 * 2 ** 20
const longestReason = 2000

/** The document for the rejected index, ended by LF. `keepValue`: false where even the text was too large. */
export function rejectedDocument(batch: RecordBatch, i: number, rejection: Rejection, keepValue = true): Buffer {
  const line = batch.lines.subarray(lineStart(batch, i), batch.ends[i]!)
  const value = valueOfLine(line)
  const error = JSON.stringify({ type: rejection.type, reason: rejection.reason.slice(0, longestReason) })
  const envelope = envelopeOfLine(line).toString('utf8')
  return Buffer.from(`${envelope}${valueField(line, value, keepValue)},"error":${error}}\n`, 'utf8')
}

function valueField(line: Buffer, value: Buffer | undefined, keepValue: boolean): string {
  if (!keepValue || line.length > longestText) return ',"value_omitted":true'
  if (value !== undefined) return `,"value_text":${JSON.stringify(value.toString('utf8'))}`
  const { value_base64 } = JSON.parse(line.toString('utf8')) as { value_base64: string }
  return `,"value_base64":"${value_base64}"`
}
