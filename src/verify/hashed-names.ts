import { hash } from 'node:crypto'

/** Names that there is room for at first; it doubles. */
const firstRoom = 2 ** 12

/**
 * A set of names of an archive, perhaps many millions. Each takes eight bytes: a
 * number of 53 bits of its hash. So of a billion names that are not in a set of ten million, one or
 * two are taken for a member.
 */
export class HashedNames {
  #keys = new Float64Array(firstRoom)
  #count = 0
  #isSorted = true

  add(name: string): void {
    if (this.#count === this.#keys.length) {
      const larger = new Float64Array(2 * this.#count)
      larger.set(this.#keys)
      this.#keys = larger
    }
    this.#keys[this.#count++] = keyOf(name)
    this.#isSorted = false
  }

  has(name: string): boolean {
    const key = keyOf(name)
    const keys = this.#sorted()
    let low = 0
    let high = keys.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (keys[middle]! < key) low = middle + 1
      else high = middle
    }
    return keys[low] === key
  }

  #sorted(): Float64Array {
    const keys = this.#keys.subarray(0, this.#count)
    if (!this.#isSorted) keys.sort()
    this.#isSorted = true
    return keys
  }
}

function keyOf(name: string): number {
  const digest = hash('sha1', name, 'buffer')
  return digest.readUIntBE(0, 6) * 32 + (digest[6]! & 31)
}
