import { splitParts } from '../../delivery/part-queue.ts'
import type { RequestFailure } from '../client/failure.ts'
import { judgeRequest } from './answer.ts'
import type { BulkRequest } from './bulk.ts'
import type { BulkContext } from './context.ts'
import { original, type Part, rejectIn, trialOf } from './part.ts'
import { isUnexplained } from './search.ts'

/** Deals with requests that failed as a whole: there are no items to judge. */
export class RefusedRequests {
  readonly #context: BulkContext

  constructor(context: BulkContext) {
    this.#context = context
  }

  /** What is to be sent again is in the queue, held or searched when this settles. */
  async handle(request: BulkRequest, failure: RequestFailure): Promise<void> {
    const verdict = judgeRequest(failure.status, failure.type)
    if (verdict === 'halve' || verdict === 'bisect') {
      this.#split(request, verdict, failure)
      return
    }
    const unexplained = isUnexplained(failure)
    if (unexplained && (await this.#isSuspect(request, failure))) return
    this.#context.putBack(unexplained ? asUnanswered(request) : request)
    this.#context.failed(failure.message, verdict === 'refused' ? 'error' : 'warn')
  }

  #split(request: BulkRequest, verdict: 'halve' | 'bisect', failure: RequestFailure): void {
    const { parts, documents, body, probes } = request
    if (documents === 1) {
      this.#refusedAlone(request, verdict, failure)
      return
    }
    if (verdict === 'halve') this.#context.pace.refusedForSize(body.length)
    // One half at a time: if nothing gets through, that shows after a few requests and not after
    // one a document.
    const [left, right] = splitParts(parts, documents >> 1)
    if (probes === undefined) this.#context.queue.pushFirst(right)
    else for (const part of right) this.#context.held.putAside(probes, part)
    this.#context.sendNow(left, probes)
  }

  /**
   * A document is alone, and its request is refused as a whole. What is kept of a reject is sent at
   * once. If that is taken, the document was to blame. If it is refused in the same way, nothing
   * gets through, and the document waits as it is.
   */
  #refusedAlone(
    request: BulkRequest,
    verdict: 'halve' | 'bisect',
    { type, message, reason }: RequestFailure,
  ): void {
    const [part] = request.parts as readonly [Part]
    const { names, held, pace } = this.#context
    const reject = rejectIn(part)
    // As text a value is no smaller; without it, what is too large no longer is.
    const valueOmitted = verdict === 'halve'
    if (reject !== undefined && (!valueOmitted || reject.valueOmitted)) {
      pace.forgetRefusals()
      this.#context.putBack(request)
      this.#context.failed(message, 'error')
      return
    }
    if (request.probes !== undefined) held.probed(request.probes, false)
    const rejection = {
      type: valueOmitted ? 'request_too_large' : (type ?? 'refused'),
      reason,
      sayable: message,
    }
    this.#context.sendNow([trialOf(names, part, rejection, { valueOmitted })])
  }

  /**
   * A request failed for the second time without an answer of Elasticsearch. If another one passes,
   * one of its documents may be to blame. The search finds it beside the others.
   */
  async #isSuspect(request: BulkRequest, { message }: RequestFailure): Promise<boolean> {
    const { parts, body, probes } = request
    const { search, stopping, log, sink } = this.#context
    if (search.isIdle && !parts.some(({ unanswered }) => unanswered)) return false
    if (!(await this.#context.controlPasses()) || stopping.aborted) return false
    if (probes !== undefined) this.#context.putBack(request)
    else {
      if (search.isIdle)
        log.warn(
          { event: 'documents_suspected', sink, bytes: body.length, reason: message },
          'looking for a document that keeps a request from getting through',
        )
      search.add(parts.map(original), body.length)
    }
    this.#context.recovered()
    return true
  }
}

function asUnanswered(request: BulkRequest): BulkRequest {
  const parts = request.parts.map((part) => ({ ...part, unanswered: true }))
  return { ...request, parts }
}
