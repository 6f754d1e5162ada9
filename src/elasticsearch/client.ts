import { readFileSync } from 'node:fs'
import { Client, type ClientOptions, errors, SniffingTransport } from '@elastic/elasticsearch'
import { ArchiverError, messageOf } from '../errors.ts'

/** How to reach Elasticsearch, as the options say. */
export interface ElasticsearchConnection {
  readonly nodes: readonly string[]
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly apiKey?: string | undefined
  readonly caFile?: string | undefined
  readonly caFingerprint?: string | undefined
  readonly cloudId?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly compression: boolean
  readonly requestTimeoutMs: number
}

/** What a request needs of an answer: the status decides, the body is only read where there is something to judge. */
export interface Answer<T> {
  readonly status: number
  readonly body: T
}

/** A request that got no answer, or one that is not an answer of Elasticsearch. */
export class RequestFailure extends Error {
  /** The HTTP status; undefined where there was no answer at all. */
  readonly status: number | undefined
  /** Elasticsearch's `error.type`, where the body had one. */
  readonly type: string | undefined

  constructor(message: string, status: number | undefined, type: string | undefined, cause: unknown) {
    super(message, { cause })
    this.name = 'RequestFailure'
    this.status = status
    this.type = type
  }
}

const mediaType = (kind: string, major: number) => `application/vnd.elasticsearch+${kind}; compatible-with=${major}`

/**
 * The client speaks the REST API of one major version; a server takes its own and the one before (Elasticsearch reference, "REST
 * API compatibility"). So everybody understands 8 until the server's version is known.
 */
function transportFor(major: number): typeof SniffingTransport {
  return class extends SniffingTransport {
    constructor(options: ConstructorParameters<typeof SniffingTransport>[0]) {
      super({
        ...options,
        vendoredHeaders: {
          jsonContentType: mediaType('json', major),
          ndjsonContentType: mediaType('x-ndjson', major),
          accept: `${mediaType('json', major)},text/plain`,
        },
      })
    }
  }
}

/** A thin face of the official client: one call, no retries of its own, no parsing of answers that say "no errors". */
export class Elasticsearch {
  readonly #connection: ElasticsearchConnection
  #client: Client
  #version = 'unknown'

  constructor(connection: ElasticsearchConnection) {
    this.#connection = connection
    this.#client = this.#connect(8)
  }

  #connect(major: number): Client {
    const {
      nodes,
      username,
      password,
      apiKey,
      caFile,
      caFingerprint,
      cloudId,
      headers,
      compression,
      requestTimeoutMs,
    } = this.#connection
    const options: ClientOptions = {
      Transport: transportFor(major),
      maxRetries: 0,
      requestTimeout: requestTimeoutMs,
      compression,
      ...(cloudId === undefined ? { nodes: [...nodes] } : { cloud: { id: cloudId } }),
      ...(apiKey === undefined ? {} : { auth: { apiKey } }),
      ...(username === undefined || apiKey !== undefined ? {} : { auth: { username, password: password ?? '' } }),
      ...(caFile === undefined ? {} : { tls: { ca: readFileSync(caFile) } }),
      ...(caFingerprint === undefined ? {} : { caFingerprint }),
      ...(headers === undefined ? {} : { headers: { ...headers } }),
    }
    return new Client(options)
  }

  /** The server's version, once `detect` has asked. */
  get version(): string {
    return this.#version
  }

  /**
   * Asks for the server's version and speaks its REST API from now on.
   * @throws ArchiverError `UNREACHABLE` where it does not answer or refuses us.
   */
  async detect(): Promise<void> {
    const where = this.#connection.cloudId === undefined ? this.#connection.nodes.join(', ') : 'the cloud id given'
    try {
      this.#version = await this.#askVersion()
    } catch (error) {
      const hint =
        error instanceof RequestFailure && (error.status === 401 || error.status === 403)
          ? 'check the user, password or API key'
          : 'is it running, and is --elasticsearch right?'
      throw new ArchiverError(
        'UNREACHABLE',
        `Elasticsearch at ${where}: ${messageOf(error)}; ${hint}`,
        { elasticsearch: where },
        error,
      )
    }
    const major = Number(this.#version.split('.')[0])
    if (major < 8) {
      throw new ArchiverError('UNREACHABLE', `Elasticsearch at ${where} is ${this.#version}; 8 and 9 are supported`)
    }
    if (major > 8) {
      await this.#client.close()
      this.#client = this.#connect(9)
    }
  }

  async #askVersion(): Promise<string> {
    // A minimal distribution has no handler for `GET /`.
    const info = await this.request<{ version?: { number?: string } }>('GET', '/', { ignore: [400, 403, 404, 405] })
    if (info.body?.version?.number !== undefined) return info.body.version.number
    const nodes = await this.request<{ nodes: Record<string, { version: string }> }>('GET', '/_nodes', {
      query: { filter_path: 'nodes.*.version' },
    })
    const [node] = Object.values(nodes.body.nodes)
    if (node === undefined) throw new Error('it names no nodes')
    return node.version
  }

  /**
   * One request. Statuses in `ignore` are answers like any other.
   * @throws RequestFailure for any other status of 400 and above, and where there was no answer.
   */
  async request<T>(
    method: string,
    path: string,
    options: {
      readonly body?: unknown
      readonly bulkBody?: Buffer
      readonly query?: Readonly<Record<string, string>>
      readonly ignore?: readonly number[]
      readonly timeoutMs?: number
      readonly signal?: AbortSignal
    } = {},
  ): Promise<Answer<T>> {
    const { body, bulkBody, query, ignore, timeoutMs, signal } = options
    try {
      const answer = await this.#client.transport.request<T>(
        {
          method,
          path,
          ...(body === undefined ? {} : { body: body as Record<string, unknown> }),
          ...(bulkBody === undefined ? {} : { bulkBody: bulkBody as unknown as string }),
          ...(query === undefined ? {} : { querystring: { ...query } }),
        },
        {
          meta: true,
          maxRetries: 0,
          ...(ignore === undefined ? {} : { ignore: [...ignore] }),
          ...(timeoutMs === undefined ? {} : { requestTimeout: timeoutMs }),
          ...(signal === undefined ? {} : { signal }),
        },
      )
      return { status: answer.statusCode ?? 0, body: answer.body }
    } catch (error) {
      throw failureOf(error)
    }
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}

/** The client's errors as what the sink judges. Their own messages may carry bodies and headers; only what is needed is kept. */
function failureOf(error: unknown): RequestFailure {
  if (error instanceof errors.ResponseError) {
    const body = error.body as { error?: { type?: string; reason?: string } | string } | undefined
    const inner = typeof body?.error === 'object' ? body.error : undefined
    const status = error.statusCode
    const words = inner?.reason ?? (typeof body?.error === 'string' ? body.error : `status ${status}`)
    return new RequestFailure(`${inner?.type ?? 'refused'} (${status}): ${words}`, status, inner?.type, error)
  }
  if (error instanceof errors.TimeoutError) return new RequestFailure('no answer in time', undefined, undefined, error)
  return new RequestFailure(messageOf(error), undefined, undefined, error)
}
