import type { PendingBatch } from '../../delivery/pending.ts'
import { longestNumber, putNumber } from '../../record/decimal.ts'
import { lineStart, type TopicPartition } from '../../record/record.ts'
import { type IndexNames, sameDay } from '../index-name.ts'
import type { Rejection } from '../rejected.ts'
import { numberTemplatesOf } from '../templates/number-templates.ts'

/**
 * A document other than a record's own line: what is kept of a record that Elasticsearch refused.
 */
export interface Replacement {
  readonly index: string
  readonly source: Buffer
  /** Why the record is not there as it is. */
  readonly rejection: Rejection
  /** What it has in common with others that were refused so: for log lines. */
  readonly kind: string
  /** It has nothing of the value: what is left can hardly be refused. */
  readonly valueOmitted: boolean
  /**
   * Sent in the place of this part, whose request was refused as a whole: that was the document's
   * fault only if the request of the replacement is not.
   */
  readonly insteadOf?: Part
  /** Behind the record's own `_id`, where another record has that in this index. */
  readonly idSuffix?: string
}

/** Records `[start, end)` of a batch, which go the same way. */
export interface Part {
  readonly pending: PendingBatch
  readonly start: number
  readonly end: number
  readonly replacement?: Replacement
  /** Sent to find out whether a held index takes documents again. */
  readonly probe?: boolean
  /** A request with it ended without an answer of Elasticsearch before. */
  readonly failed?: boolean
}

/** The body of one bulk request, and whose documents it holds, in order. */
export interface BulkRequest {
  readonly body: Buffer
  /** What the body lies in: to be given back once nothing reads it any more. */
  readonly buffer: Buffer
  readonly parts: readonly Part[]
  readonly documents: number
}

/** Buffers kept for the next bodies. */
const mostSpare = 2
const maxRemembered = 10_000

/** The `_id` of a record: the same wherever and whenever it is sent. */
export function documentId({ topic, partition }: TopicPartition, offset: number): string {
  return `${topic}+${partition}+${offset}`
}

/**
 * The parts that wait, first in, first out, and the bodies made of them. Lines are copied once,
 * into the body; nothing is parsed.
 */
export class BulkQueue {
  readonly #names: IndexNames
  /** Bytes of a body, except where a single document is larger. May change at any time. */
  mostBytes: number
  #parts: Part[] = []
  #bytes = 0
  /**
   * Indices whose mapping lacks the dynamic templates of ours: made by an earlier version, or by a
   * template of others.
   */
  readonly #withoutTemplates = new Set<string>()
  #hasNamedTemplates = false
  /**
   * Fresh memory for each body would be paged in anew each time, and wait for the garbage
   * collector.
   */
  readonly #spare: Buffer[] = []

  constructor(names: IndexNames, mostBytes: number) {
    this.#names = names
    this.mostBytes = mostBytes
  }

  /** Bytes of the lines that wait. */
  get bytes(): number {
    return this.#bytes
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0
  }

  /** An action line named a dynamic template: some field may have become `long`. */
  get hasNamedTemplates(): boolean {
    return this.#hasNamedTemplates
  }

  push(part: Part): void {
    this.#parts.push(part)
    this.#bytes += partBytes(part)
  }

  /** Puts parts before all that wait: they were tried and are older. */
  pushFirst(parts: readonly Part[]): void {
    this.#parts = parts.concat(this.#parts)
    for (const part of parts) this.#bytes += partBytes(part)
  }

