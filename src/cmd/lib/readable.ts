import { readableText } from '../../runtime/readable-text.ts'

/** Bytes and times from Kafka, readable on one line whatever they contain. */

/**
 * UTF-8 unchanged, except that control characters, which could move a terminal's cursor or forge a
 * line, become `\u001b`; other bytes as `base64:…`; `null` for none.
 */
export function readableBytes(bytes: Buffer | null): string {
  if (bytes === null) return 'null'
  const text = utf8OrUndefined(bytes)
  return text === undefined ? `base64:${bytes.toString('base64')}` : readableText(text)
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of bytes in UTF-8; undefined if they are not UTF-8. */
export function utf8OrUndefined(bytes: Buffer): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    // The decoder refuses by throwing.
    return undefined
  }
}

/**
 * Kafka's timestamp (ms, digits) in ISO 8601; the digits if it is none (-1) or outside the years
 * 1970 to 9999.
 */
export function readableTimestamp(timestamp: string): string {
  const time = Number(timestamp)
  return time >= 0 && time < 253_402_300_800_000 ? new Date(time).toISOString() : timestamp
}
