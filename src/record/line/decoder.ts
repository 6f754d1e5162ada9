import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { LF, MINUS } from '../ascii.ts'
import {
  type Header,
  malformedType,
  type RecordType,
  type SourceRecord,
  untypedType,
} from '../record.ts'
import { framed } from '../wire-format.ts'
import {
  type Envelope,
  type LineError,
  type LineHeader,
  type MalformedPart,
  marks,
} from './layout.ts'

/** A line read back: what `restore`, `verify` and `cat` need of it. */
export interface DecodedLine {
  readonly topic: string
  readonly partition: number
  readonly type: RecordType
  readonly record: SourceRecord
  /** Why the value is kept as base64; undefined for valid JSON. */
  readonly error: LineError | undefined
}

const nullText = Buffer.from('null')

/**
 * Where the value of a line begins and ends; undefined when the line has `value_base64` instead.
 * With or without its LF.
 */
export function rangeOfValue(
  line: Buffer,
): { readonly start: number; readonly end: number } | undefined {
  const mark = line.indexOf(marks.value)
  if (mark === -1) return undefined
  const base64 = line.indexOf(marks.valueBase64)
  if (base64 !== -1 && base64 < mark) return undefined
  const end = line[line.length - 1] === LF ? line.length - 2 : line.length - 1
  return { start: mark + marks.value.length, end }
}

/** The bytes of the value; undefined when the line has `value_base64` instead. */
export function valueOfLine(line: Buffer): Buffer | undefined {
  const range = rangeOfValue(line)
  return range && line.subarray(range.start, range.end)
}

/** True for the value of a tombstone, which a JSON `null` shares. */
export function isNullText(value: Buffer): boolean {
  return value.equals(nullText)
}

/**
 * The line without its value: `{"@timestamp":…,"type":…,"kafka":{…}` with the closing brace still
 * missing.
 */
export function envelopeOfLine(line: Buffer): Buffer {
  const ends = [line.indexOf(marks.value), line.indexOf(marks.valueBase64)]
  return line.subarray(0, Math.min(...ends.filter((at) => at !== -1)) + 1)
}

/** `kafka.timestamp`, exact even beyond 2^53. */
export function timestampOfLine(line: Buffer): number | bigint {
  const start = line.indexOf(marks.timestamp) + marks.timestamp.length
  let end = start
  while (line[end] === MINUS || (line[end]! >= 0x30 && line[end]! <= 0x39)) end++
  const digits = line.toString('latin1', start, end)
  const timestamp = Number(digits)
  return Number.isSafeInteger(timestamp) ? timestamp : BigInt(digits)
}

/**
 * The record that a line was made from; a framed value has its frame. A JSON `null` and a tombstone
 * have the same line; both come back as a tombstone. A framed `null` does not.
 *
 * @throws ArchiverError `INTERNAL` when it is not a line of this encoding.
 */
export function decodeLine(line: Buffer): DecodedLine {
  try {
    const value = valueOfLine(line)
    const text =
      value === undefined ? line.toString('utf8') : `${envelopeOfLine(line).toString('utf8')}}`
    const envelope = JSON.parse(text) as Envelope & MalformedPart
    requireEnvelope(envelope)
    if (value === undefined) requireMalformedPart(envelope)
    return {
      topic: envelope.kafka.topic,
      partition: envelope.kafka.partition,
      type: typeOfEnvelope(envelope, value === undefined),
      record: recordOf(
        envelope,
        timestampOfLine(line),
        value === undefined
          ? Buffer.from(envelope.value_base64!, 'base64')
          : wholeValue(envelope, value),
      ),
      error: envelope.error,
    }
  } catch (error) {
    const shown = line.toString('utf8', 0, 120)
    throw new ArchiverError(
      'INTERNAL',
      `not a line of an archive: ${shown}: ${messageOf(error)}`,
      {},
      error,
    )
  }
}

/** The type that an envelope names; without one, a reserved type. */
export function typeOfEnvelope({ type }: Envelope, isMalformed: boolean): RecordType {
  if (type !== undefined) return { name: type, reserved: false }
  return isMalformed ? malformedType : untypedType
}

/** The record of an envelope, with what the envelope alone does not say. */
export function recordOf(
  { kafka }: Envelope,
  timestamp: number | bigint,
  value: Buffer | null,
): SourceRecord {
  return {
    offset: kafka.offset,
    timestamp,
    key: decodeBytes(kafka.key, kafka.key_base64),
    value,
    headers: (kafka.headers ?? []).map(headerOf),
  }
}

function wholeValue({ kafka }: Envelope, value: Buffer): Buffer | null {
  if (kafka.schema_id !== undefined) return framed(kafka.schema_id, value)
  return isNullText(value) ? null : value
}

function headerOf({ key, value, value_base64 }: LineHeader): Header {
  return { key, value: decodeBytes(value ?? undefined, value_base64) }
}

function decodeBytes(text: string | undefined, base64: string | undefined): Buffer | null {
  if (text !== undefined) return Buffer.from(text, 'utf8')
  return base64 === undefined ? null : Buffer.from(base64, 'base64')
}

/** Anybody may have written the lines of an archive. @throws Error */
function requireEnvelope({ type, kafka }: Envelope): void {
  const { topic, partition, offset, key, key_base64, headers = [] } = kafka
  const isPlace = isText(topic) && Number.isSafeInteger(partition) && Number.isSafeInteger(offset)
  if (!isPlace || partition < 0 || offset < 0)
    throw new Error('it names no topic, partition and offset')
  if (!isTextOrAbsent(key) || !isTextOrAbsent(key_base64) || !isTextOrAbsent(type))
    throw new Error('its key or type is no text')
  if (!headers.every(isHeader)) throw new Error('its headers are none')
}

/** @throws Error */
function requireMalformedPart({ value_base64, error }: MalformedPart): void {
  if (!isText(value_base64) || !isText(error?.type) || !isText(error.reason))
    throw new Error('it has no value')
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}

function isTextOrAbsent(value: unknown): boolean {
  return value === undefined || isText(value)
}

function isHeader({ key, value, value_base64 }: LineHeader): boolean {
  return isText(key) && (value === null || isTextOrAbsent(value)) && isTextOrAbsent(value_base64)
}
