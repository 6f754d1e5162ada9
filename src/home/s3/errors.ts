import { systemCode } from '../../runtime/errors.ts'
import { TunnelRefused } from '../../runtime/tunnel.ts'
import { ForeignAnswer } from './answers.ts'

/**
 * What a rejection by the store means. Codes are those of Amazon's "Error responses", and what
 * MinIO, Ceph, SeaweedFS, versitygw and S3Proxy give in their place.
 */

/** The parts of an SDK error that are read here. */
export interface StoreError {
  readonly name: string
  readonly message: string
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string>>
  /** `Region` of the body of a redirect or of a malformed authorization. */
  readonly region: string | undefined
}

/** Undefined for something that is no error. */
export function readStoreError(error: unknown): StoreError | undefined {
  if (!(error instanceof Error)) return undefined
  const { $metadata, $response, Code, Region } = error as Error & {
    readonly $metadata?: { readonly httpStatusCode?: number }
    readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
    readonly Code?: unknown
    readonly Region?: unknown
  }
  const headers = $response?.headers ?? {}
  return {
    name: typeof Code === 'string' && Code !== '' ? Code : error.name,
    message: error.message,
    status: $metadata?.httpStatusCode,
    headers,
    region: typeof Region === 'string' ? Region : headers['x-amz-bucket-region'],
  }
}

/** The name that the store gives to what went wrong: `NoSuchUpload`. */
export function storeCode(error: unknown): string | undefined {
  return readStoreError(error)?.name
}

/** The status of the answer; undefined when there was none. */
export function statusOf(error: unknown): number | undefined {
  return readStoreError(error)?.status
}

/** True when the name that a conditional write asks for is taken: 412. */
export function isTaken(error: unknown): boolean {
  return statusOf(error) === 412 || storeCode(error) === 'PreconditionFailed'
}

/** True when there is no such object. A bucket that is not there is another matter. */
export function isMissing(error: unknown): boolean {
  const code = storeCode(error)
  if (code === 'NoSuchKey' || code === 'NotFound') return true
  return statusOf(error) === 404 && code !== 'NoSuchBucket' && code !== 'NoSuchUpload'
}

/** Names of rejections that pass by themselves. */
const passing = new Set([
  // Another conditional write to the same key is running: "Retry the upload" (Amazon S3,
  // "Conditional writes").
  'ConditionalRequestConflict',
  'OperationAborted',
  'SlowDown',
  'SlowDownRead',
  'SlowDownWrite',
  'InternalError',
  'ServiceUnavailable',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'RequestExpired',
  'ThrottlingException',
  'Throttling',
  'TooManyRequests',
  'BandwidthLimitExceeded',
  // The SDK fetches new ones before the next request.
  'ExpiredToken',
  'ExpiredTokenException',
  'TokenRefreshRequired',
  'IncompleteBody',
  'TimeoutError',
  'AbortError',
])

/** Error codes of a connection when the other end does not answer, or not completely. */
const connection =
  /^(ECONN(RESET|REFUSED|ABORTED)|ETIMEDOUT|EPIPE|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EAI_AGAIN|ENOTFOUND|ERR_STREAM_PREMATURE_CLOSE|UND_ERR_.*)$/

/** The code of a connection that failed, wherever it lies in the error. */
export function connectionCode(error: unknown): string | undefined {
  const code = systemCode(error)
  if (code !== undefined && connection.test(code)) return code
  const cause = error instanceof Error ? error.cause : undefined
  if (cause !== undefined) return connectionCode(cause)
  return error instanceof AggregateError ? connectionCode(error.errors[0]) : undefined
}

/** True for errors that are retried: they say nothing about the request itself. */
export function isPassing(error: unknown): boolean {
  const code = storeCode(error)
  const status = statusOf(error)
  if (code !== undefined && passing.has(code)) return true
  if (status !== undefined && (status === 409 || status === 429 || status >= 500))
    return code !== 'NotImplemented' && status !== 501
  if (error instanceof TunnelRefused) return error.isPassing
  if (error instanceof TruncatedBody || error instanceof StillNowhere) return true
  if (error instanceof ForeignAnswer) return error.isPassing
  if (connectionCode(error) !== undefined) return true
  // An answer that is not XML, from a proxy between us and the store, or one that was cut.
  return (
    error instanceof Error && /Deserialization error|socket hang up|aborted/.test(error.message)
  )
}

/** The store promised more bytes than came. */
export class TruncatedBody extends Error {}

/** Neither the upload nor its object was found yet. */
export class StillNowhere extends Error {}

/** True when an upload can never be completed: it is gone, or its parts differ. */
export function isLostUpload(error: unknown): boolean {
  const code = storeCode(error) ?? ''
  if (['NoSuchUpload', 'InvalidPart', 'InvalidPartOrder', 'NoSuchKey', 'NotFound'].includes(code))
    return true
  // versitygw and s3s-fs have their own words.
  return statusOf(error) === 404 && code !== 'NoSuchBucket'
}
