/**
 * Tells one bad document from a broken template: when most documents of an index are refused for
 * one reason, the reason is seldom in the documents. Pure.
 *
 * It looks at about the last `2 * documents` documents of an index that had refusals, however long
 * they took to come: counts are halved when there are more, so that the distant past fades.
 */
export class Breaker {
  readonly #documents: number
  readonly #indices = new Map<string, Tally>()

  /**
   * Trips if more than half of at least `documents` documents were refused for one reason; 0 never
   * trips.
   */
  constructor(documents: number) {
    this.#documents = documents
  }

  /** True while no index is watched: then stored documents need no report. */
  get isIdle(): boolean {
    return this.#indices.size === 0
  }

  /**
   * Documents of an index were answered: how many were stored, and how many refused for each
   * reason.
   * @returns the reason for which most of its recent documents were refused, if that trips the
   *   breaker
   */
  observe(index: string, stored: number, refused: ReadonlyMap<string, number>): string | undefined {
    if (this.#documents === 0) return undefined
    const tally = this.#indices.get(index) ?? { total: 0, refused: new Map<string, number>() }
    if (tally.total === 0 && refused.size === 0) return undefined
    this.#indices.set(index, tally)
    tally.total += stored
    for (const [reason, count] of refused) {
      tally.total += count
      tally.refused.set(reason, (tally.refused.get(reason) ?? 0) + count)
    }
    const tripped = tally.total >= this.#documents ? reasonOfMost(tally) : undefined
    while (tally.total > 2 * this.#documents) halve(tally)
    if (tally.refused.size === 0) this.#indices.delete(index)
    return tripped
  }

  /** Forgets an index: it was mended. */
  reset(index: string): void {
    this.#indices.delete(index)
  }
}

interface Tally {
  total: number
  readonly refused: Map<string, number>
}

function reasonOfMost({ total, refused }: Tally): string | undefined {
  for (const [reason, count] of refused) if (count * 2 > total) return reason
  return undefined
}

function halve(tally: Tally): void {
  tally.total = Math.floor(tally.total / 2)
  for (const [reason, count] of tally.refused) {
    if (count < 2) tally.refused.delete(reason)
    else tally.refused.set(reason, Math.floor(count / 2))
  }
}
