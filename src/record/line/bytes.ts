import { isUtf8 } from 'node:buffer'
import { ArchiverError } from '../../runtime/errors.ts'
import { BACKSLASH, CLOSE_BRACE, LF, onOneLine, QUOTE } from '../ascii.ts'
import { putNumber } from '../decimal.ts'

/** Room for the longest number, with the names and brackets around it. */
export const fixedBytes = 128
/** More than the longest error and the text around it. */
const endBytes = 4096
/** A multiple of three, so that pieces of base64 join without padding. */
const base64PieceBytes = 48 * 1024
const textPieceBytes = 64 * 1024
/** `RecordBatch.ends` holds positions of 32 bits. */
const maxBytes = 2 ** 32 - 1
export const maxGrowthBytes = 16 * 2 ** 20

const nothing = Buffer.alloc(0)

/** 1 for each byte of ASCII that a JSON string has without an escape. */
const isPlain = new Uint8Array(256).fill(1, 0x20, 0x7f)
isPlain[QUOTE] = 0
isPlain[BACKSLASH] = 0

/** How a field begins: when its bytes are UTF-8, and when they are not. Both end with a quote. */
export interface BytesField {
  readonly text: Buffer
  readonly base64: Buffer
}

/**
 * The bytes of one batch's lines, as they are written. Every record passes through here field by
 * field, so the fixed parts of a line make no object and no string.
 *
 * `put`, `putByte` and `putNumber` write where `reserve` has made room. The others make their own
 * room, and leave `fixedBytes` of it behind what they write.
 */
export class LineBytes {
  #buffer = nothing
  /** Bytes written so far. */
  position = 0

  /** Begins a batch with a buffer of its own: sinks keep the lines. */
  begin(capacity: number): void {
    this.#buffer = Buffer.allocUnsafeSlow(capacity)
    this.position = 0
  }

  /** Gives away what was written. */
  take(): Buffer {
    const lines = this.#buffer.subarray(0, this.position)
    this.#buffer = nothing
    return lines
  }

  /** @throws ArchiverError `INTERNAL` beyond 4 GiB. */
  reserve(bytes: number): void {
    const needed = this.position + bytes
    if (needed <= this.#buffer.length) return
    if (needed > maxBytes) {
      throw new ArchiverError(
        'INTERNAL',
        `the lines of one batch would be ${needed} bytes; the limit is ${maxBytes}`,
      )
    }
    // Adding half of the size makes growth rare. For large buffers that would be uncounted memory.
    const grown = Math.min(
      Math.ceil(this.#buffer.length * 1.5),
      this.#buffer.length + maxGrowthBytes,
    )
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, grown))
    larger.set(this.#buffer.subarray(0, this.position))
    this.#buffer = larger
  }

  put(bytes: Buffer): void {
    this.#buffer.set(bytes, this.position)
    this.position += bytes.length
  }

  putByte(byte: number): void {
    this.#buffer[this.position++] = byte
  }

  /** An offset or a timestamp. */
  putNumber(number: number | bigint): void {
    if (typeof number === 'bigint' || number < 0) {
      this.putText(String(number))
      return
    }
    this.position = putNumber(this.#buffer, this.position, number)
  }

  putText(text: string): void {
    this.reserve(text.length * 3)
    this.position += this.#buffer.write(text, this.position, 'utf8')
    this.reserve(fixedBytes)
  }

  /** A field with its closing quote: a text if the bytes are UTF-8, else base64. */
  putBytesField({ text, base64 }: BytesField, bytes: Buffer, start: number, end: number): void {
    this.reserve(text.length + (end - start) + fixedBytes)
    const before = this.position
    this.put(text)
    if (!this.#putPlain(bytes, start, end)) {
      if (isUtf8(bytes.subarray(start, end))) this.#putQuoted(bytes, start, end)
      else {
        this.position = before
        this.put(base64)
        this.putBase64(bytes, start, end)
      }
    }
    this.putByte(QUOTE)
  }

  /** The inside of a JSON string. Bytes that are not UTF-8 become U+FFFD. */
  putString(bytes: Buffer, start: number, end: number): void {
    this.reserve(end - start + fixedBytes)
    if (!this.#putPlain(bytes, start, end)) this.#putQuoted(bytes, start, end)
  }

  /**
   * A JSON text as it is, and the end of the line after it. `lineBreaks`: the text has some, and
   * they become spaces.
   */
  putValue(name: Buffer, bytes: Buffer, start: number, end: number, lineBreaks: boolean): void {
    this.reserve(name.length + (end - start) + 2)
    this.put(name)
    const buffer = this.#buffer
    const from = this.position
    bytes.copy(buffer, from, start, end)
    const to = from + (end - start)
    if (lineBreaks) onOneLine(buffer, from, to)
    buffer[to] = CLOSE_BRACE
    buffer[to + 1] = LF
    this.position = to + 2
  }

  /** Base64 in pieces: a string of a whole value may be longer than any string can be. */
  putBase64(bytes: Buffer, start: number, end: number): void {
    // With room for the end of the line: growing once more would copy all of it.
    this.reserve(Math.ceil((end - start) / 3) * 4 + endBytes)
    for (let at = start; at < end; at += base64PieceBytes) {
      const text = bytes.toString('base64', at, Math.min(end, at + base64PieceBytes))
      this.position += this.#buffer.write(text, this.position, 'latin1')
    }
  }

  /** Copies bytes that need no escape. When one does, writes nothing and returns false. */
  #putPlain(bytes: Buffer, start: number, end: number): boolean {
    const buffer = this.#buffer
    let position = this.position
    for (let i = start; i < end; i++) {
      const byte = bytes[i]!
      if (isPlain[byte] === 0) return false
      buffer[position++] = byte
    }
    this.position = position
    return true
  }

  /** In pieces, with the escapes of JSON. */
  #putQuoted(bytes: Buffer, start: number, end: number): void {
    // A decoder in stream mode keeps a character that two pieces share.
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    for (let at = start; at < end; at += textPieceBytes) {
      const next = Math.min(end, at + textPieceBytes)
      const text = decoder.decode(bytes.subarray(at, next), { stream: next < end })
      this.putText(JSON.stringify(text).slice(1, -1))
    }
  }
}
