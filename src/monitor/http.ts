import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, isIP, type Socket } from 'node:net'
import { ArchiverError, messageOf, systemCode } from '../runtime/errors.ts'

export interface HttpAnswer {
  readonly status: number
  readonly type: string
  readonly body: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
}

/** The answer to `GET <path>`. */
export type HttpRoutes = Readonly<Record<string, () => Promise<HttpAnswer> | HttpAnswer>>

/** What `POST <path>` does, for those who know the token. It gets the query of the request. */
export interface HttpCommands {
  readonly token: string
  readonly routes: Readonly<Record<string, (query: URLSearchParams) => HttpAnswer>>
}

export interface HttpEndpoint {
  readonly address: string
  close(): Promise<void>
}

export interface HttpOptions {
  readonly host: string
  /** 0 for any that is free. */
  readonly port: number
  /** Names with a dot, besides `host`, that requests may use. */
  readonly names?: readonly string[]
  /** Without them there is nothing to post to. */
  readonly commands?: HttpCommands | undefined
}

/**
 * Anyone who reaches the port may open connections without a request, so their number is bounded.
 * Beyond it, a new connection closes the oldest idle one. A flood closes its own connections, and a
 * probe gets its answer.
 */
const maxConnections = 64
const headersTimeoutMs = 5_000
const idleTimeoutMs = 30_000
const maxHeaderBytes = 4096

/** An object as an answer. */
export function jsonAnswer(status: number, content: unknown): HttpAnswer {
  return { status, type: 'application/json', body: `${JSON.stringify(content, undefined, 1)}\n` }
}

/**
 * The route, but computed at most once in `maxAgeMs`, as long as `state` stays the same. Everyone
 * who asks gets the same buffer. Whoever changed the state reads an answer that knows it.
 */
export function cached(
  route: HttpRoutes[string],
  maxAgeMs: number,
  state: () => string = () => '',
): () => Promise<HttpAnswer> {
  let answer: Promise<HttpAnswer> | undefined
  let expiresAt = 0
  let stateOfAnswer = ''
  return () => {
    const now = state()
    if (answer === undefined || performance.now() >= expiresAt || now !== stateOfAnswer) {
      expiresAt = Number.POSITIVE_INFINITY
      stateOfAnswer = now
      const computed = computedBy(route)
      const settled = () => {
        if (answer === computed) expiresAt = performance.now() + maxAgeMs
      }
      computed.then(settled, settled)
      answer = computed
    }
    return answer
  }
}

async function computedBy(route: HttpRoutes[string]): Promise<HttpAnswer> {
  const { status, type, body } = await route()
  return { status, type, body: Buffer.from(body) }
}

/**
 * Answers `GET` and `HEAD` for a few paths, `POST` for those of `commands`, and 404 for all others.
 * @throws ArchiverError `USAGE` if it cannot listen at the address.
 */
export async function serveHttp(options: HttpOptions, routes: HttpRoutes): Promise<HttpEndpoint> {
  const names = new Set([options.host, ...(options.names ?? [])].map((name) => name.toLowerCase()))
  const connections = new Connections()
  const { commands } = options
  const server = createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersTimeoutMs,
      requestTimeout: headersTimeoutMs,
      connectionsCheckingInterval: 1000,
    },
    (request, response) => {
      connections.busy(request.socket, response)
      void answerOf(request, { routes, names, commands }).then((answer) =>
        respond(request, response, answer),
      )
    },
  )
  server.setTimeout(idleTimeoutMs)
  server.on('connection', (socket) => connections.add(socket))
  await listen(server, options)
  const { address, port: bound, family } = server.address() as AddressInfo
  return {
    address: family === 'IPv6' ? `http://[${address}]:${bound}` : `http://${address}:${bound}`,
    close: async () => {
      // A scraper keeps its connection open, so the server does not wait for it to close.
      server.closeAllConnections()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
    },
  }
}

/** The open connections, oldest first. */
class Connections {
  readonly #open = new Set<Socket>()
  readonly #busy = new Set<Socket>()

