import { readFileSync } from 'node:fs'
import {
  Client,
  type ClientOptions,
  type DiagnosticResult,
  errors,
  Serializer,
  SniffingTransport,
} from '@elastic/elasticsearch'
import { pathOf, redirected } from '../../runtime/address.ts'
import { DeadlineExceeded, withDeadline } from '../../runtime/deadline.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { describeProxy, noProxies } from '../../runtime/proxies.ts'
import { each, object, optional, type Shape, text, UnlikeAnswer } from '../../runtime/shape.ts'
import type { ElasticsearchConnection } from '../connection.ts'
import { type BulkItem, isSayable } from '../sink/answer.ts'
import { bulkItemOf } from '../sink/bulk-item.ts'
import { agentFor } from './agent.ts'
import { BoundedConnection } from './bounded-connection.ts'
import { errorIn } from './error-body.ts'
import { checkedFingerprint, type PinnedTls, pinnedTls, trustsNobody } from './pinned-authority.ts'

/**
 * What a request needs of an answer: the status decides, the body is only read where there is
 * something to judge.
 */
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
  /** All that was answered, which may quote a record; the message does not where that can be. */
  readonly reason: string

  constructor(
    message: string,
    status: number | undefined,
    type: string | undefined,
    reason = message,
  ) {
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
    super('no answer in time', undefined, undefined)
    this.name = 'NoAnswerInTime'
  }
}

/** The answer is larger than what is read of one: the same again for less. */
export class AnswerTooLarge extends RequestFailure {
  constructor(maxBytes: number) {
    super(`the answer has more than ${maxBytes / 2 ** 20} MiB`, undefined, undefined)
    this.name = 'AnswerTooLarge'
  }
}

const mediaType = (kind: string, major: number) =>
  `application/vnd.elasticsearch+${kind}; compatible-with=${major}`

/**
 * The client speaks the REST API of one major version; a server takes its own and the one before
 * (Elasticsearch reference, "REST API compatibility"). So everybody understands 8 until the
 * server's version is known.
 */
function transportFor(major: number): typeof SniffingTransport {
  return class extends SniffingTransport {
    constructor(options: ConstructorParameters<typeof SniffingTransport>[0]) {
      super({
        ...options,
        // Whoever sends waits between tries, for a time that suits what is sent.
        retryBackoff: () => 0,
        vendoredHeaders: {
          jsonContentType: mediaType('json', major),
          ndjsonContentType: mediaType('x-ndjson', major),
          accept: `${mediaType('json', major)},text/plain`,
        },
      })
    }
  }
}

/**
 * The largest answer that is read, in bytes: a server that does not end must not fill the memory.
 */
export const maxAnswerBytes = 64 * 2 ** 20
/**
 * The same for an answer that is read as bytes, and that the caller cannot ask for in smaller
 * pieces.
 */
export const maxRawBytes = 512 * 2 ** 20

const noErrors = '{"errors":false'
/**
 * Asks for what is needed to judge each document and no more: 26 bytes instead of 174 a document.
 */
const bulkFilter = 'errors,items.*.error,items.*.status,items.*.failure_store'
const storedItem = '{"create":{"status":201}}'

/**
 * An answer to a bulk request that says "no errors" is not parsed where it says the same of every
 * item.
 */
class UnparsedBulk {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  /** True where the answer is that of exactly so many documents, all created. */
  isOf(documents: number): boolean {
    return this.text === `${noErrors},"items":[${`${storedItem},`.repeat(documents).slice(0, -1)}]}`
  }
}

class BulkSerializer extends Serializer {
  override deserialize<T>(json: string): T {
    return json.startsWith(noErrors) ? (new UnparsedBulk(json) as T) : super.deserialize(json)
  }
}

interface ParsedBulk {
  readonly errors?: boolean
  readonly items?: readonly unknown[]
}

/**
 * A thin face of the official client: no parsing of answers that say "no errors", and errors
 * without secrets or bodies in them.
 */
export class Elasticsearch {
  readonly #connection: ElasticsearchConnection
  readonly #fingerprint: string | undefined
  readonly #ca: Buffer | undefined
  #client: Client
  #version = 'unknown'
  #major = 8
  /** What the fingerprint stands for, once a node has presented it. */
  #pinned: PinnedTls | undefined
  #pinning: Promise<void> | undefined

