import { prototypeOf } from './modules.ts'

interface RequestQueue {
  readonly pending: readonly unknown[]
  /** `sentAt` in ms of `performance.now`: see `clocks.ts`. */
  readonly inflight: ReadonlyMap<
    number,
    { sentAt: number; requestTimeout: number; timeoutRequest(): void }
  >
  /** In ms. */
  readonly requestTimeout: number
  readonly enforceRequestTimeout: boolean
  requestTimeoutIntervalId: NodeJS.Timeout | null
  isConnected(): boolean
  destroy(): void
}

interface RequestQueuePrototype {
  scheduleCheckPendingRequests(this: RequestQueue): void
  scheduleRequestTimeoutCheck(this: RequestQueue): void
}

/** Upper bound between two checks for timeouts, hence on how late a timeout is noticed. */
const maxTimeoutCheckMs = 1000

/**
 * Repairs what makes an idle worker busy:
 *
 * - tulios/kafkajs#1751: with nothing pending, the request queue calls `setTimeout` with a negative
 *   delay, and again each time it fires. So every idle connection wakes once a millisecond, and
 *   Node 24 prints TimeoutNegativeWarning. A queue without pending requests has nothing to check;
 *   `push` schedules when one comes.
 * - Every connection checks each 100 ms for requests that take longer than half a minute. This one
 *   checks when a tenth of the time has passed.
 */
export function repairRequestQueue(): void {
  const prototype = prototypeOf<RequestQueuePrototype>('network/requestQueue', [
    'scheduleCheckPendingRequests',
    'scheduleRequestTimeoutCheck',
  ])
  const { scheduleCheckPendingRequests } = prototype
  prototype.scheduleCheckPendingRequests = function () {
    if (this.pending.length > 0) scheduleCheckPendingRequests.call(this)
  }
  prototype.scheduleRequestTimeoutCheck = function () {
    if (!this.enforceRequestTimeout) return
    this.destroy()
    this.requestTimeoutIntervalId = setInterval(
      () => {
        for (const request of this.inflight.values()) {
          if (performance.now() - request.sentAt > request.requestTimeout) request.timeoutRequest()
        }
        if (!this.isConnected()) this.destroy()
      },
      Math.min(maxTimeoutCheckMs, this.requestTimeout / 10),
    )
  }
}
