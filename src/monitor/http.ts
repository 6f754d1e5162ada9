import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, isIP, type Socket } from 'node:net'
import type { ListenAddress } from '../config/options.ts'
import { ArchiverError, messageOf, systemCode } from '../runtime/errors.ts'

export interface HttpAnswer {
  readonly status: number
  readonly type: string
  readonly body: string | Buffer
}

/** What is answered to `GET <path>`. */
export type HttpRoutes = Readonly<Record<string, () => Promise<HttpAnswer> | HttpAnswer>>

export interface HttpEndpoint {
  readonly address: string
  close(): Promise<void>
}

export interface HttpOptions extends ListenAddress {
  /** Names with a dot, besides that of `host`, under which requests may come. */
  readonly names?: readonly string[]
}

/**
 * Whoever reaches the port may open connections without a word, so their number is bounded: beyond
 * it the oldest connection that asks nothing gives way to the new one. A flood closes its own
 * connections, and a probe is answered.
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
 * The route, but computed at most once in `maxAgeMs`, however many ask: what they get is one buffer
 * for all.
 */
export function cached(route: HttpRoutes[string], maxAgeMs: number): () => Promise<HttpAnswer> {
  let answer: Promise<HttpAnswer> | undefined
  let expiresAt = 0
  return () => {
    if (answer === undefined || performance.now() >= expiresAt) {
      expiresAt = Number.POSITIVE_INFINITY
      answer = (async () => {
        try {
          const { status, type, body } = await route()
          return { status, type, body: Buffer.from(body) }
        } finally {
          expiresAt = performance.now() + maxAgeMs
        }
      })()
    }
    return answer
  }
}

/**
 * Answers `GET` and `HEAD` for a few paths, and 404 for all others.
 * @throws ArchiverError `USAGE` when the address cannot be listened at.
 */
export async function serveHttp(options: HttpOptions, routes: HttpRoutes): Promise<HttpEndpoint> {
  const names = new Set([options.host, ...(options.names ?? [])].map((name) => name.toLowerCase()))
  const connections = new Connections()
  const server = createServer(
    {
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: headersTimeoutMs,
      requestTimeout: headersTimeoutMs,
      connectionsCheckingInterval: 1000,
    },
    (request, response) => {
      connections.busy(request.socket, response)
      void answerOf(request, routes, names).then((answer) => respond(request, response, answer))
    },
  )
  server.setTimeout(idleTimeoutMs)
  server.on('connection', (socket) => connections.add(socket))
  await listen(server, options)
  const { address, port: bound, family } = server.address() as AddressInfo
  return {
    address: family === 'IPv6' ? `http://[${address}]:${bound}` : `http://${address}:${bound}`,
    close: async () => {
      // A scraper keeps its connection; nobody waits for it to go.
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

  /** One that asks nothing; if all do, the one that has not taken its answer for longest. */
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
  { status, type, body }: HttpAnswer,
): void {
  const hasBody =
    request.headers['content-length'] !== undefined ||
    request.headers['transfer-encoding'] !== undefined
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
    // Nobody reads what a client sends here.
    ...(hasBody ? { connection: 'close' } : {}),
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

async function answerOf(
  { method, url = '/', headers, headersDistinct }: IncomingMessage,
  routes: HttpRoutes,
  names: ReadonlySet<string>,
): Promise<HttpAnswer> {
  // RFC 9112, section 3.2: whoever is in between may have looked at the other one.
  if ((headersDistinct.host?.length ?? 0) > 1)
    return { status: 400, type: 'text/plain', body: 'more than one Host\n' }
  if (!isOwnName(headers.host, names)) {
    return {
      status: 421,
      type: 'text/plain',
      body: 'this name is not served here; see --http-names\n',
    }
  }
  const path = url.split('?', 1)[0]!
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

/**
 * Whether a Host header names this endpoint: an address, a name without a dot (`localhost`, a
 * service of Compose), or one that was given. A page in somebody's browser can make any other name
 * lead here (DNS rebinding) and read the answer.
 */
function isOwnName(host: string | undefined, names: ReadonlySet<string>): boolean {
  // HTTP/1.0 has none, and no browser speaks it.
  if (host === undefined) return true
  const name = host.replace(/:\d*$/, '').toLowerCase()
  return (
    isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 ||
    !name.includes('.') ||
    names.has(name.replace(/\.$/, ''))
  )
}

async function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const why =
        systemCode(error) === 'EADDRINUSE' ? 'another process listens there' : messageOf(error)
      reject(new ArchiverError('USAGE', `--http ${host}:${port}: ${why}`))
    })
    server.listen(port, host, resolve)
  })
}