  /**
   * @throws ArchiverError `USAGE` for options that do not go together. Nothing is connected yet.
   */
  constructor(connection: ElasticsearchConnection) {
    this.#connection = connection
    const { caFile, caFingerprint, nodes, cloudId } = this.#connection
    this.#ca = caFile === undefined ? undefined : readCertificate(caFile)
    this.#fingerprint = caFingerprint === undefined ? undefined : checkedFingerprint(caFingerprint)
    if (
      caFingerprint !== undefined &&
      (cloudId !== undefined || !nodes.every((node) => node.startsWith('https:')))
    ) {
      throw new ArchiverError('USAGE', '--elasticsearch-fingerprint is for nodes with https')
    }
    this.#client = this.#connect()
  }

  #connect(): Client {
    const { nodes, username, password, apiKey, cloudId, headers, compression } = this.#connection
    const tls =
      this.#fingerprint === undefined
        ? this.#ca && { ca: this.#ca }
        : (this.#pinned ?? trustsNobody)
    const { proxies = noProxies, requestTimeoutMs } = this.#connection
    const options: ClientOptions = {
      ...agentFor(proxies, nodes, tls, requestTimeoutMs),
      Transport: transportFor(this.#major),
      Connection: BoundedConnection,
      Serializer: BulkSerializer,
      // Another node at once where one does not answer; a connection that the other side has closed
      // is tried once more.
      maxRetries: Math.max(1, nodes.length - 1),
      requestTimeout: this.#connection.requestTimeoutMs,
      // Else each error gets a copy of its request in which secrets are masked, made byte by byte:
      // of 5 MB that takes half a minute and a gigabyte, and the worker falls out of its group.
      // `failureOf` keeps nothing of a request.
      redaction: { type: 'off' },
      compression,
      maxResponseSize: maxAnswerBytes,
      maxCompressedResponseSize: maxAnswerBytes,
      ...(cloudId === undefined ? { nodes: [...nodes] } : { cloud: { id: cloudId } }),
      ...(apiKey === undefined ? {} : { auth: { apiKey } }),
      ...(username === undefined || apiKey !== undefined
        ? {}
        : { auth: { username, password: password ?? '' } }),
      ...(tls === undefined ? {} : { tls }),
      ...(headers === undefined ? {} : { headers: { ...headers } }),
    }
    try {
      return new Client(options)
    } catch (error) {
      throw new ArchiverError(
        'USAGE',
        `Elasticsearch's options do not go together: ${messageOf(error)}`,
      )
    }
  }

  /** The server's version, once `detect` has asked. */
  get version(): string {
    return this.#version
  }

  /** ` through the proxy …`, or nothing. */
  get #way(): string {
    const { nodes, proxies = noProxies } = this.#connection
    const used = nodes.flatMap((node) => proxies.of(new URL(node)) ?? [])
    return [...new Set(used.map((proxy) => ` through ${describeProxy(proxy)}`))].join(',')
  }

  /** Where it is, for people: without credentials. */
  get address(): string {
    return this.#connection.cloudId === undefined
      ? this.#connection.nodes.join(', ')
      : 'the cloud id given'
  }

  /**
   * Asks for the server's version and speaks its REST API from now on.
   * @throws ArchiverError `UNREACHABLE` where no node answers or we are refused.
   */
  async detect(): Promise<void> {
    const where = this.address
    try {
      this.#version = await this.#askVersion()
    } catch (error) {
      const refused =
        error instanceof RequestFailure && (error.status === 401 || error.status === 403)
      const hint = refused
        ? 'check the user, password or API key'
        : 'is it running, and is --elasticsearch right?'
      const way = this.#way
      throw new ArchiverError(
        'UNREACHABLE',
        `Elasticsearch at ${where}${way}: ${messageOf(error)}; ${hint}`,
        {
          elasticsearch: where,
        },
      )
    }
    const major = Number(this.#version.split('.')[0])
    if (!(major >= 8)) {
      throw new ArchiverError(
        'UNREACHABLE',
        `Elasticsearch at ${where} is ${this.#version}; 8 and 9 are supported`,
      )
    }
    if (major > 8) await this.#connectAs(9)
  }

  async #connectAs(major: number): Promise<void> {
    const before = this.#client
    this.#major = major
    this.#client = this.#connect()
    await before.close()
  }

  /**
   * Finds out once which certificate the fingerprint stands for; what fails is tried again with the
   * next request.
   */
  #pin(): Promise<void> | undefined {
    if (this.#fingerprint === undefined || this.#pinned !== undefined) return undefined
    const { nodes, requestTimeoutMs, proxies = noProxies } = this.#connection
    this.#pinning ??= pinnedTls(nodes, this.#fingerprint, requestTimeoutMs, proxies, this.#ca)
      .then((pinned) => {
        this.#pinned = pinned
        return this.#connectAs(this.#major)
      })
      .finally(() => {
        this.#pinning = undefined
      })
    return this.#pinning
  }

