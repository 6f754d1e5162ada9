import type { ElasticsearchConnection } from '../elasticsearch/connection.ts'
import { checkIndexPrefix } from '../elasticsearch/index-name.ts'
import type { Address } from '../runtime/address.ts'
import type { Proxies } from '../runtime/proxies.ts'
import { readSecretFile } from '../runtime/secret-file.ts'
import {
  baseUrl,
  exclusive,
  file,
  flag,
  group,
  integer,
  negatable,
  requires,
  secret,
  text,
  texts,
  urls,
  usage,
  type ValuesOf,
} from './options.ts'

/** How to reach Elasticsearch and what its indices are called: for every command that uses it. */
export const elasticsearchGroup = group(
  'Elasticsearch',
  {
    elasticsearch: negatable(
      urls(
        {
          default: 'http://127.0.0.1:9200',
          explanation:
            'Keep records in Elasticsearch at these nodes. --no-elasticsearch turns it off.',
        },
        baseUrl,
        checkCredentials,
      ),
    ),
    elasticsearchCloudId: text({
      explanation: 'Cloud id of an Elastic Cloud deployment, instead of nodes.',
    }),
    elasticsearchUser: text({ explanation: 'User for basic authentication.' }),
    elasticsearchPassword: secret(
      text({ explanation: 'Password for basic authentication. Prefer a variable or a file.' }),
    ),
    elasticsearchPasswordFile: file({
      explanation: 'File with that password; a line break at its end is ignored.',
    }),
    elasticsearchApiKey: secret(
      text({
        explanation: 'API key, base64 encoded as Kibana shows it. Prefer a variable or a file.',
      }),
    ),
    elasticsearchApiKeyFile: file({ explanation: 'File with that API key.' }),
    elasticsearchCa: file({ explanation: 'Certificate authority of the nodes, as a PEM file.' }),
    elasticsearchFingerprint: text({
      explanation:
        'SHA-256 fingerprint of the certificate authority that the nodes present with their own certificate, or of the certificate of a single node.',
    }),
    elasticsearchHeaders: secret(
      texts({
        placeholder: '<name: value,…>',
        explanation: 'Headers for every request, for a proxy. Prefer a variable.',
      }),
    ),
    elasticsearchTimeout: integer({
      default: '60',
      min: 1,
      unit: 's',
      explanation: 'Maximum time for a whole request, to the last byte of its answer.',
    }),
    elasticsearchGzip: flag({
      default: false,
      explanation: 'Compress requests, for slow networks.',
    }),
    indexPrefix: text({
      default: 'archive-',
      check: checkIndexPrefix,
      explanation: 'Prefix of the name of every index.',
    }),
  },
  [
    exclusive('elasticsearchPassword', 'elasticsearchPasswordFile'),
    exclusive('elasticsearchUser', 'elasticsearchApiKey', 'elasticsearchApiKeyFile'),
    requires(['elasticsearchPassword', 'elasticsearchPasswordFile'], 'elasticsearchUser'),
  ],
)

/** One client has one login. @throws Error whose message says what is allowed. */
function checkCredentials(nodes: readonly Address[]): void {
  const logins = nodes.map(({ username, password }) => JSON.stringify([username, password]))
  if (new Set(logins).size > 1)
    throw new Error('the same credentials in each URL, or --elasticsearch-user')
}

/**
 * The connection of these options, whose relations hold; undefined for `--no-elasticsearch`.
 * @throws ArchiverError `USAGE` if a file with a secret cannot be read, or for a header that is
 *   none.
 */
export function elasticsearchConnection(
  values: ValuesOf<typeof elasticsearchGroup>,
  proxies: Proxies,
): ElasticsearchConnection | undefined {
  if (values.elasticsearch === undefined) return undefined
  const { username, password, apiKey } = elasticsearchLogin(values)
  const [address] = values.elasticsearch
  return {
    nodes: values.elasticsearch.map(({ url }) => url.href.replace(/\/$/, '')),
    cloudId: values.elasticsearchCloudId,
    ...(username === undefined
      ? { username: address?.username, password: address?.password }
      : { username, password }),
    apiKey,
    caFile: values.elasticsearchCa,
    caFingerprint: values.elasticsearchFingerprint,
    headers: headersOf(values.elasticsearchHeaders),
    compression: values.elasticsearchGzip,
    requestTimeoutMs: values.elasticsearchTimeout * 1000,
    proxies,
  }
}

/** What the options for a login say, without credentials in a URL. */
export function elasticsearchLogin(
  values: ValuesOf<typeof elasticsearchGroup>,
): Pick<ElasticsearchConnection, 'username' | 'password' | 'apiKey'> {
  return {
    username: values.elasticsearchUser,
    password:
      values.elasticsearchPassword ??
      readSecretFile('--elasticsearch-password-file', values.elasticsearchPasswordFile),
    apiKey:
      values.elasticsearchApiKey ??
      readSecretFile('--elasticsearch-api-key-file', values.elasticsearchApiKeyFile),
  }
}

/** @throws ArchiverError `USAGE`, without showing a value. */
function headersOf(
  given: readonly string[] | undefined,
): Readonly<Record<string, string>> | undefined {
  if (given === undefined) return undefined
  const headers = given.map((header, i) => {
    // Blanks around a header's value are not part of it (RFC 9110, section 5.5).
    const [, name, value] =
      /^([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*:\s*([\x20-\x7e]+)$/.exec(header.trim()) ?? []
    if (name === undefined || value === undefined) {
      throw usage(
        `--elasticsearch-headers: number ${i + 1} is not allowed; expected name: value, with each comma in a value written \\,`,
      )
    }
    return [name.toLowerCase(), value] as const
  })
  return Object.fromEntries(headers)
}
