import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * What the proxy does with the requests that come: `pass` them on; answer with that `status` in
 * Elasticsearch's place; `cut` the connection in the middle of the request; `mute` passes the
 * request on whole and cuts before the answer, so that no side knows the outcome; `stall` never
 * answers; `html` answers 200 with a page that is no answer of Elasticsearch.
 */
export type ProxyMode = 'pass' | 'cut' | 'mute' | 'stall' | 'html' | { readonly status: 429 | 503 }

/** An HTTP proxy between the workers and Elasticsearch, to be broken on purpose. */
export class BreakableProxy {
  readonly #target: URL
  readonly #server: Server
  readonly #stalled = new Set<IncomingMessage>()
  readonly #refusedMark: string | undefined
  mode: ProxyMode = 'pass'
  /** Bulk requests that were meddled with. */
  broken = 0
  /** Requests that were reset because of what they carry. */
  refused = 0

  /** In every mode the proxy resets a request whose body carries `refusedMark`. */
  constructor(target: string, refusedMark?: string) {
    this.#target = new URL(target)
    this.#refusedMark = refusedMark
    this.#server = createServer((request, response) => this.#handle(request, response))
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Passes all requests on again, and cuts those that stall. */
  heal(): void {
    this.mode = 'pass'
    for (const request of this.#stalled) request.socket.destroy()
    this.#stalled.clear()
  }

  async stop(): Promise<void> {
    this.heal()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const { mode } = this
    if (mode !== 'pass' && request.url?.includes('_bulk') === true) this.broken++
    request.on('error', () => {}) // The client went away; so does this exchange.
    response.on('error', () => {})
    if (mode === 'stall') {
      this.#stalled.add(request)
      request.on('close', () => this.#stalled.delete(request))
      return
    }
    if (mode === 'cut') {
      request.once('data', () => request.socket.destroy())
      request.once('end', () => request.socket.destroy())
      return
    }
    if (mode === 'html') {
      request.resume().on('end', () => {
        response.writeHead(200, {
          'content-type': 'text/html',
          'x-elastic-product': 'Elasticsearch',
        })
        response.end('<html>Welcome</html>')
      })
      return
    }
    if (typeof mode === 'object') {
      const type =
        mode.status === 429 ? 'es_rejected_execution_exception' : 'unavailable_shards_exception'
      request.resume().on('end', () => {
        response.writeHead(mode.status, {
          'content-type': 'application/json',
          'x-elastic-product': 'Elasticsearch',
        })
        response.end(JSON.stringify({ error: { type, reason: 'on purpose' }, status: mode.status }))
      })
      return
    }
    this.#pass(request, response, mode === 'mute')
  }

  #pass(request: IncomingMessage, response: ServerResponse, mute: boolean): void {
    const { method, url, headers } = request
    const onward = httpRequest(
      { host: this.#target.hostname, port: this.#target.port, method, path: url, headers },
      (answer) => {
        if (mute) {
          answer.resume()
          request.socket.destroy()
          return
        }
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.on('error', () => request.socket.destroy())
        answer.pipe(response)
      },
    )
    onward.on('error', () => request.socket.destroy())
    response.on('close', () => onward.destroy())
    const mark = this.#refusedMark
    if (mark === undefined) {
      request.pipe(onward)
      return
    }
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const body = Buffer.concat(parts)
      if (!body.includes(mark)) {
        onward.end(body)
        return
      }
      this.refused++
      onward.destroy()
      request.socket.destroy()
    })
  }
}
