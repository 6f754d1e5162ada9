import type { BulkItem } from './answer.ts'
import { Breaker } from './breaker.ts'
import type { BulkRequest } from './bulk.ts'
import type { BulkContext } from './context.ts'
import type { HoldReason } from './held-indices.ts'
import {
  type AnsweredDocument,
  answered,
  isTaken,
  refusalsOf,
  trippedReason,
  type Verdict,
  verdictOf,
} from './verdicts.ts'

const createdItem: BulkItem = { status: 201 }

/** Judges the documents of a request by its answer, and by what answers before it have taught. */
export class BulkJudge {
  readonly #context: BulkContext
  readonly #breaker: Breaker

  constructor(context: BulkContext, rejectBreaker: number) {
    this.#context = context
    this.#breaker = new Breaker(rejectBreaker)
  }

  /** Every document of a request was created. */
  created({ parts, probes }: BulkRequest): void {
    const { names, search } = this.#context
    if (!this.#breaker.isIdle || !search.isIdle)
      this.#learn(answered(names, parts, () => createdItem))
    if (probes !== undefined) this.#probed(probes, true)
  }

  /** The documents of a request with the items of its answer, and a verdict on each. */
  judge(
    { parts }: BulkRequest,
    items: readonly BulkItem[],
  ): { readonly documents: readonly AnsweredDocument[]; readonly verdicts: readonly Verdict[] } {
    const { names, held, options } = this.#context
    const documents = answered(names, parts, (n) => items[n]!)
    const circumstances = {
      reasonOf: (index: string) => held.reasonOf(index),
      isExpired: (index: string, kind: string) => held.isExpired(index, kind),
      tripped: this.#learn(documents),
      holdMs: options.rejectHoldMs,
      quotes: options.logSamples,
    }
    return { documents, verdicts: documents.map((one) => verdictOf(one, circumstances)) }
  }

  /** If a request is a probe, its verdicts tell whether the index takes documents again. */
  probed({ probes }: BulkRequest, verdicts: readonly Verdict[]): void {
    if (probes === undefined) return
    this.#probed(probes, isTaken(verdicts, this.#context.held.reasonOf(probes)))
  }

  #probed(index: string, taken: boolean): void {
    const { held } = this.#context
    if (taken && held.reasonOf(index)?.is === 'refusals') this.#breaker.reset(index)
    held.probed(index, taken)
  }

  /** @returns the indices to hold now because most of their documents are refused, and why */
  #learn(documents: readonly AnsweredDocument[]): ReadonlyMap<string, HoldReason> {
    const { search, held, options } = this.#context
    if (!search.isIdle) {
      // A document that is stored says that its index is well.
      for (const { item, index } of documents) if (item.status === 201) search.stored(index)
    }
    const tripped = new Map<string, HoldReason>()
    for (const [index, { stored, refused }] of refusalsOf(documents)) {
      const kind = this.#breaker.observe(index, stored, refused)
      if (kind === undefined || held.isExpired(index, kind)) continue
      const { rejectHoldMs: holdMs, logSamples: quotes } = options
      tripped.set(index, trippedReason(kind, { holdMs, quotes }))
    }
    return tripped
  }
}
