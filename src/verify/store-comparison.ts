import { maxOffsetsAtOnce } from '../elasticsearch/read/reader.ts'
import type { OffsetBitmap } from './offset-bitmap.ts'
import type { ComparedStore } from './store-check.ts'

/** What a comparison of stores works with. */
export interface StoreComparisonOptions {
  readonly stores: readonly ComparedStore[]
  /** The offsets that the stores must hold. */
  readonly held: OffsetBitmap
  /** Offsets from here on are compared, */
  readonly origin: number
  /** up to here: what lies beyond is not acknowledged yet. */
  readonly end: number
  /** Compare numbers of records, not offsets. */
  readonly byNumber: boolean
}

/**
 * Compares stores with the files, range by range while the files are read. One comparison at a time
 * runs beside the reading.
 */
export class StoreComparison {
  readonly #options: StoreComparisonOptions
  /** Offsets below this are compared, or their comparison runs. */
  #compared: number
  /** Records of manifests that are not compared yet; for a comparison by number. */
  #uncompared = 0
  #comparing: Promise<void> = Promise.resolve()

  constructor(options: StoreComparisonOptions) {
    this.#options = options
    this.#compared = options.origin
  }

  /** The files of a manifest have this many records that stores must hold. */
  expect(records: number): void {
    this.#uncompared += records
  }

  /** Everything below `next` counts as compared: the number of its records is not known. */
  skipTo(next: number): void {
    this.#compared = next
    this.#uncompared = 0
  }

  /**
   * All files with offsets below `next` are known. Compares what has gathered since the last
   * comparison, once it is worth a request.
   */
  async reached(next: number, isLast: boolean): Promise<void> {
    const { stores, held, end, byNumber } = this.#options
    const from = this.#compared
    const to = Math.min(next, end)
    if (stores.length === 0 || to <= from) return
    if (to - from < maxOffsetsAtOnce && !isLast && to !== end) return
    this.#compared = to
    const records = this.#uncompared
    this.#uncompared = 0
    await this.#comparing
    // A range that ends inside a manifest cannot be counted by its records alone.
    if (byNumber && to !== next) return
    const range = { from, next: to }
    const compared = stores.map(async (store) => {
      store.records += await (byNumber
        ? store.check.compareNumber(range, records)
        : store.check.compare(range, held))
    })
    this.#comparing = Promise.all(compared).then(() => held.dropBelow(to))
    // The next comparison awaits it. Until then its failure must not count as unhandled.
    this.#comparing.catch(() => {})
  }

  /** Settles when the last comparison is done. */
  async done(): Promise<void> {
    await this.#comparing
  }
}
