import type { Logger } from '../../runtime/log.ts'
import { Backoff, sleep } from '../../runtime/retry.ts'
import type { Part } from './bulk.ts'

/** Why an index is held, in words and in kind. */
export interface HoldReason {
  /** `error.type` and reason. */
  readonly message: string
  /**
   * What the refused documents have in common (`kindOf`), where it is documents that are refused.
   */
  readonly kind?: string
  /**
   * How long it is held at most, in ms: what is refused after that is the documents' own fault.
   * Infinity where nothing can be wrong with them (a closed index, a block): that is waited for as
   * long as it lasts.
   */
  readonly mostMs: number
  /**
   * Documents of which no more than half are refused for their content are a sign that the index
   * takes documents again.
   */
  readonly forRefusals: boolean
}

interface HeldIndex {
  readonly reason: HoldReason
  readonly since: number
  readonly backoff: Backoff
  parts: Part[]
  probing: boolean
  saidAt: number
}

const firstProbeMs = 500
const mostProbeMs = 15_000
const sayAgainMs = 300_000

/** A held index is asked with few documents, so that an index that stays closed costs nothing. */
export const probeDocuments = 50

/**
 * Indices that take no documents for now, and the documents that wait for them. From time to time a
 * few of them are sent as a probe; once a probe is taken, the index is no longer held and all that
 * waited goes out.
 */
export class HeldIndices {
  readonly #held = new Map<string, HeldIndex>()
  readonly #log: Logger
  readonly #stopping: AbortSignal
  readonly #sendProbe: (parts: readonly Part[]) => void
  readonly #release: (parts: readonly Part[]) => void
  readonly #expired: (index: string, reason: HoldReason) => void

  /**
   * `sendProbe` gets documents of one index, whose outcome is to be told to `probed`. `expired` is
   * told of an index that was held for `mostMs`, before its documents are released.
   */
  constructor(parts: {
    log: Logger
    stopping: AbortSignal
    sendProbe: (parts: readonly Part[]) => void
    release: (parts: readonly Part[]) => void
    expired: (index: string, reason: HoldReason) => void
  }) {
    this.#log = parts.log
    this.#stopping = parts.stopping
    this.#sendProbe = parts.sendProbe
    this.#release = parts.release
    this.#expired = parts.expired
  }

  get isEmpty(): boolean {
    return this.#held.size === 0
  }

  has(index: string): boolean {
    return this.#held.has(index)
  }

  /** Why an index is held; undefined where it is not. */
  reasonOf(index: string): HoldReason | undefined {
    return this.#held.get(index)?.reason
  }

  /** One of the held indices, for people. */
  get waiting(): string | undefined {
    for (const [index, { reason }] of this.#held)
      return `${index} takes no documents: ${reason.message}`
    return undefined
  }

  /**
   * Puts documents of an index aside. Where it is held already, for another reason perhaps, the
   * first reason stands.
   */
  hold(index: string, part: Part, reason: HoldReason): void {
    if (part.pending.closed) return
    append((this.#held.get(index) ?? this.#begin(index, reason)).parts, part)
  }

  #begin(index: string, reason: HoldReason): HeldIndex {
    const now = performance.now()
    const backoff = new Backoff({ firstMs: firstProbeMs, mostMs: mostProbeMs })
    const held: HeldIndex = { reason, since: now, backoff, parts: [], probing: false, saidAt: now }
    this.#held.set(index, held)
    this.#say(index, held)
    this.#probeLater(index, held)
    return held
  }

  #say(index: string, { reason }: HeldIndex): void {
    const patience =
      reason.mostMs === Number.POSITIVE_INFINITY
        ? 'its records wait until it does, the others go on'
        : `its records wait for it to be mended, at most ${Math.round(reason.mostMs / 6000) / 10} minutes, the others go on`
    this.#log.error({ index }, `${index} takes no documents: ${reason.message}; ${patience}`)
  }

  /**
   * A probe came back, or was never sent: whether the index takes documents again. What was refused
   * of it is held by then.
   */
  probed(index: string, taken: boolean): void {
    const held = this.#held.get(index)
    if (held === undefined || !held.probing) return
    held.probing = false
    if (!taken) {
      this.#probeLater(index, held)
      return
    }
    this.#held.delete(index)
    const seconds = Math.round((performance.now() - held.since) / 100) / 10
    this.#log.info({ index, seconds }, `${index} takes documents again, after ${seconds} s`)
    this.#release(held.parts)
  }

  /** Forgets the documents of partitions that were given up. */
  dropClosed(): void {
    for (const held of this.#held.values())
      held.parts = held.parts.filter(({ pending }) => !pending.closed)
  }

  #probeLater(index: string, held: HeldIndex): void {
    const left = held.since + held.reason.mostMs - performance.now()
    void sleep(Math.max(0, Math.min(held.backoff.next(), left)), this.#stopping).then((slept) => {
      if (slept) this.#probe(index, held)
    })
  }

  #probe(index: string, held: HeldIndex): void {
    const now = performance.now()
    held.parts = held.parts.filter(({ pending }) => !pending.closed)
    if (held.parts.length === 0) {
      this.#held.delete(index)
      return
    }
    if (now - held.since >= held.reason.mostMs) {
      this.#held.delete(index)
      this.#expired(index, held.reason)
      this.#release(held.parts)
      return
    }
    if (now - held.saidAt >= sayAgainMs) {
      held.saidAt = now
      this.#say(index, held)
    }
    held.probing = true
    this.#sendProbe(takeProbe(held))
  }
}

function takeProbe(held: HeldIndex): Part[] {
  const probe: Part[] = []
  let room = probeDocuments
  let taken = 0
  for (const part of held.parts) {
    if (room === 0) break
    const end = Math.min(part.end, part.start + room)
    room -= end - part.start
    probe.push({ ...part, end, probe: true })
    if (end === part.end) taken++
    else held.parts[taken] = { ...part, start: end }
  }
  held.parts.splice(0, taken)
  return probe
}

/** Documents that follow one another in a batch stay one part. */
function append(parts: Part[], { probe: _, ...part }: Part): void {
  const last = parts.at(-1)
  const joins =
    last !== undefined &&
    last.pending === part.pending &&
    last.end === part.start &&
    last.replacement === undefined &&
    part.replacement === undefined
  if (joins) parts[parts.length - 1] = { ...last, end: part.end }
  else parts.push(part)
}
