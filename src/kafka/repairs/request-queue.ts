import { createRequire } from 'node:module'
import { ArchiverError } from '../../runtime/errors.ts'

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
  scheduleCheckPendingRequests?: (this: RequestQueue) => void
  scheduleRequestTimeoutCheck?: (this: RequestQueue) => void
}

/**
 * How often a connection looks for requests that take too long, at the least: then one that does is
 * noticed at most so much later.
 */
const mostTimeoutCheckMs = 1000

const repaired = new WeakSet<object>()

/**
 * Repairs what makes an idle worker busy:
 *
 * - tulios/kafkajs#1751: with nothing pending, the request queue calls `setTimeout` with a negative
 *   delay, and again each time it fires, so every idle connection wakes once a millisecond and Node
 *   24 prints TimeoutNegativeWarning. A queue without pending requests has nothing to check; `push`
 *   schedules when one comes.
 * - Every connection looks each 100 ms for requests that take longer than half a minute. This one
 *   looks when a tenth of the time has gone by.
 *
 * @throws ArchiverError `INTERNAL` where kafkajs is not built as the version this was written for.
 */
export function repairRequestQueue(): void {
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as {
    prototype: RequestQueuePrototype
  }
  if (repaired.has(prototype)) return
  const { scheduleCheckPendingRequests: schedule, scheduleRequestTimeoutCheck } = prototype
  if (typeof schedule !== 'function' || typeof scheduleRequestTimeoutCheck !== 'function') {
    throw new ArchiverError(
      'INTERNAL',
      'kafkajs is not as expected (2.2.4): the methods of its RequestQueue',
    )
  }
  prototype.scheduleCheckPendingRequests = function () {
    if (this.pending.length > 0) schedule.call(this)
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
      Math.min(mostTimeoutCheckMs, this.requestTimeout / 10),
    )
  }
  repaired.add(prototype)
}
