import { addressOf } from '../../runtime/address.ts'
import type { Logger } from '../../runtime/log.ts'
import { describeProxy, Proxies } from '../../runtime/proxies.ts'
import type { ConnectionValues } from './cleartext.ts'

/**
 * Says at the start what goes through a proxy of the environment: variables that somebody set for
 * other programs count here.
 * @throws ArchiverError `USAGE` for a variable that names no proxy for HTTP
 */
export function tellProxies(options: ConnectionValues, log: Logger): void {
  const { elasticsearch = [], kibana, saslTokenUrl } = options
  const used: readonly (readonly [what: string, urls: readonly (string | undefined)[]])[] = [
    ['Elasticsearch', elasticsearch],
    ['Kibana', [kibana]],
    ['tokens', [saslTokenUrl]],
  ]
  for (const [what, urls] of used) {
    const given = urls.filter((url) => url !== undefined)
    if (given.length === 0) continue
    const proxies = new Proxies(process.env)
    const found = given.flatMap((url) => proxies.of(addressOf(url).url) ?? [])
    for (const proxy of new Set(found))
      log.info(`requests for ${what} go through ${describeProxy(proxy)}`)
  }
}
