import { Pool } from 'undici'
import type { Proxies } from '../../runtime/proxies.ts'
import { proxyAgent } from '../../runtime/tunnel.ts'
import type { PinnedTls } from './pinned-authority.ts'

type Tls = PinnedTls | { readonly ca: Buffer }

/**
 * What the client needs to go through proxies: nothing, if none is meant for any of the nodes, nor
 * for a cloud id.
 */
export function agentFor(
  proxies: Proxies,
  nodes: readonly string[],
  tls: Tls | undefined,
  timeoutMs: number,
): { readonly agent?: (options: { readonly url: URL }) => unknown } {
  const possible = nodes.length === 0 ? ['https://cloud.invalid'] : nodes
  if (possible.every((node) => proxies.of(new URL(node)) === undefined)) return {}
  const silence = { headersTimeout: timeoutMs, bodyTimeout: timeoutMs }
  return {
    agent: ({ url }) => {
      const proxy = proxies.of(url)
      if (proxy !== undefined) return proxyAgent(proxy, url.protocol, tls, silence)
      return new Pool(url.origin, { ...silence, ...(tls === undefined ? {} : { connect: tls }) })
    },
  }
}
