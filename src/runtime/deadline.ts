/**
 * Runs `work` with a signal that is aborted when `signal` is, or after `ms`. The time is the total:
 * data that arrives meanwhile does not extend it. No listener stays on `signal`.
 *
 * @returns what `work` returns
 * @throws DeadlineExceeded when the time is over; the reason of `signal` when that is aborted, or
 *    what `work` makes of it
 */
export async function withDeadline<T>(
  ms: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ended = new AbortController()
  const { promise: abort, reject } = Promise.withResolvers<never>()
  ended.signal.addEventListener('abort', () => reject(ended.signal.reason))
  const timer = setTimeout(() => ended.abort(new DeadlineExceeded(ms)), ms)
  const stop = () => ended.abort(signal?.reason)
  signal?.addEventListener('abort', stop)
  if (signal?.aborted === true) stop()
  try {
    // The work may notice the signal late, or never.
    return await Promise.race([work(ended.signal), abort])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', stop)
  }
}

/** A request as a whole took too long. */
export class DeadlineExceeded extends Error {
  constructor(ms: number) {
    super(`no complete answer within ${ms / 1000} s`)
    this.name = 'DeadlineExceeded'
  }
}

/** Settles like the task, or rejects with the signal's reason once it is aborted. */
export async function untilAborted<T>(task: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([task, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
