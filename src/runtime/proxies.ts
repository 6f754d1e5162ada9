import { BlockList, isIP } from 'node:net'
import { isPercentEncoded } from './address.ts'
import { ArchiverError } from './errors.ts'

/** An HTTP proxy, and the variable that names it. */
export interface HttpProxy {
  /** Without credentials: it may be shown. */
  readonly url: URL
  /** The value of `proxy-authorization`, if the variable has credentials. */
  readonly authorization: string | undefined
  readonly variable: string
}

/**
 * The proxies in the environment: `http_proxy` for http, `https_proxy` for https, in capitals as
 * well, and `no_proxy` for hosts without one. There is no standard for them. This is what curl and
 * Go agree on, except that a host of this machine needs an entry in `no_proxy`, as for curl.
 */
export class Proxies {
  readonly #byProtocol: ReadonlyMap<string, HttpProxy>
  readonly #without: readonly ((host: string, port: number) => boolean)[]

  /**
   * @throws ArchiverError `USAGE` for a proxy that is not one for HTTP. Credentials are not shown.
   */
  constructor(env: Readonly<Record<string, string | undefined>>) {
    const proxies = new Map<string, HttpProxy>()
    for (const protocol of ['http', 'https']) {
      const [variable, text] = read(env, `${protocol}_proxy`)
      if (text !== undefined) proxies.set(`${protocol}:`, proxyOf(variable, text))
    }
    this.#byProtocol = proxies
    const [, without = ''] = read(env, 'no_proxy')
    this.#without = without.split(/[,\s]+/).flatMap((rule) => (rule === '' ? [] : [ruleOf(rule)]))
  }

  /** True if no request goes through a proxy. */
  get isEmpty(): boolean {
    return this.#byProtocol.size === 0
  }

  /** The proxy for a URL; undefined for none. */
  of({ protocol, hostname, port }: URL): HttpProxy | undefined {
    const proxy = this.#byProtocol.get(protocol)
    if (proxy === undefined) return undefined
    const host = bare(hostname)
    const number = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
    return this.#without.some((isMeant) => isMeant(host, number)) ? undefined : proxy
  }
}

/** For no environment. */
export const noProxies = new Proxies({})

/** A proxy for people: `the proxy http://proxy:3128 (HTTP_PROXY)`. */
export function describeProxy({ url, variable }: HttpProxy): string {
  return `the proxy ${url.origin} (${variable})`
}

function read(
  env: Readonly<Record<string, string | undefined>>,
  name: string,
): [string, string | undefined] {
  const given = [name, name.toUpperCase()].find((one) => (env[one] ?? '').trim() !== '')
  return [given ?? name, given === undefined ? undefined : env[given]!.trim()]
}

function proxyOf(variable: string, text: string): HttpProxy {
  const spelled = text.includes('://') ? text : `http://${text}`
  const url = URL.canParse(spelled) ? new URL(spelled) : undefined
  const isUsable = url !== undefined && /^https?:$/.test(url.protocol) && url.hostname !== ''
  if (!isUsable || !isPercentEncoded(url.username) || !isPercentEncoded(url.password)) {
    throw new ArchiverError(
      'USAGE',
      `${variable}: the value is not allowed; expected the URL of a proxy, such as http://proxy:3128; unset it, or name hosts that need none in NO_PROXY`,
    )
  }
  const { username, password } = url
  url.username = ''
  url.password = ''
  const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  const authorization =
    username === '' ? undefined : `Basic ${Buffer.from(login).toString('base64')}`
  return { url, authorization, variable }
}

/** `*`, `host`, `.domain`, `*.domain`, an address or a network, each optionally with a port. */
function ruleOf(rule: string): (host: string, port: number) => boolean {
  if (rule === '*') return () => true
  const [, network, bits] = /^\[?([0-9a-fA-F:.]+)\]?\/(\d{1,3})$/.exec(rule) ?? []
  if (network !== undefined && isIP(network) !== 0) return inNetwork(network, Number(bits))
  const [, name = rule, port] = isIP(rule) === 6 ? [] : (/^(.*?)(?::(\d+))?$/.exec(rule) ?? [])
  const domain = bare(name)
    .toLowerCase()
    .replace(/^\*?\./, '')
    .replace(/\.$/, '')
  return (host, number) => {
    if (port !== undefined && Number(port) !== number) return false
    return host === domain || (isIP(host) === 0 && host.endsWith(`.${domain}`))
  }
}

function inNetwork(network: string, bits: number): (host: string) => boolean {
  const family = isIP(network) === 6 ? 'ipv6' : 'ipv4'
  const list = new BlockList()
  if (bits <= (family === 'ipv6' ? 128 : 32)) list.addSubnet(network, bits, family)
  return (host) => isIP(host) !== 0 && list.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4')
}

function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
}
