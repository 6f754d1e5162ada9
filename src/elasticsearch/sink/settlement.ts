import { lineStart } from '../../record/record.ts'
import { RequestFailure } from '../client/failure.ts'
import type { Rejection } from '../rejected.ts'
import { type ItemError, judgeRequest, rejectionOf } from './answer.ts'
import { type Conflict, compareConflicts, maxConflicts, timestampOf } from './conflicts.ts'
import type { BulkContext } from './context.ts'
import { indexOf, type Part, partAs, type Reject, rejectIn, rejectOf } from './part.ts'
import { type AnsweredDocument, type Verdict, wordsOf } from './verdicts.ts'

/** How much of a record is shown, in bytes. */
const sampleBytes = 300

/** What is left of a request once its verdicts are settled. */
export interface Leftover {
  /** Documents that Elasticsearch wants later. They are in the queue again. */
  readonly retried: number
  /** Why, for one of them. */
  readonly error: ItemError | undefined
  /** Documents to be compared with those that have their ids. */
  readonly conflicts: readonly Part[]
}

/** Does what verdicts ask for: acknowledges, holds, rejects, compares, sends again. */
export class Settlement {
  readonly #context: BulkContext

  constructor(context: BulkContext) {
    this.#context = context
  }

  /** The first documents of a part are durable. */
  stored(part: Part, documents: number): void {
    const { pending } = part
    if (pending.closed) return
    const reject = rejectIn(part)
    if (reject !== undefined) this.#sayReject(part, reject)
    pending.acknowledge(documents)
  }

  /** Settles documents, except for conflicts. `verdicts`: one a document, in order. */
  settle(documents: readonly AnsweredDocument[], verdicts: readonly Verdict[]): Leftover {
    const { queue, held, builder } = this.#context
    const [again, renamed, conflicts]: [Part[], Part[], Part[]] = [[], [], []]
    let error: ItemError | undefined
    documents.forEach(({ part, i, index }, n) => {
      const verdict = verdicts[n]!
      if (verdict.is === 'stored') {
        this.stored(part, 1)
        return
      }
      const one = { ...part, start: i, end: i + 1 }
      switch (verdict.is) {
        case 'conflict':
          conflicts.push(one)
          break
        case 'retry':
          error ??= verdict.error
          again.push(one)
          break
        case 'rename':
          builder.nameNoTemplates(index)
          renamed.push(one)
          break
        case 'hold':
          held.hold(index, one, verdict.reason)
          break
        case 'reject':
          this.#reject(one, verdict.rejection, verdict.kind)
      }
    })
    queue.pushFirst([...again, ...renamed])
    this.#tellRetries(documents, verdicts)
    return { retried: again.length, error, conflicts }
  }

  /**
   * A 409 is an acknowledgement if the stored record is the same one. Another one is a collision.
   */
  async settleConflicts(conflicts: readonly Part[]): Promise<void> {
    for (let start = 0; start < conflicts.length; start += maxConflicts)
      await this.#compare(conflicts.slice(start, start + maxConflicts))
  }

  async #compare(parts: readonly Part[]): Promise<void> {
    const { client, names, stopping, queue, sink, log, options } = this.#context
    let conflicts: readonly Conflict[]
    try {
      conflicts = await compareConflicts(client, names, parts, stopping)
    } catch (error) {
      if (!(error instanceof RequestFailure)) throw error
      if (stopping.aborted) return
      // Sent again, they conflict again, and are compared again.
      queue.pushFirst(parts)
      options.observer?.happened(sink, 'retry', reasonOfRequest(error), 1)
      const isRefused = judgeRequest(error.status) === 'refused'
      this.#context.failed(error.message, isRefused ? 'error' : 'warn')
      return
    }
    for (const [n, part] of parts.entries()) this.#settleConflict(part, conflicts[n]!)
    // Deleted meanwhile: sent again, they are created.
    queue.pushFirst(parts.filter((_, n) => conflicts[n]!.is === 'gone'))
    const records = conflicts.filter(({ is }) => is === 'same').length
    if (records > 0)
      log.debug({ event: 'records_present', sink, records }, 'records were stored before')
  }

  #settleConflict(part: Part, conflict: Conflict): void {
    const { held, names, options } = this.#context
    if (conflict.is === 'same') this.stored(part, 1)
    else if (conflict.is === 'other') this.#collided(part, conflict.timestamp)
    else if (conflict.is === 'unreadable') {
      const words = wordsOf(conflict.error, options.logSamples)
      const message = `its documents cannot be read to compare them (${words})`
      held.hold(indexOf(names, part, part.start), part, { is: 'index', message })
    }
  }

  #collided(part: Part, timestamp: number | undefined): void {
    const { content } = part
    if (content.is === 'record') {
      const reason = `the index holds another record under this id, of Kafka timestamp ${timestamp}; was the topic recreated?`
      this.#reject(part, { type: 'id_collision', reason })
    } else if (content.reject.idSuffix === '') {
      // Even among the rejects another record has this id.
      const reject = { ...content.reject, idSuffix: `+${timestampOf(part)}` }
      this.#context.queue.push({ ...part, content: { ...content, reject } })
    } else this.stored(part, 1)
  }

  /** Keeps a record that will never be taken as it is in the rejected index. */
  #reject(part: Part, rejection: Rejection, kind = rejection.type): void {
    const { pending, start } = part
    if (pending.closed) return
    // Refused as a reject, too: it is kept without its value.
    const valueOmitted = part.content.is !== 'record'
    const { names, queue } = this.#context
    const reject = rejectOf(names, pending.batch, start, rejection, { valueOmitted, kind })
    queue.push(partAs(pending, start, { is: 'reject', reject }))
  }

  /** A record is kept as this reject. */
  #sayReject({ pending: { batch }, start: i }: Part, reject: Reject): void {
    const { rejection, kind, index, valueOmitted } = reject
    const { rejectLog, sink, options } = this.#context
    const { logSamples, hasFiles, observer } = options
    const { topic, partition } = batch
    const type = batch.types[batch.typeIndexes[i]!]!.name
    const record = { topic, partition, offset: batch.offsets[i]!, type }
    const reason = logSamples ? rejection.reason : (rejection.sayable ?? rejection.reason)
    const begin = lineStart(batch, i)
    const end = Math.min(batch.ends[i]!, begin + sampleBytes)
    const sample = logSamples ? { sample: batch.lines.toString('utf8', begin, end) } : {}
    observer?.happened(sink, 'reject', rejection.type, 1)
    rejectLog.rejected(
      record,
      { error: rejection.type, reason, keptIn: index, ...sample },
      logSamples ? kind : (rejection.sayable ?? rejection.type),
    )
    if (valueOmitted && !hasFiles) rejectLog.omitted(record, reason)
  }

  #tellRetries(documents: readonly AnsweredDocument[], verdicts: readonly Verdict[]): void {
    const counts = new Map<string, number>()
    documents.forEach(({ item }, n) => {
      const { is } = verdicts[n]!
      if (is !== 'retry' && is !== 'rename' && is !== 'hold') return
      const reason = rejectionOf(item, 0).type
      counts.set(reason, (counts.get(reason) ?? 0) + 1)
    })
    const { options, sink } = this.#context
    for (const [reason, count] of counts) options.observer?.happened(sink, 'retry', reason, count)
  }
}

/** Few different words, so that they can be counted. */
export function reasonOfRequest({ type, status }: RequestFailure): string {
  if (type !== undefined) return type
  return status === undefined ? 'no answer' : `status ${status}`
}
