import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http'
import { request as requestOverTls } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * An endpoint in front of a real object store that does to requests what networks and stores do:
 * answers are lost, cut or late, and some are refusals. What the client signed reaches the store
 * unchanged.
 */

/** What happens to one request. */
export type Fault =
  /** The store does it, and the answer is lost. */
  | { readonly kind: 'lost-answer' }
  /** The connection is reset before the store sees the request. */
  | { readonly kind: 'reset' }
  /** The answer stops in the middle of its body. */
  | { readonly kind: 'cut-body' }
  /** No answer comes, and the store does not see the request. */
  | { readonly kind: 'hang' }
  /**
   * An answer that does not come from the store, 503 SlowDown for example. With status 200 the
   * error is in the body.
   */
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly code: string
      readonly headers?: Readonly<Record<string, string>>
      /** More elements of the body: `<Region>eu-west-1</Region>`. */
      readonly elements?: string
    }
  /**
   * An answer of something between us and the store, which the store knows nothing of. A HEAD gets
   * no body.
   */
  | {
      readonly kind: 'page'
      readonly status: number
      readonly type?: string
      readonly body?: string
      readonly location?: string
    }
  /** The client gets 503, and the store does it after this delay in ms. */
  | { readonly kind: 'late'; readonly ms: number }
  /** Nothing, but the store does it after this delay in ms. */
  | { readonly kind: 'delay'; readonly ms: number }

export const slowDown = { kind: 'answer', status: 503, code: 'SlowDown' } as const satisfies Fault
export const conflict: Fault = { kind: 'answer', status: 409, code: 'ConditionalRequestConflict' }
export const errorInside: Fault = { kind: 'answer', status: 200, code: 'InternalError' }

/** A request as it came by. */
export interface StoreRequest {
  /** `PutObject`, `UploadPart`, … */
  readonly operation: string
  /** Below the bucket. */
  readonly key: string
  readonly headers: IncomingHttpHeaders
}

/** Says what happens to a request; undefined for nothing. */
export type FaultRule = (request: StoreRequest) => Fault | undefined

/** Which operation of S3 a request is, by its method and query. */
function operationOf(method: string, query: URLSearchParams, key: string): string {
  const has = (name: string) => query.has(name)
  if (has('uploadId')) {
    const names: Readonly<Record<string, string>> = {
      PUT: 'UploadPart',
      POST: 'CompleteMultipartUpload',
      DELETE: 'AbortMultipartUpload',
      GET: 'ListParts',
    }
    return names[method] ?? method
  }
  if (has('uploads')) return method === 'POST' ? 'CreateMultipartUpload' : 'ListMultipartUploads'
  if (has('delete')) return 'DeleteObjects'
  if (has('lifecycle')) return 'GetBucketLifecycleConfiguration'
  if (key === '') return method === 'HEAD' ? 'HeadBucket' : 'ListObjectsV2'
  const names: Readonly<Record<string, string>> = {
    PUT: 'PutObject',
    GET: 'GetObject',
    HEAD: 'HeadObject',
    DELETE: 'DeleteObject',
  }
  return names[method] ?? method
}

export class FaultyStore implements AsyncDisposable {
  readonly #upstream: URL
  readonly #server: Server
  readonly #completed = new Set<string>()
  #held: { isHeld: (request: StoreRequest) => boolean; until: Promise<void> } | undefined
  /** Every request that came by, in order, unless `keepsRequests` is false. */
  readonly requests: StoreRequest[] = []
  keepsRequests = true
  /** What happens to requests from now on. */
  rule: FaultRule = () => undefined
  /** As MinIO: who completes an upload again hears that there is none. */
  forgetsCompleted = false

  private constructor(upstream: string) {
    this.#upstream = new URL(upstream)
    this.#server = createServer((incoming, answer) => {
      this.#take(incoming, answer).catch(() => incoming.socket.destroy())
    })
  }

  static async start(upstream: string): Promise<FaultyStore> {
    const store = new FaultyStore(upstream)
    await new Promise<void>((resolve) => store.#server.listen(0, '127.0.0.1', resolve))
    return store
  }

  /** For `--s3-endpoint`. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** The next requests of an operation meet these faults, in order, each once. */
  next(operation: string, ...faults: readonly Fault[]): void {
    const rest = [...faults]
    const before = this.rule
    this.rule = (seen) => (seen.operation === operation ? rest.shift() : undefined) ?? before(seen)
  }

  /** Requests like these reach the store only once something is over. */
  hold(isHeld: (request: StoreRequest) => boolean, until: Promise<void>): void {
    this.#held = { isHeld, until }
  }

  /** How many requests of an operation came by. */
  count(operation: string): number {
    return this.requests.filter((seen) => seen.operation === operation).length
  }

  async #take(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const url = new URL(incoming.url ?? '/', this.#upstream)
    const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'))
    const seen: StoreRequest = {
      operation: operationOf(incoming.method ?? '', url.searchParams, key),
      key,
      headers: incoming.headers,
    }
    if (this.keepsRequests) this.requests.push(seen)
    if (this.#held?.isHeld(seen) === true) await this.#held.until
    const fault = this.rule(seen)
    const upload = seen.operation === 'CompleteMultipartUpload' && url.searchParams.get('uploadId')
    const forward = async () => {
      const passed = await this.#forward(incoming, Buffer.concat(chunks))
      if (upload && passed.status === 200) this.#completed.add(upload)
      return passed
    }
    if (this.forgetsCompleted && upload && this.#completed.has(upload))
      return refuse(answer, { status: 404, code: 'NoSuchUpload' })
    switch (fault?.kind) {
      case 'reset':
        incoming.socket.destroy()
        return
      case 'hang':
        return
      case 'answer':
        return refuse(answer, fault)
      case 'page': {
        const { status, type = 'text/html', body = '<html><p>a page</p></html>', location } = fault
        answer.writeHead(status, {
          'content-type': type,
          ...(location === undefined ? {} : { location }),
        })
        answer.end(body)
        return
      }
      case 'late':
        refuse(answer, slowDown)
        await sleep(fault.ms)
        await forward()
        return
      case 'delay':
        await sleep(fault.ms)
        break
      case 'lost-answer':
        await forward()
        incoming.socket.destroy()
        return
    }
    const { status, headers, body } = await forward()
    answer.writeHead(status, headers)
    if (fault?.kind !== 'cut-body') {
      answer.end(body)
      return
    }
    answer.write(body.subarray(0, body.length >> 1), () => incoming.socket.destroy())
  }

  async #forward(
    { method, url, headers }: IncomingMessage,
    body: Buffer,
  ): Promise<{ status: number; headers: IncomingHttpHeaders; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const { hostname, port, protocol } = this.#upstream
      const send = protocol === 'https:' ? requestOverTls : request
      const sent = send({ hostname, port, method, path: url, headers }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 500,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        )
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

function refuse(answer: ServerResponse, refusal: Omit<Fault & { kind: 'answer' }, 'kind'>): void {
  const { status, code, headers = {}, elements = '' } = refusal
  answer.writeHead(status, { 'content-type': 'application/xml', ...headers })
  answer.end(
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>by the test</Message>${elements}</Error>`,
  )
}
