import type { S3Client } from '@aws-sdk/client-s3'

/** The answer to a request, as the SDK hands it on. */
interface RawResponse {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: { readonly destroy?: () => void }
}

/**
 * An answer that no object store gives. A load balancer whose store is away answers 404 in its own
 * words, and a portal answers 200 with a page. Taken for the store's, the first would mean that a
 * committed file is gone, and the second that a manifest was written.
 */
export class ForeignAnswer extends Error {
  readonly answer: string
  /** What answers so while a store is away; the others are rejections, which stay. */
  readonly isPassing: boolean

  constructor({ statusCode, headers }: RawResponse) {
    const type = headers['content-type']
    const answer = `${statusCode}${type === undefined ? '' : ` ${type}`}`
    super(`the answer ${answer} is not that of an object store`)
    this.name = 'ForeignAnswer'
    this.answer = answer
    this.isPassing = statusCode < 300 || statusCode === 404 || statusCode >= 500
  }
}

/** What every success of these has (Amazon S3, "API Reference"). Removals have nothing. */
const evidence: Readonly<Record<string, string>> = {
  PutObjectCommand: 'ETag',
  GetObjectCommand: 'ETag',
  HeadObjectCommand: 'ETag',
  ListObjectsV2Command: 'IsTruncated',
  CreateMultipartUploadCommand: 'UploadId',
  UploadPartCommand: 'ETag',
  CompleteMultipartUploadCommand: 'ETag',
  ListPartsCommand: 'IsTruncated',
  ListMultipartUploadsCommand: 'IsTruncated',
}

/** Makes a client throw `ForeignAnswer` for an answer that does not come from its store. */
export function refuseForeignAnswers(s3: S3Client): void {
  s3.middlewareStack.add(
    (next, { commandName = '' }) =>
      async (args) => {
        try {
          const result = await next(args)
          const response = result.response as RawResponse
          const needed = evidence[commandName]
          const isOurs =
            needed === undefined ? !isPage(response.headers) : has(result.output, needed)
          if (isOurs) return result
          response.body?.destroy?.()
          throw new ForeignAnswer(response)
        } catch (error) {
          if (!(error instanceof Error) || !isForeign(error, commandName)) throw error
          throw new ForeignAnswer(error.$response)
        }
      },
    { step: 'deserialize', priority: 'high', name: 'refuseForeignAnswers' },
  )
}

/**
 * True for an error whose answer has neither a code nor a header of a store. A HEAD never has a
 * code: only for a 404 that matters, and `Objects.headOnce` asks again.
 */
function isForeign(
  error: Error & { readonly Code?: unknown; readonly $response?: RawResponse },
  commandName: string,
): error is Error & { readonly $response: RawResponse } {
  const { Code, $response, message } = error
  if ($response === undefined || Code !== undefined || hasStoreHeader($response.headers))
    return false
  const { statusCode, headers } = $response
  if (commandName === 'HeadObjectCommand') return statusCode === 404
  // A redirection says where to.
  if (statusCode >= 300) return headers.location === undefined
  return message.includes('Deserialization error')
}

function has(output: object | undefined, name: string): boolean {
  return Object.entries(output ?? {}).some(([key, value]) => key === name && value !== undefined)
}

function isPage(headers: RawResponse['headers']): boolean {
  return /html/.test(headers['content-type'] ?? '') && !hasStoreHeader(headers)
}

/** `x-amz-request-id`, which Amazon and most other stores give to every answer. */
function hasStoreHeader(headers: RawResponse['headers']): boolean {
  return Object.keys(headers).some((name) => name.startsWith('x-amz'))
}