  /** Forgets what was given up, and the memory of its lines with it. */
  dropClosed(): void {
    this.#parts = this.#parts.filter((part) => {
      const dropped = part.pending.closed && part.probe !== true
      if (dropped) this.#bytes -= partBytes(part)
      return !dropped
    })
  }

  /** Names no dynamic templates to this index any more. */
  nameNoTemplates(index: string): void {
    // Forgotten, an index says so again.
    if (this.#withoutTemplates.size >= maxRemembered) this.#withoutTemplates.clear()
    this.#withoutTemplates.add(index)
  }

  /**
   * The next body of at most `limit` documents; undefined where nothing is left to send. `isHeld`
   * says of which indices nothing is to be sent; their documents go to `hold`, as does a probe that
   * was given up, so that another is sent.
   */
  take(
    isHeld: ((index: string) => boolean) | undefined,
    hold: (index: string, part: Part) => void,
    limit: number = Number.POSITIVE_INFINITY,
  ): BulkRequest | undefined {
    // Action lines are shorter than most lines; where they are not, the rest goes with the next
    // body.
    const body = new BulkBody(this.#room(Math.min(this.mostBytes, this.#bytes * 2 + 4096)))
    const parts: Part[] = []
    let documents = 0
    while (this.#parts.length > 0 && documents < limit && !body.full) {
      const part = this.#parts[0]!
      this.#bytes -= partBytes(part)
      if (part.pending.closed) {
        if (part.probe === true) hold(indexOf(this.#names, part, part.start), part)
        this.#parts.shift()
        continue
      }
      let begin = part.start
      let i = part.start
      const actions = new ActionLines(this.#names, part, this.#withoutTemplates)
      for (; i < part.end && documents < limit; i++) {
        if (isHeld !== undefined && part.probe !== true && isHeld(actions.index(i))) {
          if (i > begin) parts.push({ ...part, start: begin, end: i })
          hold(actions.index(i), { ...part, start: i, end: i + 1 })
          begin = i + 1
          continue
        }
        if (!body.append(actions.head(i), actions.tail(i), part, i)) break
        documents++
      }
      this.#hasNamedTemplates ||= actions.hasNamed
      if (i > begin)
        parts.push(
          begin === part.start && i === part.end ? part : { ...part, start: begin, end: i },
        )
      if (i < part.end) {
        const rest = { ...part, start: i }
        this.#parts[0] = rest
        this.#bytes += partBytes(rest)
        break
      }
      this.#parts.shift()
    }
    const { body: bytes, buffer } = body.take()
    if (documents > 0) return { body: bytes, buffer, parts, documents }
    this.give(buffer)
    return undefined
  }

  /** A body is not used any more by anybody: the next one is made in its place. */
  give(buffer: Buffer): void {
    if (this.#spare.length < mostSpare) this.#spare.push(buffer)
  }

  #room(bytes: number): Buffer {
    const spare = this.#spare.pop()
    // Kept while it fits; bodies are of one size for hours, until the server wants smaller ones.
    return spare !== undefined && spare.length >= bytes && spare.length <= this.mostBytes
      ? spare
      : Buffer.allocUnsafeSlow(bytes)
  }
}

/** The index of record `i` of a part. */
export function indexOf(
  names: IndexNames,
  { pending: { batch }, replacement }: Part,
  i: number,
): string {
  return replacement?.index ?? names.of(batch.types[batch.typeIndexes[i]!]!, batch.hours[i]!)
}

function partBytes({ pending: { batch }, start, end, replacement }: Part): number {
  if (replacement !== undefined) return replacement.source.length
  return end === start ? 0 : batch.ends[end - 1]! - lineStart(batch, start)
}

const plainTail = Buffer.from('"}}\n')

/**
 * Action lines, but for the offset in them; remembers the index of each type of the batch for the
 * day seen last.
 */
class ActionLines {
  readonly #names: IndexNames
  readonly #part: Part
  readonly #idStart: string
  readonly #withoutTemplates: ReadonlySet<string>
  readonly #tail: Buffer
  /** One of them named a dynamic template. */
  hasNamed = false
  readonly #indexOfType: string[] = []
  readonly #headOfType: Buffer[] = []
  readonly #hourOfType: number[] = []

  constructor(names: IndexNames, part: Part, withoutTemplates: ReadonlySet<string>) {
    this.#names = names
    this.#part = part
    this.#withoutTemplates = withoutTemplates
    this.#idStart = `","_id":"${documentId(part.pending.batch, 0).slice(0, -1)}`
    this.#tail =
      part.replacement?.idSuffix === undefined
        ? plainTail
        : Buffer.from(`${part.replacement.idSuffix}"}}\n`)
  }

  index(i: number): string {
    const typeIndex = this.#know(i)
    return this.#indexOfType[typeIndex]!
  }

  /** What is before the offset. */
  head(i: number): Buffer {
    return this.#headOfType[this.#know(i)]!
  }

  /** What is behind the offset. */
  tail(i: number): Buffer {
    const { pending, replacement } = this.#part
    if (replacement !== undefined) return this.#tail
    const templates = numberTemplatesOf(pending.batch, i)
    if (templates === undefined || this.#withoutTemplates.has(this.index(i))) return this.#tail
    this.hasNamed = true
    return Buffer.from(`","dynamic_templates":${templates}}}\n`)
  }

  #know(i: number): number {
    const { batch } = this.#part.pending
    const typeIndex = batch.typeIndexes[i]!
    const hour = batch.hours[i]!
    const known = this.#hourOfType[typeIndex]
    if (known === hour) return typeIndex
    if (known === undefined || !sameDay(known, hour)) {
      const index = indexOf(this.#names, this.#part, i)
      this.#indexOfType[typeIndex] = index
      // A pipeline is for records: one that drops them, or fails, must not do so with what is kept
      // of them.
      const pipeline = this.#part.replacement === undefined ? '' : '"pipeline":"_none",'
      this.#headOfType[typeIndex] = Buffer.from(
        `{"create":{${pipeline}"_index":"${index}${this.#idStart}`,
      )
    }
    this.#hourOfType[typeIndex] = hour
    return typeIndex
  }
}

/** A body in the making. */
class BulkBody {
  #buffer: Buffer
  #used = 0
  #full = false

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  get full(): boolean {
    return this.#full
  }

  /**
   * Appends a document behind its action line; false where it has no room and must wait for the
   * next body.
   */
  append(
    head: Buffer,
    tail: Buffer,
    { pending: { batch }, replacement }: Part,
    i: number,
  ): boolean {
    const start = replacement === undefined ? lineStart(batch, i) : 0
    const source = replacement?.source ?? batch.lines
    const end = replacement === undefined ? batch.ends[i]! : source.length
    const needed = head.length + longestNumber + tail.length + end - start
    if (this.#used + needed > this.#buffer.length) {
      this.#full = true
      if (this.#used > 0) return false
      this.#buffer = Buffer.allocUnsafeSlow(needed)
    }
    const buffer = this.#buffer
    buffer.set(head, this.#used)
    const used = putNumber(buffer, this.#used + head.length, batch.offsets[i]!)
    buffer.set(tail, used)
    source.copy(buffer, used + tail.length, start, end)
    this.#used = used + tail.length + end - start
    return true
  }

  /** The bytes, and what they lie in. */
  take(): { readonly body: Buffer; readonly buffer: Buffer } {
    return { body: this.#buffer.subarray(0, this.#used), buffer: this.#buffer }
  }
}
