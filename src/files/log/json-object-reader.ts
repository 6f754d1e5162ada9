/**
 * Elements of an array are parsed together, this many bytes of text at once: a millisecond of the
 * event loop.
 */
const batchBytes = 2 ** 16
/**
 * The max size of a field or of an array's element: text without a comma would grow without end.
 */
const maxPieceBytes = 64 * 2 ** 20

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const blank = /^[ \t\r\n]*$/

/**
 * Parses one JSON object (RFC 8259) that comes in chunks, without a string of the whole: the arrays
 * of its fields are parsed a batch of elements at a time. So the lists of a manifest may have any
 * size. Unlike `JSON.parse`, it rejects a field that comes twice: a reader of only the beginning of
 * a file must see the same value.
 */
export class JsonObjectReader {
  readonly #fields = new Map<string, unknown>()
  /** Text of the piece that is being read, from earlier chunks. */
  #pending: Buffer[] = []
  #pendingBytes = 0
  #depth = 0
  #inString = false
  #escaped = false
  #isEnded = false
  /** The elements of the array that is being read, if that is the value of a field. */
  #array: unknown[] | undefined
  /** What the text since the last comma must be: a field or element, nothing, or either. */
  #expected: 'something' | 'nothing' | 'anything' = 'anything'

  /** @throws Error that says what is wrong, for text that is not one JSON object. */
  push(chunk: Buffer): void {
    let start = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false
        else if (byte === BACKSLASH) this.#escaped = true
        else if (byte === QUOTE) this.#inString = false
        continue
      }
      if (this.#depth === 0) {
        this.#outside(byte)
        start = i + 1
      } else if (byte === QUOTE) this.#inString = true
      else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        if (this.#depth === 1 && byte === OPEN_ARRAY) {
          this.#beginArray(this.#text(chunk, start, i))
          start = i + 1
        }
        this.#depth++
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (this.#depth === 1 || (this.#depth === 2 && this.#array !== undefined)) {
          this.#close(byte, this.#text(chunk, start, i))
          start = i + 1
        }
        this.#depth--
      } else if (byte === COMMA && this.#isPieceEnd(i - start)) {
        this.#take(this.#text(chunk, start, i), 'something')
        start = i + 1
      }
    }
    this.#keep(chunk.subarray(start))
  }

  /** @throws Error if the text ends too early. */
  end(): Record<string, unknown> {
    if (!this.#isEnded) throw new Error('it ends too early')
    return Object.fromEntries(this.#fields)
  }

  #outside(byte: number): void {
    if (byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d) return
    if (this.#isEnded) throw new Error('something follows its end')
    if (byte !== OPEN_OBJECT) throw new Error('it is no object')
    this.#depth = 1
  }

  #isPieceEnd(bytes: number): boolean {
    if (this.#depth === 1) return true
    return (
      this.#depth === 2 && this.#array !== undefined && this.#pendingBytes + bytes >= batchBytes
    )
  }

  /** The text up to a comma: a field, or some elements. */
  #take(text: string, expectedNext: 'something' | 'nothing'): void {
    if (blank.test(text)) {
      if (this.#expected === 'something') throw new Error('something is missing behind a comma')
    } else {
      if (this.#expected === 'nothing') throw new Error(`a comma is missing before ${shown(text)}`)
      if (this.#array !== undefined)
        for (const element of parse(`[${text}]`) as unknown[]) this.#array.push(element)
      else
        for (const [name, value] of Object.entries(parse(`{${text}}`) as object))
          this.#set(name, value)
    }
    this.#expected = expectedNext
  }

  /** `text`: the name of the field with its colon. */
  #beginArray(text: string): void {
    if (!/:[ \t\r\n]*$/.test(text) || this.#expected === 'nothing')
      throw new Error(`a list follows ${shown(text)}`)
    const [name] = Object.keys(parse(`{${text}0}`) as object)
    this.#array = []
    this.#set(name!, this.#array)
    this.#expected = 'anything'
  }

  #close(byte: number, text: string): void {
    if (byte !== (this.#array === undefined ? CLOSE_OBJECT : CLOSE_ARRAY))
      throw new Error('its brackets do not match')
    if (this.#array === undefined) this.#isEnded = true
    this.#take(text, 'nothing')
    this.#array = undefined
  }

  #set(name: string, value: unknown): void {
    if (this.#fields.has(name)) throw new Error(`it has ${shown(name)} twice`)
    this.#fields.set(name, value)
  }

  #keep(rest: Buffer): void {
    if (rest.length === 0 || this.#depth === 0) return
    this.#pending.push(rest)
    this.#pendingBytes += rest.length
    if (this.#pendingBytes > maxPieceBytes)
      throw new Error(`a part of it has more than ${maxPieceBytes} bytes`)
  }

  #text(chunk: Buffer, start: number, end: number): string {
    if (this.#pending.length === 0) return chunk.toString('utf8', start, end)
    const text = Buffer.concat([...this.#pending, chunk.subarray(start, end)]).toString('utf8')
    this.#pending = []
    this.#pendingBytes = 0
    return text
  }
}

function parse(text: string): unknown {
  return JSON.parse(text) as unknown
}

function shown(text: string): string {
  return JSON.stringify(text.trim().slice(0, 40))
}