  add(socket: Socket): void {
    if (this.#open.size >= maxConnections) this.#oldest()?.destroy()
    this.#open.add(socket)
    socket.on('close', () => {
      this.#open.delete(socket)
      this.#busy.delete(socket)
    })
  }

  /** A request is being answered on this connection. */
  busy(socket: Socket, response: ServerResponse): void {
    this.#busy.add(socket)
    response.on('close', () => this.#busy.delete(socket))
  }

  /**
   * The oldest idle connection; if none is idle, the one that has waited longest for its answer.
   */
  #oldest(): Socket | undefined {
    let oldest: Socket | undefined
    for (const socket of this.#open) {
      if (socket.destroyed) continue
      if (!this.#busy.has(socket)) return socket
      oldest ??= socket
    }
    return oldest
  }
}

function respond(
  request: IncomingMessage,
  response: ServerResponse,
  { status, type, body, headers = {} }: HttpAnswer,
): void {
  const hasBody =
    request.headers['content-length'] !== undefined ||
    request.headers['transfer-encoding'] !== undefined
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
    ...headers,
    // A body is never read.
    ...(hasBody ? { connection: 'close' } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

interface Served {
  readonly routes: HttpRoutes
  readonly names: ReadonlySet<string>
  readonly commands: HttpCommands | undefined
}

async function answerOf(
  { method, url = '/', headers, headersDistinct }: IncomingMessage,
  { routes, names, commands }: Served,
): Promise<HttpAnswer> {
  // RFC 9112, section 3.2: a proxy on the way may have looked at the other one.
  if ((headersDistinct.host?.length ?? 0) > 1)
    return { status: 400, type: 'text/plain', body: 'more than one Host\n' }
  if (!isOwnName(headers.host, names)) {
    return {
      status: 421,
      type: 'text/plain',
      body: 'this name is not served here; see --http-names\n',
    }
  }
  const [path = '/', query] = url.split('?', 2)
  if (commands !== undefined && Object.hasOwn(commands.routes, path)) {
    const refusal = refusalOf(commands.token, method, headers.authorization)
    return refusal ?? commands.routes[path]!(new URLSearchParams(query))
  }
  const isRead = method === 'GET' || method === 'HEAD'
  if (!isRead || !Object.hasOwn(routes, path)) {
    return {
      status: 404,
      type: 'text/plain',
      body: `the paths are ${Object.keys(routes).join(' ')}\n`,
    }
  }
  try {
    return await routes[path]!()
  } catch (error) {
    return { status: 500, type: 'text/plain', body: `${messageOf(error)}\n` }
  }
}

/** Why a request for a command is refused: RFC 9110, sections 15.5.2, 15.5.4 and 15.5.6. */
function refusalOf(token: string, method = '', authorization = ''): HttpAnswer | undefined {
  const refused = (status: number, body: string, more: Readonly<Record<string, string>> = {}) => ({
    ...{ status, type: 'text/plain', body: `${body}\n`, headers: more },
  })
  if (method !== 'POST') return refused(405, 'this takes POST', { allow: 'POST' })
  const [, given] = /^Bearer +(\S+)$/i.exec(authorization) ?? []
  if (given === undefined) {
    const challenge = { 'www-authenticate': 'Bearer' }
    return refused(401, 'give the token of --http-token-file: Authorization: Bearer …', challenge)
  }
  return isSame(given, token) ? undefined : refused(403, 'this is not the token')
}

/** Takes the same time for any two texts: digests have one length. */
function isSame(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}

/**
 * Whether a Host header names this endpoint: an address, a name without a dot (`localhost`, a
 * Compose service), or one of `--http-names`. A page in a browser can make any other name resolve
 * to this address (DNS rebinding) and read the answer.
 */
function isOwnName(host: string | undefined, names: ReadonlySet<string>): boolean {
  // HTTP/1.0 has no Host header, and no browser speaks it.
  if (host === undefined) return true
  const name = host.replace(/:\d*$/, '').toLowerCase()
  return (
    isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 ||
    !name.includes('.') ||
    names.has(name.replace(/\.$/, ''))
  )
}

async function listen(server: Server, { host, port }: HttpOptions): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const why =
        systemCode(error) === 'EADDRINUSE' ? 'another process listens there' : messageOf(error)
      reject(new ArchiverError('USAGE', `--http ${host}:${port}: ${why}`))
    })
    server.listen(port, host, resolve)
  })
}
