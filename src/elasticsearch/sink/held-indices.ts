import { splitParts } from '../../delivery/part-queue.ts'
import type { Logger } from '../../runtime/log.ts'
import { Outage } from '../../runtime/outage.ts'
import { Backoff, sleep } from '../../runtime/retry.ts'
import type { Held } from './bulk.ts'
import type { Part } from './part.ts'

/**
 * Why an index is held, in words for people and in kind.
 *
 * - index: nothing can be wrong with its documents (a closed index, a block). It is held as long as
 *   that lasts.
 * - unrecognized: its documents are refused for an error that this program does not recognize.
 * - refusals: most of its documents are refused for one reason, for their content. It takes
 *   documents again once no more than half of a probe is refused.
 *
 * After `maxMs` a refusal of `kind` is the documents' own fault.
 */
export type HoldReason = { readonly message: string } & (
  | { readonly is: 'index' }
  | { readonly is: 'unrecognized' | 'refusals'; readonly kind: string; readonly maxMs: number }
)

interface HeldIndex {
  readonly reason: HoldReason
  readonly since: number
  readonly backoff: Backoff
  readonly outage: Outage
  parts: Part[]
  isProbing: boolean
}

const firstProbeMs = 500
const maxProbeMs = 15_000
const sayAgainMs = 300_000

/** A held index is asked with few documents, so that an index that stays closed costs nothing. */
export const probeDocuments = 50

/**
 * Indices that take no documents now, and the documents that wait for them. From time to time a few
 * of them are sent as a probe. Once a probe is taken, the index is no longer held, and all that
 * waited is sent.
 */
export class HeldIndices implements Held {
  readonly #held = new Map<string, HeldIndex>()
  /** Refusals that were held for their max time: type of the index and kind of the refusal. */
  readonly #expired = new Set<string>()
  readonly #log: Logger
  readonly #stopping: AbortSignal
  readonly #sendProbe: (index: string, parts: readonly Part[]) => void
  readonly #release: (parts: readonly Part[]) => void

  /** @param parts.sendProbe sends documents of one index and reports to `probed` or `putBack` */
  constructor(parts: {
    readonly log: Logger
    readonly stopping: AbortSignal
    readonly sendProbe: (index: string, parts: readonly Part[]) => void
    readonly release: (parts: readonly Part[]) => void
  }) {
    this.#log = parts.log
    this.#stopping = parts.stopping
    this.#sendProbe = parts.sendProbe
    this.#release = parts.release
  }

  get isEmpty(): boolean {
    return this.#held.size === 0
  }

  has(index: string): boolean {
    return this.#held.has(index)
  }

  /** Why an index is held; undefined if it is not. */
  reasonOf(index: string): HoldReason | undefined {
    return this.#held.get(index)?.reason
  }

  /** Refusals of this kind were held for their max time: such documents are rejected at once. */
  isExpired(index: string, kind: string): boolean {
    return this.#expired.has(expiredKey(index, kind))
  }

  /** One of the held indices, for people. */
  get waiting(): string | undefined {
    for (const [index, { reason }] of this.#held)
      return `${index} takes no documents: ${reason.message}`
    return undefined
  }

  /**
   * Puts documents of an index aside. If it is held already, perhaps for another reason, the first
   * reason counts.
   */
  hold(index: string, part: Part, reason: HoldReason): void {
    if (part.pending.closed) return
    append((this.#held.get(index) ?? this.#begin(index, reason)).parts, part)
  }

  /** Puts a document of a held index aside. */
  putAside(index: string, part: Part): void {
    const held = this.#held.get(index)
    if (held === undefined) this.#release([part])
    else if (!part.pending.closed) append(held.parts, part)
  }

  #begin(index: string, reason: HoldReason): HeldIndex {
    const now = performance.now()
    const held: HeldIndex = {
      reason,
      since: now,
      backoff: new Backoff({ firstMs: firstProbeMs, maxMs: maxProbeMs }),
      outage: new Outage({ sayAgainMs }),
      parts: [],
      isProbing: false,
    }
    this.#held.set(index, held)
    this.#say(index, held, now)
    this.#probeLater(index, held)
    return held
  }

  #say(index: string, { reason, outage }: HeldIndex, now: number): void {
    if (!outage.failed(reason.message, now)) return
    const minutes = reason.is === 'index' ? {} : { max_minutes: minutesOf(reason.maxMs) }
    this.#log.error(
      { event: 'index_held', index, reason: reason.message, ...minutes },
      'holding an index that takes no documents',
    )
  }

