import { omittedMessage } from '../../delivery/pending.ts'
import { lineStart, type RecordBatch } from '../../record/record.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Replacement } from './bulk.ts'

/** How much of a record is shown, in bytes. */
const sampleBytes = 300
const longestReason = 300
const sayAgainMs = 60_000
const maxKinds = 1000

/** Says rejects: a kind of them at once the first time, then once a minute how many there were. */
export class RejectLog {
  readonly #log: Logger
  readonly #hasFiles: boolean
  readonly #showsContent: boolean
  readonly #said = new Set<string>()
  readonly #unsaid = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  /**
   * @param options.showsContent log lines hold the beginning of a refused record, and reasons that
   *   quote it
   * @param options.hasFiles a value that is omitted from a reject is in the files
   */
  constructor(
    log: Logger,
    options: { readonly showsContent: boolean; readonly hasFiles: boolean },
  ) {
    this.#log = log
    this.#showsContent = options.showsContent
    this.#hasFiles = options.hasFiles
  }

  /** Record `i` of a batch is kept as this reject. */
  rejected(
    batch: RecordBatch,
    i: number,
    { index, rejection, kind, valueOmitted }: Replacement,
  ): void {
    const type = batch.types[batch.typeIndexes[i]!]!.name
    const position = { topic: batch.topic, partition: batch.partition, offset: batch.offsets[i]! }
    const reason = (
      this.#showsContent ? rejection.reason : (rejection.sayable ?? rejection.reason)
    ).slice(0, longestReason)
    const ofKind = this.#showsContent ? kind : (rejection.sayable ?? rejection.type)
    if (this.#isNew(`${type}: ${ofKind}`)) {
      const sample = this.#showsContent
        ? {
            sample: batch.lines.toString(
              'utf8',
              lineStart(batch, i),
              Math.min(batch.ends[i]!, lineStart(batch, i) + sampleBytes),
            ),
          }
        : {}
      this.#log.warn(
        { ...position, type, error: rejection.type, ...sample },
        `Elasticsearch refused a document of type ${type}: ${reason}; such documents are kept in ${index}`,
      )
    }
    if (valueOmitted && !this.#hasFiles)
      this.#log.error({ ...position, type }, omittedMessage('Elasticsearch', position, reason))
  }

  /** Says what was counted since it was last said. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const [kind, count] of this.#unsaid) {
      this.#log.warn({ count }, `Elasticsearch refused ${count} more documents: ${kind}`)
    }
    this.#unsaid.clear()
  }

  #isNew(kind: string): boolean {
    if (this.#said.has(kind)) {
      this.#unsaid.set(kind, (this.#unsaid.get(kind) ?? 0) + 1)
      this.#timer ??= setTimeout(() => this.flush(), sayAgainMs)
      return false
    }
    if (this.#said.size >= maxKinds) this.#said.clear()
    this.#said.add(kind)
    return true
  }
}
