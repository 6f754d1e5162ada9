import { type Given, layoutHash, topicsHash } from './member-data.ts'

/** A member whose topics differ from the leader's for longer than this joins again. */
const graceMs = 90_000

/** What the leader knew of the topics that a member wants, when it gave out partitions. */
export class KnownTopics {
  readonly #wants: (topic: string) => boolean
  #topics: string | undefined
  #layout: string | undefined
  #differsSince: number | undefined

  constructor(wants: (topic: string) => boolean) {
    this.#wants = wants
  }

  /**
   * A leader of an older version does not say what it knew.
   * @param topics those that the member itself knows
   */
  learn({ topics: hash, layout }: Given, topics: readonly string[]): void {
    this.#topics = hash ?? topicsHash(topics)
    this.#layout = layout
    this.#differsSince = undefined
  }

  differ(topics: readonly string[]): boolean {
    return this.#topics !== topicsHash(topics)
  }

  /** Partitions or topics that the member wants came or went. */
  isOther(layout: ReadonlyMap<string, number>): boolean {
    return this.#layout !== undefined && this.#layout !== layoutHash(layout, this.#wants)
  }

  /**
   * The member is to join again, as its topics are others. If it is not the leader, it leaves that
   * to the leader for a while.
   * @param now in ms of a clock that never goes back
   */
  isOutdated(seen: {
    readonly topics: readonly string[]
    readonly isLeader: boolean
    readonly now: number
  }): boolean {
    if (!this.differ(seen.topics)) {
      this.#differsSince = undefined
      return false
    }
    this.#differsSince ??= seen.now
    return seen.isLeader || seen.now - this.#differsSince >= graceMs
  }
}
