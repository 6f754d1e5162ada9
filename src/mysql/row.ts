import { createHash } from 'node:crypto'
import { escape as escapeText } from 'mysql2'
import { envelopeOfLine, isNullText, timestampOfLine, valueOfLine } from '../record/line/decoder.ts'
import { type Envelope, envelopeText, fields, type MalformedPart } from '../record/line/layout.ts'
import { lineStart, type RecordBatch } from '../record/record.ts'
import {
  count,
  digits,
  nullable,
  object,
  type Shape,
  text,
  UnlikeAnswer,
} from '../runtime/shape.ts'

/**
 * A record as one row. The row holds everything that the record's line holds, so that the line can
 * be made from it again, byte for byte: `verify --deep` compares it, and nothing is lost if the
 * files are.
 *
 * - `value_text` is the producer's text as it came; `value` is generated from it by the server, as
 *   JSON.
 * - What is no valid JSON in UTF-8 is `value_bytes`, and `error_type` and `error_reason` say why.
 * - A tombstone (and a JSON `null`, which has the same line) has neither.
 */
export const columns = [
  'topic',
  'partition',
  'offset',
  'timestamp',
  'time',
  'type',
  'type_json',
  'key_text',
  'key_bytes',
  'headers',
  'schema_id',
  'value_text',
  'value_bytes',
  'error_type',
  'error_reason',
] as const

type Column = (typeof columns)[number]

/**
 * Max characters of a type in its column. A longer one, or one that is no Unicode text, is
 * shortened there and whole in `type_json`.
 */
export const maxType = 512
const hashDigits = 32
const maxReason = 1000

/**
 * What is kept of a record that the server does not accept as it is: without `value` as JSON,
 * without any value, without all that has no max length.
 */
export type Kept = 'text' | 'envelope' | 'position'

/**
 * `error_type` of what the archiver did, beside those of malformed messages (`invalid_json`,
 * `invalid_utf8`).
 */
export const errorTypes = {
  /** The text is whole in `value_text`, and `value` is NULL: the server refuses it as JSON. */
  text: 'refused_as_json',
  /**
   * The row is without its value: the server refuses it, or it is larger than a statement may be.
   * The files hold it.
   */
  envelope: 'value_omitted',
  /** The same without key and headers. */
  position: 'all_omitted',
  /** In the table of rejects: another record has this position in the table. */
  taken: 'position_taken',
} as const

/** Why a row is not the whole record as it would be. */
export interface Reduction {
  /** Undefined: all of it is kept. */
  readonly kept: Kept | undefined
  readonly errorType: string
  readonly reason: string
  /** What a log may say in place of a reason that quotes the record. */
  readonly sayable?: string
}

/** The values of a row as SQL, in parentheses, in the order of `columns`. */
export function rowSql(batch: RecordBatch, i: number, reduction?: Reduction): string {
  const line = batch.lines.subarray(lineStart(batch, i), batch.ends[i]!)
  const kept = reduction?.kept
  const withoutValue = kept === 'envelope' || kept === 'position'
  const withoutEnds = kept === 'position'
  const value = valueOfLine(line)
  const isMalformed = value === undefined
  const envelope = JSON.parse(`${envelopeOfLine(line).toString('utf8')}}`) as Envelope
  const { key, key_base64, headers, schema_id: schemaId } = envelope.kafka
  const { error, value_base64: base64 } =
    isMalformed && !withoutValue ? malformedPart(line) : noPart
  const text = isMalformed || withoutValue ? undefined : textOf(value)
  const type = typeColumns(envelope.type)
  return `(${[
    quote(batch.topic),
    batch.partition,
    batch.offsets[i]!,
    timestampOf(batch, i),
    quote(envelope['@timestamp']?.slice(0, 23).replace('T', ' ')),
    quote(type.name),
    quote(withoutEnds ? undefined : type.json),
    quote(withoutEnds ? undefined : key),
    bytesSql(withoutEnds ? undefined : key_base64),
    quote(withoutEnds || headers === undefined ? undefined : JSON.stringify(headers)),
    schemaId ?? 'NULL',
    quote(text),
    bytesSql(base64),
    quote(reduction?.errorType ?? error?.type),
    quote((reduction?.reason ?? error?.reason)?.slice(0, maxReason).toWellFormed()),
  ].join(',')})`
}

const noPart: MalformedPart = {}

