import { Backoff } from '../../runtime/retry.ts'

/**
 * Finds the documents that something in front of Elasticsearch does not let through: a proxy's
 * limit of size, a firewall's rule about content. Such a request ends without an answer of
 * Elasticsearch, so only comparison tells which document is to blame. Pure: time is an argument,
 * requests are the caller's.
 *
 * **A document is to blame only when other requests pass.** A group of documents is split only
 * after its request failed while another passed, and a document that is alone becomes a reject only
 * after it failed `neededRefusals` times in this way, over at least `holdMs`. An Elasticsearch that
 * is away proves nothing: groups and documents are tried again as they are.
 *
 * A group that fails is split in two, and both halves are tried. So k documents among n are found
 * with at most `2 k log2(n) + 1` requests.
 */
export class Suspects<T, F extends SuspectFacts> {
  readonly #split: (group: T) => readonly [T, T] | undefined
  readonly #holdMs: number
  readonly #random: () => number
  readonly #groups: GroupCase<T>[] = []
  #alone: AloneCase<T, F>[] = []
  /** Kinds of refusals that lasted for `holdMs` once. */
  readonly #gaveWay = new Set<string>()

  /** `split` returns undefined for one document. */
  constructor(options: {
    readonly split: (group: T) => readonly [T, T] | undefined
    readonly holdMs: number
    readonly random?: () => number
  }) {
    this.#split = options.split
    this.#holdMs = options.holdMs
    this.#random = options.random ?? Math.random
  }

  /** True if nothing is suspected. */
  get isIdle(): boolean {
    return this.#groups.length === 0 && this.#alone.length === 0
  }

  /** Documents that are known not to pass. */
  get alone(): readonly AloneCase<T, F>[] {
    return this.#alone
  }

  /** A request of `group` failed while another passed. `bytes`: of its body. */
  add(group: T, bytes: number): void {
    this.#push({ item: group, root: { bytes, open: 1, found: false } })
  }

  /** Forgets documents that nobody waits for any more. */
  filter(isWanted: (item: T) => boolean): void {
    for (let i = this.#groups.length - 1; i >= 0; i--) {
      if (!isWanted(this.#groups[i]!.item)) this.#groups.splice(i, 1)
    }
    this.#alone = this.#alone.filter(({ item }) => isWanted(item))
  }

  /**
   * What to send now, alone in its request; undefined if nothing is due. Its outcome is to be
   * reported.
   */
  next(now: number): Case<T, F> | undefined {
    return this.#groups.shift() ?? this.#due(now)
  }

  /** When something is due next; undefined if nothing is suspected. */
  get nextAt(): number | undefined {
    if (this.#groups.length > 0) return 0
    return this.#alone.length === 0 ? undefined : Math.min(...this.#alone.map(({ dueAt }) => dueAt))
  }

  #due(now: number): AloneCase<T, F> | undefined {
    let first: AloneCase<T, F> | undefined
    for (const one of this.#alone)
      if (one.dueAt <= now && one.dueAt < (first?.dueAt ?? Infinity)) first = one
    return first
  }

  /**
   * The request of a group passed. Returns the bytes of the request that failed first, once all
   * that was in it passed in smaller requests: it failed for its size, or by chance.
   */
  groupPassed({ root }: GroupCase<T>): number | undefined {
    root.open--
    return root.open === 0 && !root.found ? root.bytes : undefined
  }

  /** The request of a group failed, and nothing else passes: it is tried again as it is. */
  groupAway(group: GroupCase<T>): void {
    this.#groups.unshift(group)
  }

  /**
   * The request of a group failed while another passed.
   * @param describe what is known of one document; called if `group` is one
   * @returns the document, if it is one
   */
  groupRefused(group: GroupCase<T>, now: number, describe: () => F): AloneCase<T, F> | undefined {
    const halves = this.#split(group.item)
    if (halves !== undefined) {
      group.root.open += 1
      for (const item of [...halves].reverse()) this.#push({ item, root: group.root })
      return undefined
    }
    group.root.open--
    group.root.found = true
    const backoff = new Backoff({
      firstMs: firstRetryMs,
      maxMs: maxRetryMs,
      random: this.#random,
    })
    const { item } = group
    const dueAt = now + backoff.next()
    const one = {
      item,
      facts: describe(),
      since: now,
      backoff,
      dueAt,
      triedAt: now,
      refusals: 1,
      asReject: false,
      rejectRefused: false,
    }
    this.#alone.push(one)
    return one
  }

  /** The document passed, or what is kept of it in its place. */
  passed(one: AloneCase<T, F>): void {
    this.#alone = this.#alone.filter((other) => other !== one)
  }

  /** Nothing passes now: what is known of the document stays as it is. */
  away(one: AloneCase<T, F>, now: number): void {
    one.asReject = false
    one.dueAt = now + one.backoff.next()
  }

  /**
   * The document failed again, and other requests passed before and after.
   * Sets `asReject` once the document is to blame: then what is kept of it is due, at once.
   *
   * @param isEvidence false if the failure may be that of the document's index
   */
  refused(one: AloneCase<T, F>, now: number, isEvidence: boolean): void {
    one.dueAt = now + one.backoff.next()
    if (one.asReject) {
      // Not even what is kept of it passes. Later both are tried again.
      one.asReject = false
      one.rejectRefused = true
      return
    }
    if (!isEvidence) return
    one.refusals++
    if (one.refusals < neededRefusals) return
    if (now - one.since < this.#holdMs && !this.#gaveWay.has(one.facts.kind)) return
    this.#gaveWay.add(one.facts.kind)
    one.asReject = true
    one.dueAt = now
  }

  #push(group: GroupCase<T>): void {
    this.#groups.unshift(group)
  }
}

/** How often a document must fail alone while other requests pass. */
export const neededRefusals = 3
const firstRetryMs = 1000
const maxRetryMs = 60_000

/** Documents that failed together. */
export interface GroupCase<T> {
  readonly item: T
  readonly root: {
    readonly bytes: number
    /** Groups of it that are still to be tried. */
    open: number
    /** A document of it does not pass. */
    found: boolean
  }
}

/** What documents that do not pass for the same reason have in common. */
export interface SuspectFacts {
  readonly kind: string
}

/** One document that does not pass. */
export interface AloneCase<T, F> {
  readonly item: T
  readonly facts: F
  readonly since: number
  readonly backoff: Backoff
  dueAt: number
  /** When its request began last; the caller's. */
  triedAt: number
  refusals: number
  /** It is to blame: what is kept of it is sent in its place. */
  asReject: boolean
  /** What is kept of it does not pass either. */
  rejectRefused: boolean
}

export type Case<T, F> = GroupCase<T> | AloneCase<T, F>

export function isGroup<T, F>(one: Case<T, F>): one is GroupCase<T> {
  return 'root' in one
}
