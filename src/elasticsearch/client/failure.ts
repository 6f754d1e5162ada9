/** What is known of an answer that is no answer to the request. */
interface Refusal {
  readonly status?: number | undefined
  readonly type?: string | undefined
  readonly reason?: string
}

/** A request that got no answer, or one that is not an answer of Elasticsearch. */
export class RequestFailure extends Error {
  /** The HTTP status; undefined if there was no answer at all. */
  readonly status: number | undefined
  /** Elasticsearch's `error.type`, if the body had one. */
  readonly type: string | undefined
  /** All that was answered. It may quote a record; the message does not if that can be. */
  readonly reason: string

  constructor(message: string, { status, type, reason = message }: Refusal = {}) {
    super(message)
    this.name = 'RequestFailure'
    this.status = status
    this.type = type
    this.reason = reason
  }
}

/** The time for the request was over before its answer was complete. */
export class NoAnswerInTime extends RequestFailure {
  constructor() {
    super('no answer in time')
    this.name = 'NoAnswerInTime'
  }
}

/** The answer is larger than what is read of one: ask for less. */
export class AnswerTooLarge extends RequestFailure {
  constructor(maxBytes: number) {
    super(`the answer has more than ${maxBytes / 2 ** 20} MiB`)
    this.name = 'AnswerTooLarge'
  }
}

/** The largest answer that is read, in bytes: an endless one must not fill the memory. */
export const maxAnswerBytes = 64 * 2 ** 20
/**
 * The same for an answer that is read as bytes, and that the caller cannot ask for in smaller
 * pieces.
 */
export const maxRawBytes = 512 * 2 ** 20
