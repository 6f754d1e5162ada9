import { type Shape, UnlikeAnswer } from '../../runtime/shape.ts'
import type { BulkItem, ItemError } from './answer.ts'

/**
 * Elasticsearch has a few causes behind one another. A list without end would be followed to the
 * end of the stack.
 */
const maxCauses = 20

/** One item of a bulk answer, with no more than `BulkItem` names. @throws UnlikeAnswer */
export function bulkItemOf(operation: unknown): BulkItem {
  const [item] =
    typeof operation === 'object' && operation !== null
      ? (Object.values(operation) as unknown[])
      : []
  const {
    status,
    error,
    failure_store: failureStore,
  } = (item ?? {}) as Readonly<Record<string, unknown>>
  if (typeof status !== 'number') throw new UnlikeAnswer('an item has no status')
  return {
    status,
    ...(error === undefined || error === null ? {} : { error: itemErrorOf(error, maxCauses) }),
    ...(typeof failureStore === 'string' ? { failure_store: failureStore } : {}),
  }
}

/** An error as `ItemError` says, with no more causes than are followed. */
export const itemErrorShape: Shape = (value, at) => {
  let error = value
  for (let causes = 0; error !== undefined && error !== null; causes++) {
    const { type, reason, caused_by: cause } = error as Readonly<Record<string, unknown>>
    const isText = typeof type === 'string' && (reason === undefined || typeof reason === 'string')
    if (!isText || causes > maxCauses)
      throw new UnlikeAnswer(`${at} is not an error of Elasticsearch`)
    error = cause
  }
}

function itemErrorOf(error: unknown, causes: number): ItemError {
  if (typeof error === 'string') return { type: 'error', reason: error }
  const { type, reason, caused_by: cause } = (error ?? {}) as Readonly<Record<string, unknown>>
  if (typeof type !== 'string') throw new UnlikeAnswer('an error has no type')
  const isCaused = typeof cause === 'object' && cause !== null && causes > 0
  return {
    type,
    // Reasons are null for some exceptions of Java.
    reason: typeof reason === 'string' ? reason : '',
    ...(isCaused ? { caused_by: itemErrorOf(cause, causes - 1) } : {}),
  }
}
