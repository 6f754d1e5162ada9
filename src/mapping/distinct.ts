/**
 * How many different values there are, and some of them. Up to `maxExact` values the count is
 * exact; beyond, it is an estimate by HyperLogLog (Flajolet et al., 2007) with 2048 registers: a
 * standard error of 2.3 %. The state depends on the set of values alone, so neither their order nor
 * a merge changes it.
 */

const maxExact = 64
const registerBits = 11
const registers = 2 ** registerBits
/** Of longer texts only the beginning and the length are compared. */
const maxHashed = 4096
/** Values that are kept as examples: those with the lowest hashes. */
const maxExamples = 8
const maxExampleBytes = 64

/** A value and its hash of 53 bits. */
interface Example {
  readonly hash: number
  readonly text: string
}

export class Distinct {
  #hashes: Set<number> | undefined = new Set()
  #registers: Uint8Array | undefined
  #examples: Example[] = []

  /** Adds the value in `[start, end)`. `kind` separates `1` from `"1"`. */
  add(bytes: Buffer, start: number, end: number, kind: number): void {
    const hash = hashOf(bytes, start, end, kind)
    const isNew = this.#addHash(hash)
    if (!isNew || end - start > maxExampleBytes) return
    const examples = this.#examples
    if (examples.length === maxExamples && examples.at(-1)!.hash <= hash) return
    this.#keep({ hash, text: bytes.toString('utf8', start, end) })
  }

  #keep(example: Example): void {
    if (this.#examples.some(({ hash }) => hash === example.hash)) return
    this.#examples = [...this.#examples, example]
      .sort((a, b) => a.hash - b.hash)
      .slice(0, maxExamples)
  }

  /** False if the value is known to have been there. */
  #addHash(hash: number): boolean {
    if (this.#hashes !== undefined) {
      if (this.#hashes.has(hash)) return false
      this.#hashes.add(hash)
      if (this.#hashes.size > maxExact) this.#spread()
    } else setRegister(this.#registers!, hash)
    return true
  }

  #spread(): void {
    this.#registers = new Uint8Array(registers)
    for (const hash of this.#hashes!) setRegister(this.#registers, hash)
    this.#hashes = undefined
  }

  merge(other: Distinct): void {
    for (const example of other.#examples) this.#keep(example)
    if (other.#hashes !== undefined) {
      for (const hash of other.#hashes) this.#addHash(hash)
      return
    }
    if (this.#hashes !== undefined) this.#spread()
    const own = this.#registers!
    for (const [i, rank] of other.#registers!.entries()) if (rank > own[i]!) own[i] = rank
  }

  get isExact(): boolean {
    return this.#hashes !== undefined
  }

  get count(): number {
    if (this.#hashes !== undefined) return this.#hashes.size
    const all = this.#registers!
    let sum = 0
    let empty = 0
    for (const rank of all) {
      sum += 2 ** -rank
      if (rank === 0) empty++
    }
    const estimate = ((0.7213 / (1 + 1.079 / registers)) * registers * registers) / sum
    // For few values the empty registers say more.
    const counted = estimate <= 2.5 * registers && empty > 0
    return Math.round(counted ? registers * Math.log(registers / empty) : estimate)
  }

  /** Up to eight values as they are written, short ones only, in order. */
  get examples(): readonly string[] {
    return this.#examples.map(({ text }) => text).sort()
  }
}

function setRegister(all: Uint8Array, hash: number): void {
  const high = Math.floor(hash / 2 ** 32)
  const low = hash >>> 0
  const i = low & (registers - 1)
  // 21 bits of each half remain: 42 bits, enough for any count that fits into memory and time.
  const rest = low >>> registerBits
  const rank =
    rest !== 0 ? Math.clz32(rest) - registerBits + 1 : 32 - registerBits + Math.clz32(high) - 11 + 1
  if (rank > all[i]!) all[i] = rank
}

/** 53 bits of two multiplicative hashes (cyrb53). */
function hashOf(bytes: Buffer, start: number, end: number, kind: number): number {
  let one = 0xdeadbeef ^ kind
  let two = 0x41c6ce57 ^ (end - start)
  const last = Math.min(end, start + maxHashed)
  for (let i = start; i < last; i++) {
    const byte = bytes[i]!
    one = Math.imul(one ^ byte, 2654435761)
    two = Math.imul(two ^ byte, 1597334677)
  }
  one = Math.imul(one ^ (one >>> 16), 2246822507) ^ Math.imul(two ^ (two >>> 13), 3266489909)
  two = Math.imul(two ^ (two >>> 16), 2246822507) ^ Math.imul(one ^ (one >>> 13), 3266489909)
  return 2 ** 32 * (two & 0x1fffff) + (one >>> 0)
}
