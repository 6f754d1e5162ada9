import type { elasticsearchConnectionOptions, kibanaOptions } from '../../config/config.ts'
import type { Values } from '../../config/options.ts'
import { Kibana } from '../../kibana/client.ts'
import { addressOf } from '../../runtime/address.ts'
import { Proxies } from '../../runtime/proxies.ts'
import { secretOf } from './secret.ts'

const timeoutMs = 60_000

/**
 * The client that the options describe. Where none of its own are given, the credentials for
 * Elasticsearch are used: Kibana asks Elasticsearch who somebody is.
 * @throws ArchiverError `USAGE` where a file with a secret or a certificate cannot be read.
 */
export function kibanaClient(
  url: string,
  options: Values<typeof kibanaOptions & typeof elasticsearchConnectionOptions>,
): Kibana {
  const own = {
    username: options.kibanaUser,
    password:
      options.kibanaPassword ?? secretOf('--kibana-password-file', options.kibanaPasswordFile),
    apiKey: options.kibanaApiKey ?? secretOf('--kibana-api-key-file', options.kibanaApiKeyFile),
  }
  const hasOwn =
    own.username !== undefined || own.apiKey !== undefined || addressOf(url).username !== undefined
  const credentials = hasOwn
    ? own
    : {
        username: options.elasticsearchUser,
        password:
          options.elasticsearchPassword ??
          secretOf('--elasticsearch-password-file', options.elasticsearchPasswordFile),
        apiKey:
          options.elasticsearchApiKey ??
          secretOf('--elasticsearch-api-key-file', options.elasticsearchApiKeyFile),
      }
  return new Kibana({
    url,
    space: options.kibanaSpace,
    ...credentials,
    caFile: options.kibanaCa ?? options.elasticsearchCa,
    timeoutMs,
    proxies: new Proxies(process.env),
  })
}