  /** A probe comes back that was not sent, or has no answer. */
  putBack(index: string, parts: readonly Part[]): void {
    for (const part of parts) this.putAside(index, part)
    this.probed(index, false)
  }

  /**
   * A probe was answered: whether the index takes documents again. What was refused of it is held
   * by then.
   */
  probed(index: string, isTaken: boolean): void {
    const held = this.#held.get(index)
    if (held === undefined || !held.isProbing) return
    held.isProbing = false
    if (!isTaken) {
      this.#probeLater(index, held)
      return
    }
    this.#held.delete(index)
    const seconds = Math.round((performance.now() - held.since) / 100) / 10
    this.#log.info({ event: 'index_released', index, seconds }, 'index takes documents again')
    this.#release(held.parts)
  }

  /** Forgets the documents of partitions that were given up. */
  dropClosed(): void {
    for (const held of this.#held.values()) held.parts = openParts(held)
  }

  #probeLater(index: string, held: HeldIndex): void {
    const left = held.since + maxMsOf(held.reason) - performance.now()
    void sleep(Math.max(0, Math.min(held.backoff.next(), left)), this.#stopping).then((slept) => {
      if (slept) this.#probe(index, held)
    })
  }

  #probe(index: string, held: HeldIndex): void {
    const now = performance.now()
    held.parts = openParts(held)
    if (held.parts.length === 0) this.#held.delete(index)
    else if (now - held.since >= maxMsOf(held.reason)) this.#expire(index, held)
    else {
      this.#say(index, held, now)
      held.isProbing = true
      this.#sendProbe(index, takeProbe(held))
    }
  }

  /** Nobody mended it: from now on documents of this type that are refused so are rejected. */
  #expire(index: string, { reason, parts }: HeldIndex): void {
    this.#held.delete(index)
    if (reason.is !== 'index') {
      this.#expired.add(expiredKey(index, reason.kind))
      this.#log.error(
        {
          event: 'index_hold_expired',
          index,
          reason: reason.message,
          minutes: minutesOf(reason.maxMs),
        },
        'rejecting documents of an index that was not mended',
      )
    }
    this.#release(parts)
  }
}

function maxMsOf(reason: HoldReason): number {
  return reason.is === 'index' ? Number.POSITIVE_INFINITY : reason.maxMs
}

function minutesOf(ms: number): number {
  return Math.round(ms / 6000) / 10
}

/** The index without its day: what was not mended for one day is not waited for on the next. */
function expiredKey(index: string, kind: string): string {
  return `${index.slice(0, index.lastIndexOf('-'))} ${kind}`
}

function openParts({ parts }: HeldIndex): Part[] {
  return parts.filter(({ pending }) => !pending.closed)
}

function takeProbe(held: HeldIndex): Part[] {
  const [probe, rest] = splitParts(held.parts, probeDocuments)
  held.parts = rest
  return probe
}

/** Documents that follow one another in a batch stay one part. */
function append(parts: Part[], part: Part): void {
  const last = parts.at(-1)
  const joins =
    last?.pending === part.pending &&
    last.end === part.start &&
    last.content.is === 'record' &&
    part.content.is === 'record'
  if (!joins) parts.push(part)
  else {
    const unanswered = last.unanswered || part.unanswered
    parts[parts.length - 1] = { ...last, end: part.end, unanswered }
  }
}
