import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'

/**
 * How a request is refused: the connection is reset, nothing ever comes, or a page that is not
 * Elasticsearch's.
 */
export type Refusal = 'reset' | 'stall' | { readonly status: number }

/** A proxy or a firewall in front of a real Elasticsearch. */
export interface RefusingProxy {
  readonly url: string
  /** Whether a request is refused, by its body. May change at any time. */
  refuses: (body: Buffer, path: string) => boolean
  refusal: Refusal
  /** Requests that were refused, and those that were passed on. */
  refused: number
  passed: number
}

/** Starts one for the time of a test; it passes everything until the test changes that. */
export async function refusingProxy(t: TestContext, target: string): Promise<RefusingProxy> {
  const { hostname, port } = new URL(target)
  const refuse = (request: IncomingMessage, response: ServerResponse) => {
    const { refusal } = proxy
    if (refusal === 'reset') request.socket.resetAndDestroy()
    else if (refusal !== 'stall') {
      response.writeHead(refusal.status, { 'content-type': 'text/html' })
      response.end(`<html><h1>${refusal.status}</h1></html>`)
    }
  }
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('error', () => {})
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      const body = Buffer.concat(pieces)
      const { method, url = '/', headers } = request
      if (proxy.refuses(body, url)) {
        proxy.refused++
        refuse(request, response)
        return
      }
      proxy.passed++
      const onward = httpRequest({ host: hostname, port, method, path: url, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      })
      onward.on('error', () => request.socket.destroy())
      onward.end(body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const proxy: RefusingProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refuses: () => false,
    refusal: 'reset',
    refused: 0,
    passed: 0,
  }
  return proxy
}
