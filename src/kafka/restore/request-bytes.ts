const zigzag = (value: number): number => (value < 0 ? -value * 2 - 1 : value * 2)
const zigzagBig = (value: bigint): bigint => (value < 0n ? -value * 2n - 1n : value * 2n)

/** Bytes of a zigzag variable-length integer; a number must be exact to 2^52. */
export function varIntSize(value: number | bigint): number {
  if (typeof value === 'bigint') return Math.ceil(zigzagBig(value).toString(2).length / 7)
  let size = 1
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) size++
  return size
}

/** Bytes of a text or of bytes, with their length before them. */
export function nullableSize(content: string | Buffer | null): number {
  if (content === null) return 1
  const length = typeof content === 'string' ? Buffer.byteLength(content) : content.length
  return varIntSize(length) + length
}

/** The bytes of a request, in a buffer that grows. Numbers are big-endian. */
export class RequestBytes {
  buffer: Buffer
  length = 0

  constructor(capacity: number) {
    this.buffer = Buffer.allocUnsafe(capacity)
  }

  #room(needed: number): void {
    if (this.length + needed <= this.buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.length + needed, this.buffer.length * 2))
    this.buffer.copy(larger, 0, 0, this.length)
    this.buffer = larger
  }

  int8(value: number): void {
    this.#room(1)
    this.buffer[this.length++] = value & 0xff
  }

  int16(value: number): void {
    this.#room(2)
    this.length = this.buffer.writeInt16BE(value, this.length)
  }

  /** Returns where it was written, for a length that is set later. */
  int32(value: number): number {
    this.#room(4)
    const at = this.length
    this.length = this.buffer.writeInt32BE(value, at)
    return at
  }

  setInt32(at: number, value: number): void {
    this.buffer.writeInt32BE(value, at)
  }

  int64(value: number | bigint): void {
    this.#room(8)
    this.length = this.buffer.writeBigInt64BE(BigInt(value), this.length)
  }

  varInt(value: number | bigint): void {
    this.#room(10)
    if (typeof value === 'bigint') {
      this.#varIntBig(zigzagBig(value))
      return
    }
    let rest = zigzag(value)
    while (rest >= 0x80) {
      this.buffer[this.length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.buffer[this.length++] = rest
  }

  #varIntBig(zigzagged: bigint): void {
    let rest = zigzagged
    for (; rest >= 0x80n; rest >>= 7n) this.buffer[this.length++] = Number(rest & 0x7fn) | 0x80
    this.buffer[this.length++] = Number(rest)
  }

  utf8(value: string): void {
    this.#room(value.length * 3)
    this.length += this.buffer.write(value, this.length)
  }

  copy(value: Buffer): void {
    this.#room(value.length)
    this.length += value.copy(this.buffer, this.length)
  }

  nullable(content: string | Buffer | null): void {
    if (content === null) this.varInt(-1)
    else if (typeof content === 'string') {
      this.varInt(Buffer.byteLength(content))
      this.utf8(content)
    } else {
      this.varInt(content.length)
      this.copy(content)
    }
  }
}
