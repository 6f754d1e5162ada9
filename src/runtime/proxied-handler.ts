import { Agent, type AgentOptions } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { NodeHttpHandler, type NodeHttpHandlerOptions } from '@smithy/node-http-handler'
import type { HttpProxy, Proxies } from './proxies.ts'
import { openTunnel } from './tunnel.ts'

type HttpRequest = Parameters<NodeHttpHandler['handle']>[0]

/**
 * Sends the requests of the SDK through the proxies of the environment: those over https in a
 * tunnel (CONNECT), in which the certificate is verified as without a proxy; those over http by
 * their whole URL. Which proxy, the host of each request decides: the SDK hands this on to the
 * clients with which it fetches credentials (STS, SSO).
 */
export class ProxiedHandler extends NodeHttpHandler {
  readonly #proxies: Proxies

  constructor(
    proxies: Proxies,
    options: NodeHttpHandlerOptions & { readonly agent: AgentOptions },
  ) {
    const { agent, ...rest } = options
    super({
      ...rest,
      httpAgent: agent,
      httpsAgent: new TunnelAgent(agent, proxies, rest.connectionTimeout ?? 0),
    })
    this.#proxies = proxies
  }

  override handle(request: HttpRequest, options?: Parameters<NodeHttpHandler['handle']>[1]) {
    const proxy = request.protocol === 'http:' ? this.#proxies.of(urlOf(request)) : undefined
    return super.handle(proxy === undefined ? request : forwarded(request, proxy), options)
  }
}

/** Opens connections through the proxy for their host; without one, as any agent. */
class TunnelAgent extends Agent {
  readonly #proxies: Proxies
  readonly #timeoutMs: number

  constructor(options: AgentOptions, proxies: Proxies, timeoutMs: number) {
    super(options)
    this.#proxies = proxies
    this.#timeoutMs = timeoutMs
  }

  override createConnection(
    options: AgentOptions & { readonly host?: string; readonly port?: number },
    done?: (error: Error | null, socket: Duplex) => void,
  ): Duplex | null | undefined {
    const { host = 'localhost', port = 443 } = options
    const proxy = this.#proxies.of(urlOf({ protocol: 'https:', hostname: host, port }))
    // The connection to a proxy itself, over which a request by http is forwarded.
    const isProxy = proxy?.url.hostname === host && portOf(proxy.url) === Number(port)
    if (proxy === undefined || isProxy) return super.createConnection(options, done)
    openTunnel(proxy, host, Number(port), this.#timeoutMs).then(
      (socket) => done?.(null, connectTls({ ...options, socket })),
      // Node takes no socket beside an error.
      (error: Error) => done?.(error, undefined as never),
    )
    return undefined
  }
}

/** A request that a proxy passes on. Its path is the URL (RFC 9112, section 3.2.2). */
function forwarded(request: HttpRequest, { url, authorization }: HttpProxy): HttpRequest {
  const passed = request.clone()
  passed.path = `${urlOf(request).origin}${request.path}`
  passed.protocol = url.protocol
  passed.hostname = url.hostname
  passed.port = portOf(url)
  if (authorization !== undefined) passed.headers['proxy-authorization'] = authorization
  return passed
}

function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port)
  return protocol === 'https:' ? 443 : 80
}

function urlOf({
  protocol,
  hostname,
  port,
}: Pick<HttpRequest, 'protocol' | 'hostname'> & { readonly port?: number | undefined }): URL {
  const host = hostname.includes(':') && !hostname.startsWith('[') ? `[${hostname}]` : hostname
  return new URL(`${protocol}//${host}${port === undefined ? '' : `:${port}`}`)
}
