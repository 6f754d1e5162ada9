import { createHash } from 'node:crypto'
import type { RecordType } from './record.ts'

/**
 * A text as one segment of a path or of an index name: nothing that a message says can leave its directory, be hidden in it
 * or break a name. Reversible by percent-decoding, up to the length at which a prefix and a hash take over.
 */

export interface SegmentRules {
  /** The bytes that stand for themselves. All others are percent-encoded. */
  readonly allowed: RegExp
  /** Bytes beyond which a prefix and a hash stand for the text. */
  readonly maxBytes: number
  readonly hexDigits: 'upper' | 'lower'
}

const hashDigits = 32

/** Encodes a text by the rules. The empty text is the caller's business: it has no segment. */
export function encodeSegment(text: string, rules: SegmentRules): string {
  let encoded = ''
  for (const byte of Buffer.from(text, 'utf8')) encoded += encodeByte(byte, rules)
  return shorten(encoded, text, rules.maxBytes)
}

/** The same, for a name that must not begin with any of `first`: such a first character is encoded. */
export function encodeSegmentNotBeginning(text: string, first: string, rules: SegmentRules): string {
  const encoded = encodeSegment(text, rules)
  if (!first.includes(encoded[0] ?? '')) return encoded
  return shorten(percent(encoded.charCodeAt(0), rules) + encoded.slice(1), text, rules.maxBytes)
}

function encodeByte(byte: number, rules: SegmentRules): string {
  const character = String.fromCharCode(byte)
  return byte < 0x80 && rules.allowed.test(character) ? character : percent(byte, rules)
}

function percent(byte: number, { hexDigits }: SegmentRules): string {
  const hex = byte.toString(16).padStart(2, '0')
  return `%${hexDigits === 'upper' ? hex.toUpperCase() : hex}`
}

/** An escape is never cut in two; the hash is of the whole text, so two long texts do not share a name. */
function shorten(encoded: string, text: string, maxBytes: number): string {
  if (encoded.length <= maxBytes) return encoded
  const hash = createHash('sha256').update(text, 'utf8').digest('hex').slice(0, hashDigits)
  const prefix = encoded.slice(0, maxBytes - hashDigits - 1).replace(/%[0-9A-Fa-f]?$/, '')
  return `${prefix}-${hash}`
}

const pathRules: SegmentRules = { allowed: /[A-Za-z0-9._-]/, maxBytes: 200, hexDigits: 'upper' }
/** Topic names are up to 249 characters; with offsets, partition and extension a file name must stay below 255 bytes. */
const topicRules: SegmentRules = { ...pathRules, maxBytes: 180 }

/** A type as a path segment. A leading `.` or `_` of a message's own type is encoded: such names are hidden, or reserved. */
export function typeSegment(type: RecordType): string {
  return type.reserved ? type.name : encodeSegmentNotBeginning(type.name, '._', pathRules)
}

/** A topic as a path segment. Kafka allows only characters that stand for themselves. */
export function topicSegment(topic: string): string {
  return encodeSegment(topic, topicRules)
}
