/**
 * Repeatable chance: a small generator (splitmix32) that is seeded again for every record. So
 * record `i` of a seed is the same whether or not the earlier ones were made.
 */
export class Random {
  #state = 0

  /** Begins the sequence that belongs to a seed and an index. */
  reset(seed: number, index: number): void {
    this.#state = mix(mix(seed | 0) ^ (index | 0)) ^ Math.floor(index / 2 ** 32)
  }

  /** A whole number from 0 to 2^32 - 1. */
  uint32(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0
    return mix(this.#state) >>> 0
  }

  /** From 0 up to, and without, 1. */
  unit(): number {
    return this.uint32() / 2 ** 32
  }

  /** A whole number from 0 up to, and without, `below`. */
  below(below: number): number {
    return Math.floor(this.unit() * below)
  }

  chance(share: number): boolean {
    return this.unit() < share
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }

  /** About normal: mean 0, deviation 1, never beyond ±3.5. */
  normal(): number {
    return (this.unit() + this.unit() + this.unit() + this.unit() - 2) * Math.sqrt(3)
  }
}

/** The finisher of splitmix32: every bit of the input changes about half of the output's. */
function mix(value: number): number {
  let x = value
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return x ^ (x >>> 15)
}

/** Items with weights, laid out so that picking one is a single look-up. */
export function weighted<T>(weights: readonly (readonly [T, number])[]): readonly T[] {
  return weights.flatMap(([item, weight]) => Array<T>(weight).fill(item))
}

/**
 * A number that depends on every character of a text (FNV-1a): the partition of a key, the seed of
 * a name.
 */
export function hashText(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