  async #askVersion(): Promise<string> {
    // A minimal distribution has no handler for `GET /`; the nodes' versions need the cluster
    // privilege `monitor`.
    const info = await this.request<{ version?: { number?: unknown } } | undefined>('GET', [], {
      ignore: [400, 403, 404, 405],
    })
    const version = info.body?.version?.number
    if (typeof version === 'string') return version
    const nodes = await this.request<{ nodes?: Record<string, { version: string }> }>(
      'GET',
      ['_nodes'],
      {
        query: { filter_path: 'nodes.*.version' },
        shape: object({ nodes: optional(each(object({ version: text }))) }),
      },
    )
    const [node] = Object.values(nodes.body.nodes ?? {})
    if (node === undefined) throw new Error('it names no nodes')
    return node.version
  }

  /**
   * One bulk request of so many documents. `timeoutMs`: how long the server waits for shards and
   * new indices.
   *
   * @returns an item a document, in order; undefined where all of them were created.
   * @throws RequestFailure where the request as a whole failed, or the answer is not one for these
   *   documents.
   */
  async bulk(
    body: Buffer,
    documents: number,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<readonly BulkItem[] | undefined> {
    const answer = await this.request<UnparsedBulk | ParsedBulk | string>('POST', ['_bulk'], {
      bulkBody: body,
      query: {
        filter_path: bulkFilter,
        timeout: `${Math.max(1, Math.round(options.timeoutMs))}ms`,
      },
      signal: options.signal,
    }).catch((error: unknown) => {
      throw error instanceof RequestFailure ? withoutQuotes(error) : error
    })
    if (answer.body instanceof UnparsedBulk && answer.body.isOf(documents)) return undefined
    const parsed = answer.body instanceof UnparsedBulk ? parse(answer.body.text) : answer.body
    if (
      typeof parsed !== 'object' ||
      parsed === null ||
      parsed.errors === undefined ||
      !Array.isArray(parsed.items)
    ) {
      throw new RequestFailure(
        'the answer is not that of Elasticsearch to a bulk request',
        undefined,
        undefined,
      )
    }
    if (parsed.items.length !== documents) {
      throw new RequestFailure(
        `the answer has ${parsed.items.length} items for ${documents} documents`,
        undefined,
        undefined,
      )
    }
    try {
      return parsed.items.map(bulkItemOf)
    } catch (error) {
      throw failureOf(error, this.#way)
    }
  }

  /**
   * Whether a bulk request passes, on the same way as all others, and is answered by Elasticsearch.
   * It stores nothing: it asks for an alias of this name, and there is none (`require_alias`,
   * Elasticsearch reference, "Bulk API").
   */
  async takesBulk(alias: string, signal: AbortSignal): Promise<boolean> {
    const action = JSON.stringify({
      create: { _index: alias, _id: 'control', require_alias: true },
    })
    try {
      const { body } = await this.request<ParsedBulk | undefined>('POST', ['_bulk'], {
        bulkBody: Buffer.from(`${action}\n{}\n`),
        query: { filter_path: bulkFilter },
        signal,
      })
      return Array.isArray(body?.items)
    } catch (error) {
      if (error instanceof RequestFailure) return false
      throw error
    }
  }

  /**
   * One request. `path` has a name a segment, as it is: encoded here. Statuses in `ignore` are
   * answers like any other. `shape`: what an answer with a status below 400 must have. `timeoutMs`
   * is for the request as a whole, from the connection to the last byte of the answer: the timeouts
   * of the client count from one byte to the next.
   * @throws RequestFailure for any other status of 400 and above, and where there was no answer.
   */
  async request<T>(
    method: string,
    path: readonly string[],
    options: {
      readonly body?: unknown
      readonly bulkBody?: Buffer
      readonly query?: Readonly<Record<string, string>>
      readonly ignore?: readonly number[]
      readonly shape?: Shape
      readonly timeoutMs?: number
      readonly signal?: AbortSignal
    } = {},
  ): Promise<Answer<T>> {
    const {
      body,
      bulkBody,
      query,
      ignore,
      shape,
      timeoutMs = this.#connection.requestTimeoutMs,
      signal,
    } = options
    try {
      return await withDeadline(timeoutMs, signal, async (deadline) => {
        await this.#pin()
        const answer = await this.#client.transport.request<T>(
          {
            method,
            path: pathOf(path),
            ...(body === undefined ? {} : { body: body as Record<string, unknown> }),
            ...(bulkBody === undefined ? {} : { bulkBody: bulkBody as unknown as string }),
            ...(query === undefined ? {} : { querystring: { ...query } }),
          },
          {
            meta: true,
            ...(ignore === undefined ? {} : { ignore: [...ignore] }),
            signal: deadline,
          },
        )
        refuseRedirect(answer)
        const status = answer.statusCode ?? 0
        if (status < 400) shape?.(answer.body, 'the answer')
        return { status, body: answer.body }
      })
    } catch (error) {
      throw failureOf(error, this.#way)
    }
  }

  /**
   * One request whose answer is wanted byte for byte: parsing and printing would change numbers
   * that JavaScript does not have.
   * @throws RequestFailure, also for an answer of more than `maxBytes`
   */
  async raw(
    method: string,
    path: readonly string[],
    body: unknown,
    query: Readonly<Record<string, string>> = {},
    maxBytes = maxAnswerBytes,
  ): Promise<Buffer> {
    try {
      return await withDeadline(this.#connection.requestTimeoutMs, undefined, async (signal) => {
        await this.#pin()
        const answer = await this.#client.transport.request<NodeJS.ReadableStream>(
          {
            method,
            path: pathOf(path),
            body: body as Record<string, unknown>,
            querystring: { ...query },
          },
          { meta: true, asStream: true, signal },
        )
        refuseRedirect(answer)
        const pieces: Buffer[] = []
        let bytes = 0
        for await (const piece of answer.body) {
          pieces.push(piece as Buffer)
          bytes += piece.length
          // Leaving the loop ends the connection.
          if (bytes > maxBytes) throw new AnswerTooLarge(maxBytes)
        }
        return Buffer.concat(pieces)
      })
    } catch (error) {
      throw failureOf(error, this.#way)
    }
  }

  async close(): Promise<void> {
    await this.#client.close()
  }
}

