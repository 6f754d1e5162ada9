import type { PendingBatch } from './pending.ts'

/** Records `[start, end)` of a batch, which go the same way. */
export interface Part {
  readonly pending: PendingBatch
  readonly start: number
  readonly end: number
}

/**
 * The parts that wait to be sent, first in, first out. A part of a partition that was given up
 * never comes out.
 */
export class PartQueue<P extends Part> {
  readonly #bytesOf: (part: P) => number
  #parts: P[] = []
  #bytes = 0

  /** @param bytesOf what a part takes in a request, roughly */
  constructor(bytesOf: (part: P) => number) {
    this.#bytesOf = bytesOf
  }

  /** Bytes of the parts that wait. */
  get bytes(): number {
    return this.#bytes
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0
  }

  push(part: P): void {
    this.#parts.push(part)
    this.#bytes += this.#bytesOf(part)
  }

  /** Puts parts before all that wait: they were tried and are older. */
  pushFirst(parts: readonly P[]): void {
    if (parts.length === 0) return
    this.#parts = parts.concat(this.#parts)
    for (const part of parts) this.#bytes += this.#bytesOf(part)
  }

  /** The part that is next; undefined if none waits. */
  peek(): P | undefined {
    while (this.#parts[0]?.pending.closed === true) this.shift()
    return this.#parts[0]
  }

  /** Takes the part that is next out of the queue. */
  shift(): void {
    const part = this.#parts.shift()
    if (part !== undefined) this.#bytes -= this.#bytesOf(part)
  }

  /** Takes the beginning of the part that is next out of the queue, up to record `start`. */
  shiftUntil(start: number): void {
    const part = this.#parts[0]
    if (part === undefined) return
    const rest = { ...part, start }
    this.#parts[0] = rest
    this.#bytes += this.#bytesOf(rest) - this.#bytesOf(part)
  }

  /** Forgets what was given up, and the memory of its lines with it. */
  dropClosed(): void {
    this.#parts = this.#parts.filter((part) => {
      if (part.pending.closed) this.#bytes -= this.#bytesOf(part)
      return !part.pending.closed
    })
  }
}

/** The first `records` of some parts, and the rest. */
export function splitParts<P extends Part>(parts: readonly P[], records: number): [P[], P[]] {
  const left: P[] = []
  const right: P[] = []
  let room = records
  for (const part of parts) {
    const size = Math.min(room, part.end - part.start)
    room -= size
    if (size > 0) left.push({ ...part, end: part.start + size })
    if (part.start + size < part.end) right.push({ ...part, start: part.start + size })
  }
  return [left, right]
}

/** How many records some parts have. */
export function recordsOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { start, end }) => sum + end - start, 0)
}
