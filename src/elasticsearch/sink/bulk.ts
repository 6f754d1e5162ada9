import type { PartQueue } from '../../delivery/part-queue.ts'
import type { IndexNames } from '../index-name.ts'
import { ActionLines } from './action-lines.ts'
import { BulkBody } from './bulk-body.ts'
import type { Part } from './part.ts'

/** The body of one bulk request, and whose documents it holds, in order. */
export interface BulkRequest {
  readonly body: Buffer
  /** The memory of the body: to be given back once nothing reads it any more. */
  readonly buffer: Buffer
  readonly parts: readonly Part[]
  readonly documents: number
  /** The held index whose documents are sent to find out whether it takes them again. */
  readonly probes: string | undefined
}

/** Indices that take no documents now. */
export interface Held {
  has(index: string): boolean
  /** Keeps a document of a held index for later. */
  putAside(index: string, part: Part): void
}

/** Buffers kept for the next bodies. */
const maxSpare = 2
const maxRemembered = 10_000

/** Makes bodies of parts. A line is copied once, into the body; nothing is parsed. */
export class BulkBuilder {
  readonly #names: IndexNames
  /**
   * Indices whose mapping lacks our dynamic templates: made by an earlier version, or by somebody
   * else's template.
   */
  readonly #withoutTemplates = new Set<string>()
  #hasNamedTemplates = false
  /**
   * Fresh memory for each body would be paged in each time, and wait for the garbage collector.
   */
  readonly #spare: Buffer[] = []

  constructor(names: IndexNames) {
    this.#names = names
  }

  /** An action line named a dynamic template: some field may have become `long`. */
  get hasNamedTemplates(): boolean {
    return this.#hasNamedTemplates
  }

  /** Names no dynamic templates to this index any more. */
  nameNoTemplates(index: string): void {
    // A forgotten index refuses the name again.
    if (this.#withoutTemplates.size >= maxRemembered) this.#withoutTemplates.clear()
    this.#withoutTemplates.add(index)
  }

  /**
   * Takes the documents of the next body out of the queue; undefined if nothing is left to send.
   *
   * @param options.maxBytes of a body, unless a single document is larger
   * @param options.limit the max number of documents
   * @param options.held whose documents are put aside and not sent
   */
  build(
    queue: PartQueue<Part>,
    options: {
      readonly maxBytes: number
      readonly limit?: number
      readonly held?: Held | undefined
    },
  ): BulkRequest | undefined {
    const { maxBytes, limit = Number.POSITIVE_INFINITY, held } = options
    // Action lines are shorter than most lines; if they are not, the rest goes with the next body.
    const body = new BulkBody(this.#room(Math.min(maxBytes, queue.bytes * 2 + 4096), maxBytes))
    const parts: Part[] = []
    let documents = 0
    for (let part = queue.peek(); part !== undefined; part = queue.peek()) {
      if (documents >= limit || body.full) break
      let begin = part.start
      let i = part.start
      const actions = new ActionLines(this.#names, part, this.#withoutTemplates)
      for (; i < part.end && documents < limit; i++) {
        if (held?.has(actions.index(i)) === true) {
          if (i > begin) parts.push({ ...part, start: begin, end: i })
          held.putAside(actions.index(i), { ...part, start: i, end: i + 1 })
          begin = i + 1
        } else if (body.append(actions.head(i), actions.tail(i), part, i)) documents++
        else break
      }
      this.#hasNamedTemplates ||= actions.hasNamed
      if (i > begin) {
        const isWhole = begin === part.start && i === part.end
        parts.push(isWhole ? part : { ...part, start: begin, end: i })
      }
      if (i < part.end) {
        queue.shiftUntil(i)
        break
      }
      queue.shift()
    }
    const { bytes, buffer } = body.take()
    if (documents > 0) return { body: bytes, buffer, parts, documents, probes: undefined }
    this.give(buffer)
    return undefined
  }

  /** Nobody uses a body any more: the next one is made in its place. */
  give(buffer: Buffer): void {
    if (this.#spare.length < maxSpare) this.#spare.push(buffer)
  }

  #room(bytes: number, maxBytes: number): Buffer {
    const spare = this.#spare.pop()
    // Kept while it fits; bodies are of one size for hours, until the server wants smaller ones.
    return spare !== undefined && spare.length >= bytes && spare.length <= maxBytes
      ? spare
      : Buffer.allocUnsafeSlow(bytes)
  }
}