/** What is sent holds credentials and records, so it goes nowhere else: who has moved is named. */
function refuseRedirect({ statusCode = 0, headers }: DiagnosticResult): void {
  if (statusCode < 300 || statusCode > 399) return
  throw new RequestFailure(redirected(statusCode, headers?.location), undefined, undefined)
}

/** A refused bulk request: its reason may quote a record of the body. */
function withoutQuotes(failure: RequestFailure): RequestFailure {
  const { status, type, message } = failure
  if (status === undefined || (type !== undefined && isSayable(type))) return failure
  return new RequestFailure(`${type ?? 'refused'} (${status})`, status, type, message)
}

function parse(text: string): ParsedBulk {
  try {
    return JSON.parse(text) as ParsedBulk
  } catch {
    throw new RequestFailure('the answer to a bulk request was cut off', undefined, undefined)
  }
}

function readCertificate(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new ArchiverError(
      'USAGE',
      `--elasticsearch-ca ${file} cannot be read: ${messageOf(error)}`,
    )
  }
}

/**
 * The client's errors as what the sink judges. They carry bodies and headers, secrets among them:
 * only words are kept.
 */
function failureOf(error: unknown, way: string): RequestFailure {
  if (error instanceof errors.ResponseError) {
    const status = error.statusCode
    const { type, reason } = errorIn(error.body)
    return new RequestFailure(
      `${type ?? 'refused'} (${status}): ${reason ?? `status ${status}`}`,
      status,
      type,
    )
  }
  if (error instanceof UnlikeAnswer) {
    return new RequestFailure(
      `the answer is not one of Elasticsearch: ${error.message}`,
      undefined,
      undefined,
    )
  }
  if (error instanceof RequestFailure) return error
  if (error instanceof DeadlineExceeded) return new NoAnswerInTime()
  if (error instanceof errors.RequestAbortedError && /content length/.test(error.message)) {
    return new AnswerTooLarge(maxAnswerBytes)
  }
  if (error instanceof errors.RequestAbortedError && way !== '') {
    return new RequestFailure('the proxy refuses to connect to it', undefined, undefined)
  }
  if (error instanceof errors.TimeoutError) return new NoAnswerInTime()
  if (error instanceof errors.ProductNotSupportedError) {
    return new RequestFailure(
      'what answers is not Elasticsearch (no header X-Elastic-Product): a proxy, or another product',
      undefined,
      undefined,
    )
  }
  if (error instanceof errors.DeserializationError) {
    return new RequestFailure('the answer is no JSON, or was cut off', undefined, undefined)
  }
  // Addresses and ports of a connection would make the same failure a new one each time.
  return new RequestFailure(messageOf(error).replace(/ - Local: .*$/s, ''), undefined, undefined)
}
