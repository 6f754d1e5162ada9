import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ArchiverError, messageOf, systemCode } from './errors.ts'
import type { ListenAddress } from './options.ts'

export interface HttpAnswer {
  readonly status: number
  readonly type: string
  readonly body: string
}

/** What is answered to `GET <path>`. */
export type HttpRoutes = Readonly<Record<string, () => Promise<HttpAnswer> | HttpAnswer>>

export interface HttpEndpoint {
  readonly address: string
  close(): Promise<void>
}

/** An object as an answer. */
export function jsonAnswer(status: number, content: unknown): HttpAnswer {
  return { status, type: 'application/json', body: `${JSON.stringify(content, undefined, 1)}\n` }
}

/**
 * Answers `GET` and `HEAD` for a few paths, and 404 for all others.
 * @throws ArchiverError `USAGE` where the address cannot be listened at.
 */
export async function serveHttp({ host, port }: ListenAddress, routes: HttpRoutes): Promise<HttpEndpoint> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0]!
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const route = isRead && Object.hasOwn(routes, path) ? routes[path] : undefined
    void answerOf(route, Object.keys(routes)).then(({ status, type, body }) => {
      response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
      response.end(request.method === 'HEAD' ? undefined : body)
    })
  })
  await listen(server, { host, port })
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

async function answerOf(route: HttpRoutes[string] | undefined, paths: readonly string[]): Promise<HttpAnswer> {
  if (route === undefined) return { status: 404, type: 'text/plain', body: `the paths are ${paths.join(' ')}\n` }
  try {
    return await route()
  } catch (error) {
    return { status: 500, type: 'text/plain', body: `${messageOf(error)}\n` }
  }
}

async function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const why = systemCode(error) === 'EADDRINUSE' ? 'another process listens there' : messageOf(error)
      reject(new ArchiverError('USAGE', `--http ${host}:${port}: ${why}`))
    })
    server.listen(port, host, resolve)
  })
}
