import { createRequire } from 'node:module'
import { ArchiverError } from '../errors.ts'

interface RequestQueue {
  readonly pending: readonly unknown[]
}
interface RequestQueuePrototype {
  scheduleCheckPendingRequests?: (this: RequestQueue) => void
}

const repaired = new WeakSet<object>()

/**
 * Repairs tulios/kafkajs#1751: with nothing pending, the request queue calls `setTimeout` with a negative delay, and
 * again each time it fires, so every idle connection wakes once a millisecond and Node 24 prints TimeoutNegativeWarning.
 * A queue without pending requests has nothing to check; `push` schedules when one comes.
 *
 * @throws ArchiverError `INTERNAL` where kafkajs is not built as the version this was written for.
 */
export function repairRequestQueue(): void {
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as {
    prototype: RequestQueuePrototype
  }
  if (repaired.has(prototype)) return
  const schedule = prototype?.scheduleCheckPendingRequests
  if (typeof schedule !== 'function') {
    throw new ArchiverError('INTERNAL', 'kafkajs has no RequestQueue.scheduleCheckPendingRequests; 2.2.4 is expected')
  }
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this)
  }
  repaired.add(prototype)
}
