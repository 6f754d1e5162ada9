import type { Socket } from 'node:net'
import { type Dispatcher, ProxyAgent } from 'undici'
import { describeProxy, type HttpProxy } from './proxies.ts'

// An `import` of node:http asks for each of its exports, and WebSocket, one of them, loads all of
// Node's own undici: 40 ms of a start.
const { request: requestHttp } = process.getBuiltinModule('node:http')
const { request: requestHttps } = process.getBuiltinModule('node:https')

/** TLS options for a server behind a proxy. */
type RequestTls = NonNullable<ProxyAgent.Options['requestTls']>

/** How long a proxy and a server may be silent, in ms. */
export interface Silence {
  readonly headersTimeout: number
  readonly bodyTimeout: number
}

/**
 * A dispatcher of undici that sends requests through a proxy. Requests over https use a tunnel
 * (CONNECT, RFC 9110, section 9.3.6), in which `tls` verifies the server's certificate as without a
 * proxy. The proxy forwards requests over http.
 */
export function proxyAgent(
  proxy: HttpProxy,
  protocol: string,
  tls: RequestTls | undefined,
  silence: Silence,
): Dispatcher {
  const agent = new ProxyAgent({
    ...silence,
    uri: proxy.url.href,
    proxyTunnel: protocol === 'https:',
    ...(proxy.authorization === undefined ? {} : { token: proxy.authorization }),
    ...(tls === undefined ? {} : { requestTls: tls }),
  })
  // undici joins the origin and the path as texts, and a URL as a text ends in a slash or in a
  // path.
  return agent.compose((dispatch) => (options, handler) => {
    const origin = options.origin === undefined ? {} : { origin: new URL(options.origin).origin }
    return dispatch({ ...options, ...origin }, handler)
  })
}

/** A proxy that opens no tunnel. */
export class TunnelRefused extends Error {
  /** True if it may open one later: it, or what it asks, is overloaded or away. */
  readonly isPassing: boolean

  constructor(proxy: HttpProxy, target: string, statusCode = 0) {
    super(`${describeProxy(proxy)} refused to connect to ${target}: ${statusCode}`)
    this.name = 'TunnelRefused'
    this.isPassing = statusCode === 408 || statusCode === 429 || statusCode >= 500
  }
}

/**
 * Opens a tunnel through a proxy. Nothing is sent in it.
 * @throws TunnelRefused if the proxy refuses
 * @throws Error `ETIMEDOUT` if it does not answer, and what else went wrong with the connection
 */
export function openTunnel(
  proxy: HttpProxy,
  host: string,
  port: number,
  timeoutMs: number,
): Promise<Socket> {
  const { protocol, hostname, port: proxyPort } = proxy.url
  const request = protocol === 'https:' ? requestHttps : requestHttp
  const target = `${host.includes(':') ? `[${host}]` : host}:${port}`
  return new Promise((resolve, reject) => {
    const connecting = request({
      method: 'CONNECT',
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: proxyPort === '' ? (protocol === 'https:' ? 443 : 80) : Number(proxyPort),
      path: target,
      timeout: timeoutMs,
      agent: false,
      headers: {
        host: target,
        ...(proxy.authorization === undefined
          ? {}
          : { 'proxy-authorization': proxy.authorization }),
      },
    })
    connecting.once('connect', ({ statusCode }, socket) => {
      if (statusCode === 200) return resolve(socket)
      socket.destroy()
      reject(new TunnelRefused(proxy, target, statusCode))
    })
    connecting.once('timeout', () =>
      connecting.destroy(
        Object.assign(new Error(`${describeProxy(proxy)} does not answer`), { code: 'ETIMEDOUT' }),
      ),
    )
    // The proxy answers instead of opening a tunnel.
    connecting.once('response', ({ statusCode }) => {
      connecting.destroy(new TunnelRefused(proxy, target, statusCode))
    })
    connecting.once('error', reject)
    connecting.end()
  })
}
