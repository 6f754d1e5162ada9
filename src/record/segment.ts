import { createHash } from 'node:crypto'
import type { RecordType } from './record.ts'

/**
 * A text as one segment of a path or of an index name. Nothing in a message can leave its
 * directory, be hidden in it or break a name. Injective: two texts never share a segment (beyond a
 * collision of 128 bits of SHA-256). Reversible by percent-decoding, except for long texts: a
 * prefix and a hash represent them.
 */

export interface SegmentRules {
  /** Matches a text of bytes that are kept as they are. All others are percent-encoded. */
  readonly allowed: RegExp
  /** Characters that are encoded when the segment would begin with one of them. */
  readonly notFirst: string
  /** Bytes beyond which a prefix and a hash represent the text. */
  readonly maxBytes: number
  readonly hexDigits: 'upper' | 'lower'
}

const hashDigits = 32
/**
 * A hash never cuts an escape in two, so a shortened segment may be this much shorter than
 * `maxBytes`.
 */
const maxTrimmed = 2
const looksHashed = /-[0-9a-f]{32}$/

/** Encodes a text by the rules. The empty text has no segment: the caller must exclude it. */
export function encodeSegment(text: string, rules: SegmentRules): string {
  const bytes = wtf8(text)
  const encoded = percentEncode(bytes, rules)
  // A text that spells a shortened segment is shortened too. So such a segment always ends with the
  // hash of a whole text.
  const isLikeShortened = encoded.length >= rules.maxBytes - maxTrimmed && looksHashed.test(encoded)
  return encoded.length > rules.maxBytes || isLikeShortened
    ? shorten(encoded, bytes, rules.maxBytes)
    : encoded
}

/**
 * The segment that earlier versions wrote, if it differs from that of `encodeSegment`. They
 * replaced lone surrogates, and kept texts that spell a shortened segment, so several texts share
 * it. Only for names in an existing archive.
 */
export function formerSegment(text: string, rules: SegmentRules): string | undefined {
  const former = encodeAsBefore(text, rules)
  return former === encodeSegment(text, rules) ? undefined : former
}

function encodeAsBefore(text: string, rules: SegmentRules): string {
  const bytes = Buffer.from(text, 'utf8')
  const encoded = percentEncode(bytes, rules)
  return encoded.length > rules.maxBytes ? shorten(encoded, bytes, rules.maxBytes) : encoded
}

/**
 * UTF-8, and a lone surrogate as the three bytes that UTF-8 would have for it (WTF-8,
 * https://simonsapin.github.io/wtf-8/).
 */
function wtf8(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8')
  const parts: Buffer[] = []
  for (const character of text) {
    const code = character.codePointAt(0)!
    const isLone = code >= 0xd800 && code <= 0xdfff
    parts.push(
      isLone
        ? Buffer.from([0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)])
        : Buffer.from(character, 'utf8'),
    )
  }
  return Buffer.concat(parts)
}

function percentEncode(bytes: Buffer, rules: SegmentRules): string {
  const text = bytes.toString('latin1')
  if (rules.allowed.test(text) && !rules.notFirst.includes(text.charAt(0))) return text
  let encoded = ''
  for (const character of text) {
    const isAllowed =
      rules.allowed.test(character) && !(encoded === '' && rules.notFirst.includes(character))
    encoded += isAllowed ? character : percent(character.charCodeAt(0), rules)
  }
  return encoded
}

function percent(byte: number, { hexDigits }: SegmentRules): string {
  const hex = byte.toString(16).padStart(2, '0')
  return `%${hexDigits === 'upper' ? hex.toUpperCase() : hex}`
}

/**
 * An escape is never cut in two. The hash is that of the whole text, so two long texts do not share
 * a name.
 */
function shorten(encoded: string, bytes: Buffer, maxBytes: number): string {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, hashDigits)
  const prefix = encoded.slice(0, maxBytes - hashDigits - 1).replace(/%[0-9A-Fa-f]?$/, '')
  return `${prefix}-${hash}`
}

/** A leading `.` is hidden, a leading `_` is reserved for the program's own types. */
const typeRules: SegmentRules = {
  allowed: /^[A-Za-z0-9._-]*$/,
  notFirst: '._',
  maxBytes: 200,
  hexDigits: 'upper',
}
/**
 * Topic names are up to 249 characters; with offsets, partition and extension a file name must stay
 * below 255 bytes.
 */
const maxTopicBytes = 180
const topicRules: SegmentRules = { ...typeRules, notFirst: '', maxBytes: maxTopicBytes }

/**
 * A type as a path segment. A leading `.` or `_` of a message's own type is encoded, as such names
 * are hidden or reserved.
 */
export function typeSegment(type: RecordType): string {
  return type.reserved ? type.name : encodeSegment(type.name, typeRules)
}

/**
 * Every segment under which an archive may hold a type: that of this version, then that of earlier
 * ones.
 */
export function typeSegments(type: RecordType): readonly string[] {
  const former = type.reserved ? undefined : formerSegment(type.name, typeRules)
  return former === undefined ? [typeSegment(type)] : [typeSegment(type), former]
}

/** True if an earlier version may have put other types into a directory of this one. */
export function mayShareSegment(type: RecordType): boolean {
  return typeSegments(type).some(
    (segment) => segment.includes('%EF%BF%BD') || looksHashed.test(segment),
  )
}

/**
 * A topic as a path segment. Kafka allows only characters that need no escape, and rejects `.` and
 * `..`, which would leave the directory; here they get an escape. The name must never change:
 * workers of every version contend for the commit log in it. When a topic's name spells the
 * shortened segment of another topic, the `topic` in each manifest shows it, and the topic is
 * rejected.
 */
export function topicSegment(topic: string): string {
  return /^\.\.?$/.test(topic) ? `%2E${topic.slice(1)}` : encodeAsBefore(topic, topicRules)
}

/** The topic of a segment; the segment itself if it was shortened. */
export function topicOfSegment(segment: string): string {
  return segment.startsWith('%2E') ? `.${segment.slice(3)}` : segment
}
