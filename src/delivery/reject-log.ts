import type { TopicPartition } from '../record/record.ts'
import type { Logger } from '../runtime/log.ts'

/** Rejects of a kind are counted for this time before their number is logged, in ms. */
const sayAgainMs = 60_000
/** Kinds that are remembered: what a producer writes may be part of one. */
const maxKinds = 1000
/** Characters of a reason, which may quote a value. */
const maxReason = 300

/** A record that a sink does not keep as it is. */
export interface RejectedRecord extends TopicPartition {
  readonly offset: number
  readonly type: string
}

/** Why it does not, and what it keeps. */
export interface RejectDetails {
  /** The type of the error, as the server names it. */
  readonly error: string
  /** Must be fit for a log: it may quote the record only with `--log-samples`. */
  readonly reason: string
  /** The index or the table that has what is kept. */
  readonly keptIn: string
  /** The beginning of the record, with `--log-samples`. */
  readonly sample?: string
}

/** Logs rejects: the first of a kind at once, then once a minute how many there were. */
export class RejectLog {
  readonly #log: Logger
  readonly #sink: string
  readonly #said = new Set<string>()
  readonly #unsaid = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(log: Logger, sink: string) {
    this.#log = log
    this.#sink = sink
  }

  /** A record is kept as a reject. `kind`: what it has in common with others, beside its type. */
  rejected(
    record: RejectedRecord,
    { error, reason, keptIn, sample }: RejectDetails,
    kind: string,
    level: 'warn' | 'error' = 'warn',
  ): void {
    if (!this.#isNew(`${record.type}: ${kind}`)) return
    this.#log[level](
      {
        event: 'record_rejected',
        sink: this.#sink,
        ...record,
        error,
        reason: reason.slice(0, maxReason),
        kept_in: keptIn,
        ...(sample === undefined ? {} : { sample }),
      },
      'record rejected',
    )
  }

  /**
   * A sink keeps a record without its value, and no files have it either. Each such loss is named.
   */
  omitted(record: RejectedRecord, reason: string): void {
    this.#log.error(
      { event: 'value_omitted', sink: this.#sink, ...record, reason: reason.slice(0, maxReason) },
      'the value of a record is kept nowhere',
    )
  }

  /** Logs what was counted since it was last logged. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const [kind, count] of this.#unsaid)
      this.#log.warn(
        { event: 'records_rejected', sink: this.#sink, kind, count },
        'more records rejected',
      )
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
