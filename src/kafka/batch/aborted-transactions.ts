import type { RecordBatchBytes } from './record-set.ts'

/**
 * A transaction that was aborted: its producer's records do not count, from this offset up to its
 * marker.
 */
export interface AbortedTransaction {
  readonly producerId: string
  readonly firstOffset: string
}

const abortMarkerType = 0

/**
 * Tells which batches of a fetch belong to aborted transactions, as Kafka's own consumer does. It
 * replaces kafkajs's filter. That one begins at most one transaction a record, and takes a user's
 * key of four zero bytes for an abort marker.
 */
export class AbortedTransactions {
  readonly #coming: { readonly producerId: string; readonly first: number }[]
  readonly #begun = new Set<string>()

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#coming = aborted
      .map(({ producerId, firstOffset }) => ({ producerId, first: Number(firstOffset) }))
      .sort((a, b) => a.first - b.first)
  }

  /**
   * Must be called for every batch, in order. False for a marker, which holds no records of a
   * user.
   */
  includes(batch: RecordBatchBytes): boolean {
    while (this.#coming.length > 0 && this.#coming[0]!.first < batch.next)
      this.#begun.add(this.#coming.shift()!.producerId)
    if (this.#begun.size === 0 || !batch.isTransactional) return false
    if (!batch.isControl) return this.#begun.has(batch.producerId)
    if (markerType(batch.body) === abortMarkerType) this.#begun.delete(batch.producerId)
    return false
  }
}

/**
 * The type of a marker, which is a batch of one record whose key is two int16, version and type
 * (KIP-98, "Control Messages"). The record's length, attributes, timestamp delta and offset delta
 * come before the key, and so does the key's length. Brokers write each in one byte.
 */
function markerType(body: Buffer): number | undefined {
  let at = 0
  const skipVarint = () => {
    while (at < body.length && body[at]! >= 0x80) at++
    at++
  }
  skipVarint()
  at++
  skipVarint()
  skipVarint()
  const keyLength = (body[at++] ?? 0) >>> 1
  return keyLength >= 4 && at + 4 <= body.length ? body.readInt16BE(at + 2) : undefined
}
