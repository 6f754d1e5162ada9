/**
 * How serializers of a Schema Registry send a value: a zero byte, the id of its schema in four
 * bytes (big endian), then what the schema describes. (Confluent Platform, "Wire format"; Apicurio
 * and Karapace write the same.) A JSON text never begins with a zero byte, so a frame with JSON
 * inside is unambiguous.
 */

/** Bytes before the payload. */
export const frameBytes = 5
/** Apicurio's own setting: a zero byte and an id of eight bytes. */
const longFrameBytes = 9
/**
 * Confluent's Protobuf serializer names the message by its indexes in the schema. Real schemas are
 * not nested deeper than this.
 */
const maxMessageIndexes = 32
/** This many matching fields are no accident. */
const maxFields = 1000

/** Whether a value may be framed: a zero byte, an id, and a payload of at least one byte. */
export function mayBeFramed(bytes: Buffer, start: number, end: number): boolean {
  return end - start > frameBytes && bytes[start] === 0
}

/** The id of the schema, 0 to 2^32 - 1. */
export function schemaIdAt(bytes: Buffer, start: number): number {
  return bytes.readUInt32BE(start + 1)
}

/** The payload behind its frame, as the producer sent it. */
export function framed(schemaId: number, payload: Buffer): Buffer {
  const value = Buffer.allocUnsafe(frameBytes + payload.length)
  value[0] = 0
  value.writeUInt32BE(schemaId, 1)
  value.set(payload, frameBytes)
  return value
}

/**
 * What a frame without a readable JSON text inside looks like; undefined if it is no frame.
 *
 * @param inside names the format of the bytes from a position on, as the end of a sentence;
 *   undefined if it is unknown
 */
export function describeFrame(
  bytes: Buffer,
  start: number,
  end: number,
  inside: (from: number) => string | undefined,
): string | undefined {
  if (bytes[start] !== 0 || end - start < frameBytes) return undefined
  if (end - start > longFrameBytes && inside(start + longFrameBytes) === 'with JSON inside') {
    const id = bytes.readBigUInt64BE(start + 1)
    return `Schema Registry framing with an id of eight bytes (Apicurio), schema id ${id}, with JSON inside`
  }
  const id = schemaIdAt(bytes, start)
  const head = `Schema Registry framing, schema id ${id}`
  if (end - start === frameBytes) return id === 0 ? undefined : `${head}, nothing inside`
  const known = inside(start + frameBytes)
  if (known !== undefined) return `${head}, ${known}`
  // No registry gives the id 0: these are zeros, or a number of eight bytes.
  if (id === 0) return undefined
  const indexes = protobufIndexes(bytes, start + frameBytes, end)
  return indexes === undefined
    ? `${head}, not JSON inside: fits no Protobuf message, perhaps Avro`
    : `${head}, not JSON inside: fits Protobuf, message indexes [${indexes.join(', ')}]`
}

/**
 * The message indexes before a Protobuf message, if what follows looks like one. `[0]` is written
 * as one zero byte.
 */
function protobufIndexes(bytes: Buffer, start: number, end: number): readonly number[] | undefined {
  const reader = new VarintReader(bytes, start, end)
  const count = reader.zigzag()
  if (count === undefined || count < 0 || count > maxMessageIndexes) return undefined
  const indexes: number[] = []
  for (let i = 0; i < count; i++) {
    const index = reader.zigzag()
    if (index === undefined || index < 0) return undefined
    indexes.push(index)
  }
  return hasProtobufForm(reader, end) ? (count === 0 ? [0] : indexes) : undefined
}

/**
 * True for fields with a number and a wire type, up to the end:
 * https://protobuf.dev/programming-guides/encoding/
 */
function hasProtobufForm(reader: VarintReader, end: number): boolean {
  for (let fields = 0; reader.position < end && fields < maxFields; fields++) {
    const tag = reader.varint()
    if (tag === undefined || tag < 8) return false
    const kind = tag % 8
    if (kind === 0) {
      if (reader.varint() === undefined) return false
      continue
    }
    const length = kind === 1 ? 8 : kind === 5 ? 4 : kind === 2 ? reader.varint() : undefined
    if (length === undefined || length > end - reader.position) return false
    reader.position += length
  }
  return true
}

class VarintReader {
  readonly #bytes: Buffer
  readonly #end: number
  position: number

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes
    this.#end = end
    this.position = start
  }

  /** Approximate above 2^53; undefined beyond the end, or after ten bytes. */
  varint(): number | undefined {
    let value = 0
    for (let i = 0; i < 10 && this.position < this.#end; i++) {
      const byte = this.#bytes[this.position++]!
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return value
    }
    return undefined
  }

  zigzag(): number | undefined {
    const value = this.varint()
    if (value === undefined) return undefined
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
}

/**
 * UTF-16 without a byte order mark, big endian: a zero byte before each ASCII character. A frame
 * begins with a zero byte, too.
 */
export function isUtf16BigEndian(bytes: Buffer, start: number, end: number): boolean {
  return isZeroEverySecond(bytes, start, end, 0)
}

/** UTF-16 or UTF-32, by its byte order mark or by the zeros of ASCII characters. */
export function looksUtf16(bytes: Buffer, start: number, end: number): string | undefined {
  const [a, b, c, d] = bytes.subarray(start, Math.min(end, start + 4))
  if (a === 0xff && b === 0xfe)
    return c === 0 && d === 0 ? 'UTF-32 (little endian)' : 'UTF-16 (little endian)'
  if (a === 0xfe && b === 0xff) return 'UTF-16 (big endian)'
  if (a === 0 && b === 0 && c === 0xfe && d === 0xff) return 'UTF-32 (big endian)'
  if (isZeroEverySecond(bytes, start, end, 1)) return 'UTF-16 (little endian)'
  return isUtf16BigEndian(bytes, start, end) ? 'UTF-16 (big endian)' : undefined
}

/**
 * Whether each of the first pairs of bytes has a zero byte, at `zero`, and an ASCII character
 * beside it.
 */
function isZeroEverySecond(bytes: Buffer, start: number, end: number, zero: 0 | 1): boolean {
  if ((end - start) % 2 !== 0 || end - start < 4) return false
  for (let at = start; at < Math.min(end, start + 16); at += 2) {
    const character = bytes[at + 1 - zero]!
    if (bytes[at + zero] !== 0 || character < 0x09 || character > 0x7e) return false
  }
  return true
}
