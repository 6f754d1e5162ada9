import type { KibanaConnection } from '../kibana/connection.ts'
import type { Proxies } from '../runtime/proxies.ts'
import { readSecretFile } from '../runtime/secret-file.ts'
import { type elasticsearchGroup, elasticsearchLogin } from './elasticsearch.ts'
import {
  addressIn,
  baseUrl,
  exclusive,
  file,
  group,
  integer,
  requires,
  secret,
  text,
  url,
  type ValuesOf,
} from './options.ts'

/** How to reach Kibana: for the commands that install dashboards. */
export const kibanaGroup = group(
  'Kibana',
  {
    kibana: url(
      {
        explanation:
          'Kibana to install data views, searches and dashboards in, e.g. http://127.0.0.1:5601.',
      },
      (text) => addressIn(text, baseUrl),
    ),
    kibanaSpace: text({
      check: checkSpace,
      explanation: 'Kibana space to install them in, by its identifier.',
    }),
    kibanaUser: text({
      explanation:
        'User for basic authentication. Without a user and a key, the login for Elasticsearch is used.',
    }),
    kibanaPassword: secret(
      text({ explanation: 'Password for basic authentication. Prefer a variable or a file.' }),
    ),
    kibanaPasswordFile: file({ explanation: 'File with that password.' }),
    kibanaApiKey: secret(
      text({ explanation: 'API key, base64 encoded. Prefer a variable or a file.' }),
    ),
    kibanaApiKeyFile: file({ explanation: 'File with that API key.' }),
    kibanaCa: file({ explanation: 'Certificate authority of Kibana, as a PEM file.' }),
    kibanaWait: integer({
      default: '120',
      min: 0,
      max: 3600,
      unit: 's',
      explanation: 'How long to wait for a Kibana that does not answer yet, or is still starting.',
    }),
  },
  [
    exclusive('kibanaPassword', 'kibanaPasswordFile'),
    exclusive('kibanaUser', 'kibanaApiKey', 'kibanaApiKeyFile'),
    requires(['kibanaPassword', 'kibanaPasswordFile'], 'kibanaUser'),
  ],
)

const timeoutMs = 60_000

/** @throws Error whose message says what is allowed. */
function checkSpace(space: string): void {
  if (!/^[a-z0-9_-]+$/.test(space)) throw new Error('the identifier of a space: a-z 0-9 _ -')
}

/**
 * The connection of these options, whose relations hold; undefined without `--kibana`. Without a
 * login of its own it has that of Elasticsearch, because Kibana checks logins there.
 * @throws ArchiverError `USAGE` if a file with a secret cannot be read.
 */
export function kibanaConnection(
  values: ValuesOf<typeof kibanaGroup> & ValuesOf<typeof elasticsearchGroup>,
  proxies: Proxies,
): KibanaConnection | undefined {
  const { kibana: address } = values
  if (address === undefined) return undefined
  const own = {
    username: values.kibanaUser ?? address.username,
    password:
      values.kibanaPassword ??
      readSecretFile('--kibana-password-file', values.kibanaPasswordFile) ??
      address.password,
    apiKey: values.kibanaApiKey ?? readSecretFile('--kibana-api-key-file', values.kibanaApiKeyFile),
  }
  const hasOwn = (own.username ?? own.apiKey) !== undefined
  const { username, password, apiKey } = hasOwn ? own : elasticsearchLogin(values)
  return {
    url: address.url.href.replace(/\/$/, ''),
    space: values.kibanaSpace,
    username,
    password,
    apiKey,
    caFile: values.kibanaCa ?? values.elasticsearchCa,
    timeoutMs,
    proxies,
  }
}
