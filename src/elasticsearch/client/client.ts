import { readFileSync } from 'node:fs'
import { Client, type DiagnosticResult } from '@elastic/elasticsearch'
import { pathOf, redirected, unansweredHint } from '../../runtime/address.ts'
import { withDeadline } from '../../runtime/deadline.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { describeProxy, noProxies } from '../../runtime/proxies.ts'
import { each, object, optional, type Shape, text } from '../../runtime/shape.ts'
import type { ElasticsearchConnection } from '../connection.ts'
import type { BulkItem } from '../sink/answer.ts'
import {
  bulkFilter,
  itemsOf,
  type ParsedBulk,
  type UnparsedBulk,
  withoutQuotes,
} from './bulk-answer.ts'
import { clientOptions } from './client-options.ts'
import { AnswerTooLarge, maxAnswerBytes, RequestFailure } from './failure.ts'
import { failureOf } from './failure-of.ts'
import { checkedFingerprint, type PinnedTls, pinnedTls, trustsNobody } from './pinned-authority.ts'

/**
 * What a request needs of an answer: the status decides, and the body is read only if there is
 * something to judge.
 */
export interface Answer<T> {
  readonly status: number
  readonly body: T
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
  /** Ends what asks for the version: a close would wait for the answer. */
  readonly #closing = new AbortController()
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
    const tls =
      this.#fingerprint === undefined
        ? this.#ca && { ca: this.#ca }
        : (this.#pinned ?? trustsNobody)
    try {
      return new Client(clientOptions(this.#connection, this.#major, tls))
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

  /** Its address for people: without credentials. */
  get address(): string {
    return this.#connection.cloudId === undefined
      ? this.#connection.nodes.join(', ')
      : 'the cloud id given'
  }

  /**
   * Asks for the server's version and speaks its REST API from now on.
   * @throws ArchiverError `UNREACHABLE` if no node answers or we are refused
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
        : unansweredHint(
            this.#connection.cloudId === undefined ? '--elasticsearch' : '--elasticsearch-cloud-id',
          )
      const way = this.#way
      throw new ArchiverError(
        'UNREACHABLE',
        `Elasticsearch at ${where}${way}: ${messageOf(error)}; ${hint}`,
        { elasticsearch: where },
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
   * Finds out once which certificate the fingerprint stands for. If that fails, the next request
   * tries again.
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
    const { signal } = this.#closing
    const info = await this.request<{ version?: { number?: unknown } } | undefined>('GET', [], {
      ignore: [400, 403, 404, 405],
      signal,
    })
    const version = info.body?.version?.number
    if (typeof version === 'string') return version
    const nodes = await this.request<{ nodes?: Record<string, { version: string }> }>(
      'GET',
      ['_nodes'],
      {
        query: { filter_path: 'nodes.*.version' },
        shape: object({ nodes: optional(each(object({ version: text }))) }),
        signal,
      },
    )
    const [node] = Object.values(nodes.body.nodes ?? {})
    if (node === undefined) throw new Error('it names no nodes')
    return node.version
  }

  /**
   * One bulk request of this many documents. `timeoutMs`: how long the server waits for shards and
   * new indices.
   *
   * @returns an item a document, in order; undefined if all of them were created
   * @throws RequestFailure if the request as a whole failed, or the answer is not one for these
   *   documents
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
    try {
      return itemsOf(answer.body, documents)
    } catch (error) {
      throw failureOf(error, this.#way)
    }
  }

  /**
   * Whether a bulk request passes, the same way as all others, and Elasticsearch answers it. It
   * stores nothing: it asks for an alias of this name, and there is none (`require_alias`,
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
   * One request. `path` has a name a segment, which is encoded here. Statuses in `ignore` are
   * answers like any other. `shape`: what an answer with a status below 400 must have. `timeoutMs`
   * is for the whole request, from the connection to the last byte of the answer: the timeouts of
   * the client count from one byte to the next.
   * @throws RequestFailure for any other status of 400 and above, and if there was no answer
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
    this.#closing.abort()
    await this.#client.close()
  }
}

/** What is sent holds credentials and records, so it goes nowhere else: the new place is named. */
function refuseRedirect({ statusCode = 0, headers }: DiagnosticResult): void {
  if (statusCode < 300 || statusCode > 399) return
  throw new RequestFailure(redirected(statusCode, headers?.location))
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