function malformedPart(line: Buffer): MalformedPart {
  return JSON.parse(line.toString('utf8')) as MalformedPart
}

/** A tombstone and the JSON text `null` have the same line: neither has a text. */
function textOf(value: Buffer): string | undefined {
  return isNullText(value) ? undefined : value.toString('utf8')
}

/** A text as SQL. */
export function quoteText(text: string): string {
  return escapeText(text)
}

function quote(text: string | undefined): string {
  return text === undefined ? 'NULL' : escapeText(text)
}

function bytesSql(base64: string | undefined): string {
  if (base64 === undefined) return 'NULL'
  return base64 === '' ? "X''" : `FROM_BASE64('${base64}')`
}

/** All digits of Kafka's int64. */
export function timestampOf(batch: RecordBatch, i: number): string {
  const timestamp = batch.timestamps[i]!
  if (Number.isSafeInteger(timestamp)) return String(timestamp)
  return String(timestampOfLine(batch.lines.subarray(lineStart(batch, i), batch.ends[i]!)))
}

/** A type as its column holds it, and whole if that is not all of it. */
export function typeColumns(type: string | undefined): {
  readonly name?: string
  readonly json?: string
} {
  if (type === undefined) return {}
  if (type.length <= maxType && type.isWellFormed()) return { name: type }
  const json = JSON.stringify(type)
  const hash = createHash('sha256').update(json).digest('hex').slice(0, hashDigits)
  return { name: `${type.slice(0, maxType - hashDigits - 1).toWellFormed()}-${hash}`, json }
}

/** A row as mysql2 gives it back: texts, bytes as Buffers, large integers as texts. */
export interface StoredRow {
  readonly topic: string
  readonly partition: number
  readonly offset: string | number
  readonly timestamp: string | number
  readonly time: string | null
  readonly type: string | null
  readonly type_json: string | null
  readonly key_text: string | null
  readonly key_bytes: Buffer | null
  readonly headers: string | null
  readonly schema_id: number | string | null
  readonly value_text: string | null
  readonly value_bytes: Buffer | null
  readonly error_type: string | null
  readonly error_reason: string | null
}

const bytes: Shape = (value, at) => {
  if (!Buffer.isBuffer(value)) throw new UnlikeAnswer(`${at} is not bytes`)
}

export const storedRowShape = object({
  topic: text,
  partition: count,
  offset: digits,
  timestamp: digits,
  time: nullable(text),
  type: nullable(text),
  type_json: nullable(text),
  key_text: nullable(text),
  key_bytes: nullable(bytes),
  headers: nullable(text),
  value_text: nullable(text),
  value_bytes: nullable(bytes),
  error_type: nullable(text),
  error_reason: nullable(text),
})

/** The record's own line, without its LF; undefined when the row does not hold all of it. */
export function lineOfRow(row: StoredRow): Buffer | undefined {
  const { type, error_type: errorType, value_bytes: bytes } = row
  if (errorType === errorTypes.envelope || errorType === errorTypes.position) return undefined
  const envelope = envelopeText({
    topic: row.topic,
    partition: row.partition,
    time: row.time === null ? undefined : `${row.time.replace(' ', 'T')}Z`,
    typeJson: type === null ? undefined : (row.type_json ?? JSON.stringify(type)),
    offset: row.offset,
    timestamp: row.timestamp,
    key: row.key_text ?? undefined,
    keyBase64: row.key_text === null ? row.key_bytes?.toString('base64') : undefined,
    headersJson: row.headers ?? undefined,
    schemaId: row.schema_id ?? undefined,
  })
  if (bytes === null) return Buffer.from(`${envelope}}${fields.value}${row.value_text ?? 'null'}}`)
  const error = JSON.stringify({ type: errorType, reason: row.error_reason })
  return Buffer.from(
    `${envelope}}${fields.valueBase64}"${bytes.toString('base64')}"${fields.error}${error}}`,
  )
}

const quotedColumns = columns.map((column: Column) => `\`${column}\``).join(', ')

/** Everything of a row that its line needs. */
export const selectedColumns = quotedColumns

/** One statement for some rows, made by `rowSql`. `table` is quoted. */
export function insertSql(table: string, rows: readonly string[]): string {
  return `${insertHead(table)}${rows.join(',')}`
}

export function insertHead(table: string): string {
  return `INSERT INTO ${table} (${quotedColumns}) VALUES `
}
