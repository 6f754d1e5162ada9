import { hostname } from 'node:os'
import { checkIndexPrefix, statusIndexPrefix } from '../elasticsearch/index-name.ts'
import { checkTableName } from '../mysql/table-name.ts'
import { parseTypePath, type TypeSource } from '../record/type-source.ts'
import {
  type Address,
  addressOf,
  encodedCredentials,
  isLoopback,
  isPercentEncoded,
} from '../runtime/address.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { logLevels } from '../runtime/log.ts'
import {
  bytes,
  decimal,
  directory,
  duration,
  file,
  flag,
  hostPorts,
  integer,
  list,
  listenAddress,
  negatable,
  oneOf,
  pattern,
  secret,
  text,
  texts,
  type Values,
} from './options.ts'

/**
 * Every option of the archiver, once. Flags, variables, YAML keys, help and reference come from
 * here; a room below gets plain values and never reads the environment.
 */

export const logOptions = {
  config: file({
    explanation: 'A YAML file with any of these options; flags and variables win over it.',
  }),
  logLevel: oneOf(logLevels, {
    default: 'info',
    explanation: 'The least important log lines to write.',
  }),
}

/** TLS and logins of Kafka: for every command that speaks to it. */
export const kafkaSecurityOptions = {
  kafkaTls: flag({
    default: false,
    explanation:
      'Speak TLS with the brokers; goes without saying where one of the next three is given.',
  }),
  kafkaCa: file({
    explanation:
      'Certificate authority of the brokers, as a PEM file. Files with certificates and secrets for Kafka are read anew for every connection, so that they can be replaced without a restart.',
  }),
  kafkaCert: file({
    explanation: 'Our certificate for brokers that ask for one, as a PEM file.',
  }),
  kafkaKey: file({ explanation: 'The key of that certificate, as a PEM file.' }),
  saslMechanism: oneOf(['none', 'plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'], {
    default: 'none',
    explanation: 'How to log in to Kafka.',
  }),
  saslUsername: text({ explanation: 'User to log in as; the client id for --sasl-token-url.' }),
  saslPassword: secret(
    text({
      explanation:
        'Password, or the secret for --sasl-token-url; better given as a variable or a file.',
    }),
  ),
  saslPasswordFile: file({
    explanation: 'A file that holds the password, without or with a line break at its end.',
  }),
  saslTokenFile: file({ explanation: 'A file that holds the token for oauthbearer.' }),
  saslTokenUrl: secret(
    text({
      placeholder: '<url>',
      explanation:
        'Where a token for oauthbearer is had for a client id and a secret (OAuth 2.0 client credentials).',
    }),
  ),
  saslTokenScope: text({ explanation: 'The scope to ask for at --sasl-token-url.' }),
}

/** How to reach Kafka. */
export const kafkaConnectionOptions = {
  brokers: hostPorts({
    default: '127.0.0.1:9092',
    explanation: 'Brokers to ask for the rest of the Kafka cluster.',
  }),
  ...kafkaSecurityOptions,
}

export const kafkaOptions = {
  ...kafkaConnectionOptions,
  group: text({
    default: 'archiver',
    explanation:
      'Consumer group: the workers of one group share the partitions. An archive belongs to one group.',
  }),
  startAt: oneOf(['beginning', 'latest'], {
    default: 'beginning',
    explanation:
      'Where to begin with a partition of which nothing was archived yet: at its oldest record, or at the next that comes. Topics and partitions that appear while a worker runs are archived from their beginning.',
  }),
  rackId: text({
    explanation:
      "The rack or zone of this worker, as broker.rack names it: records are fetched from a replica there where Kafka's replica.selector.class allows it.",
  }),
}

export const topicsOptions = {
  topics: list({ placeholder: '<a,b,…>', explanation: 'Topics to archive, by name.' }),
  topicsRegex: pattern({
    explanation:
      'Topics to archive: all whose name this JavaScript regular expression matches, also those made later. It matches anywhere in a name: orders also matches orders-restored, ^orders$ does not.',
  }),
  topicsRefresh: integer({
    default: '30',
    min: 1,
    unit: 's',
    explanation: 'How often new topics are looked for.',
  }),
}

export const filesOptions = {
  files: flag({ default: true, explanation: 'Keep no files.' }),
  archiveDir: directory({
    default: './archive',
    explanation:
      'Root of the gzip JSONL archive. Workers that share partitions share this directory.',
  }),
  gzipLevel: integer({
    default: '5',
    min: 1,
    max: 9,
    explanation:
      'Compression of files: 1 is fast, 9 is small. 6 saves 3 % of the bytes and takes 15 % more CPU time than 5.',
  }),
  flushInterval: decimal({
    default: '60',
    min: 0.1,
    max: 86_400,
    unit: 's',
    explanation:
      'Records are in committed files, and their offsets can be committed, at the latest after this time.',
  }),
  flushBytes: bytes({
    default: '256MiB',
    min: 1024,
    explanation: 'Records of a partition are flushed earlier when their lines are this large.',
  }),
  compactAfter: duration({
    default: '1h',
    placeholder: '<30m>',
    explanation:
      'The files of an hour become one, and old manifests are folded, so long after the hour has closed and its newest file was written; such as 1h or 30m. 0: never.',
  }),
  compactMaxBytes: bytes({
    default: '1GiB',
    min: 1024,
    explanation: 'No merged file is larger than this; an hour with more data keeps several files.',
  }),
}

/**
 * How to reach Elasticsearch and what the archive's indices are called there: for every command
 * that reads or writes it.
 */
export const elasticsearchConnectionOptions = {
  elasticsearch: negatable(
    secret(
      list({
        default: 'http://127.0.0.1:9200',
        placeholder: '<url,…>',
        explanation: 'Elasticsearch nodes. --no-elasticsearch: without it.',
      }),
    ),
  ),
  elasticsearchCloudId: text({
    explanation: 'Cloud id of an Elastic Cloud deployment, instead of nodes.',
  }),
  elasticsearchUser: text({ explanation: 'User for basic authentication.' }),
  elasticsearchPassword: secret(
    text({ explanation: 'Password for basic authentication; better given as a variable.' }),
  ),
  elasticsearchPasswordFile: file({
    explanation: 'A file that holds the password, without or with a line break at its end.',
  }),
  elasticsearchApiKey: secret(
    text({
      explanation: 'API key, encoded in base64 as Kibana shows it; better given as a variable.',
    }),
  ),
  elasticsearchApiKeyFile: file({ explanation: 'A file that holds the API key.' }),
  elasticsearchCa: file({ explanation: 'Certificate authority of the nodes, as a PEM file.' }),
  elasticsearchFingerprint: text({
    explanation:
      'SHA-256 fingerprint of the certificate authority of the nodes, which they present with their own certificate; or of the certificate of the only node.',
  }),
  elasticsearchHeaders: secret(
    texts({
      placeholder: '<name: value,…>',
      explanation: 'Headers to send with every request, for a proxy; better given as a variable.',
    }),
  ),
  elasticsearchTimeout: integer({
    default: '60',
    min: 1,
    unit: 's',
    explanation: 'How long a request may take as a whole, to the last byte of its answer.',
  }),
  elasticsearchGzip: flag({
    default: false,
    explanation: 'Compress requests: worth it where the network is slow.',
  }),
  indexPrefix: text({
    default: 'archive-',
    explanation: 'What the name of every index begins with.',
  }),
}

export const bulkOptions = {
  templates: flag({ default: true, explanation: 'Do not install index templates at the start.' }),
  indexProfile: oneOf(['standard', 'lean'], {
    explanation:
      'How values are mapped in indices made from now on: standard indexes every field; lean none, only type, time, key and position, which spares the engine half of its work. Not given: as it is on the cluster, standard on a new one.',
  }),
  bulkBytes: bytes({ default: '5MB', min: 1024, explanation: 'Size of a bulk request.' }),
  bulkConcurrency: integer({
    default: '4',
    min: 1,
    max: 64,
    explanation: 'Most bulk requests in flight; it adapts below that.',
  }),
  rejectBreaker: integer({
    default: '500',
    min: 0,
    max: 1_000_000,
    explanation:
      'Documents of an index of which, when more than half are refused for one reason, the index is held: a broken template, not bad documents. 0: never.',
  }),
  rejectHold: decimal({
    default: '10',
    min: 0,
    unit: 'minutes',
    explanation:
      'How long such an index waits for its template or mapping to be mended, and a document that a proxy refuses for the proxy to be. After that, what is refused goes to the rejected index.',
  }),
  bulkLinger: integer({
    default: '200',
    min: 0,
    max: 60_000,
    unit: 'ms',
    explanation: 'How long a document may wait for others to fill a bulk request.',
  }),
}

export const elasticsearchOptions = { ...elasticsearchConnectionOptions, ...bulkOptions }

/**
 * How to reach MySQL or MariaDB and what the table is called there: for every command that reads or
 * writes it.
 */
export const mysqlConnectionOptions = {
  mysql: negatable(
    secret(
      text({
        placeholder: '<mysql://user@host:3306/database>',
        explanation:
          'Keep records in this database of MySQL 8 or MariaDB as well; a password in it is better given by itself, as a variable or a file.',
      }),
    ),
  ),
  mysqlPassword: secret(
    text({ explanation: 'Password of that user; better given as a variable.' }),
  ),
  mysqlPasswordFile: file({
    explanation: 'A file that holds the password, without or with a line break at its end.',
  }),
  mysqlTls: flag({
    default: false,
    explanation: 'Speak TLS with the server; goes without saying where --mysql-ca is given.',
  }),
  mysqlCa: file({ explanation: 'Certificate authority of the server, as a PEM file.' }),
  mysqlTlsName: text({
    explanation:
      'The name or address that the certificate of the server must have, if it is not the host in --mysql.',
  }),
  mysqlAllowPublicKeyRetrieval: flag({
    default: false,
    explanation:
      'Ask a server without TLS for its public key to send the password with. Whoever can answer in its place reads the password; on this machine nobody can, so it is done without this flag.',
  }),
  mysqlTable: text({
    default: 'archive_records',
    explanation:
      'The table of the records; that of rejects has the same name with _rejected behind it.',
  }),
  mysqlTimeout: integer({
    default: '60',
    min: 1,
    unit: 's',
    explanation: 'How long an answer may take.',
  }),
}

export const mysqlSinkOptions = {
  mysqlBatchBytes: bytes({
    default: '2MB',
    min: 1024,
    explanation:
      'Size of a statement; it stays below max_allowed_packet of the server in any case.',
  }),
  mysqlConcurrency: integer({
    default: '2',
    min: 1,
    max: 64,
    explanation: 'Most statements in flight, and connections.',
  }),
  mysqlLinger: integer({
    default: '200',
    min: 0,
    max: 60_000,
    unit: 'ms',
    explanation: 'How long a row may wait for others to fill a statement.',
  }),
}

export const mysqlOptions = { ...mysqlConnectionOptions, ...mysqlSinkOptions }

/** How to reach Kibana: for the commands that put dashboards there. */
export const kibanaOptions = {
  kibana: secret(
    text({
      placeholder: '<url>',
      explanation:
        'Kibana to put data views, searches and dashboards into, such as http://127.0.0.1:5601.',
    }),
  ),
  kibanaSpace: text({ explanation: 'The space of Kibana that they go into, by its identifier.' }),
  kibanaUser: text({
    explanation:
      'User for basic authentication; without one, and without a key, those for Elasticsearch are used.',
  }),
  kibanaPassword: secret(
    text({ explanation: 'Password for basic authentication; better given as a variable.' }),
  ),
  kibanaPasswordFile: file({ explanation: 'A file that holds the password.' }),
  kibanaApiKey: secret(
    text({ explanation: 'API key, encoded in base64; better given as a variable.' }),
  ),
  kibanaApiKeyFile: file({ explanation: 'A file that holds the API key.' }),
  kibanaCa: file({ explanation: 'Certificate authority of Kibana, as a PEM file.' }),
  kibanaWait: integer({
    default: '120',
    min: 0,
    max: 3600,
    unit: 's',
    explanation: 'How long a Kibana that is not there yet, or still starting, is waited for.',
  }),
}

export const typeOptions = {
  typeFrom: oneOf(['value', 'header', 'topic'], {
    default: 'value',
    explanation:
      'Where the type of a message stands: in its JSON value, in a header, or the topic is the type.',
  }),
  typePath: text({
    default: 'type',
    explanation:
      'Path of the type in the value: keys separated by dots (a dot inside a key is written \\.).',
  }),
  typeHeader: text({ default: 'type', explanation: 'Name of the header that holds the type.' }),
  framedJson: flag({
    default: true,
    explanation:
      'Keep JSON behind a Schema Registry frame (a zero byte, four bytes of schema id) as malformed. Without this option the JSON is the value, and the id is kafka.schema_id.',
  }),
}

export const workerOptions = {
  http: listenAddress({
    explanation:
      'Serve /metrics for Prometheus, /healthz, /readyz and /status here. A port alone is that of the loopback interface.',
  }),
  httpNames: list({
    explanation:
      'Names with a dot under which --http may be asked, such as archiver.example.com. Addresses and names without a dot always may.',
  }),
  untilEnd: flag({
    default: false,
    explanation: 'Stop at the end offsets seen at the start: flush, commit, exit.',
  }),
  onGap: oneOf(['stop', 'continue'], {
    default: 'stop',
    explanation:
      'What becomes of a partition whose records were lost before they were read, are damaged or are too large: it stops, or goes on behind them.',
  }),
  sessionTimeout: integer({
    default: '30000',
    min: 6000,
    max: 1_800_000,
    unit: 'ms',
    explanation: 'How long Kafka waits for a silent worker before its partitions go to others.',
  }),
  memoryBudget: bytes({
    default: '256MiB',
    min: 32 * 2 ** 20,
    explanation:
      'Memory for records on their way, above what the process needs by itself. Full, it pauses partitions.',
  }),
  maxRecordBytes: bytes({
    default: '128MiB',
    min: 2 ** 20,
    max: 256 * 2 ** 20,
    explanation:
      'A larger record (key, value and headers, as they come out of a compressed batch; each header counts 64 bytes more) is not archived: it is a gap with the reason oversized, and --on-gap says what becomes of its partition.',
  }),
  commitInterval: integer({
    default: '1000',
    min: 50,
    max: 60_000,
    unit: 'ms',
    explanation: 'How often offsets that all sinks hold are committed.',
  }),
  shutdownTimeout: integer({
    default: '60',
    min: 1,
    unit: 's',
    explanation: 'How long the last flush may take after a signal.',
  }),
  logSamples: flag({
    default: false,
    explanation:
      'Show in the log the beginning of a record that Elasticsearch or MySQL refuses, and reasons that quote it.',
  }),
  statusDocuments: flag({
    default: true,
    explanation:
      'Write no documents about what the worker does to archiver-status-<yyyy.mm> in Elasticsearch.',
  }),
  statusInterval: integer({
    default: '30',
    min: 1,
    unit: 's',
    explanation:
      'How often a log line, where no terminal shows it, and status documents say what is going on.',
  }),
}

export const runOptions = {
  ...kafkaOptions,
  ...topicsOptions,
  ...typeOptions,
  ...filesOptions,
  ...elasticsearchOptions,
  ...mysqlOptions,
  ...workerOptions,
  ...logOptions,
}

const reportOptions = {
  json: flag({ default: false, explanation: 'Print one JSON object a line.' }),
}

export const setupOptions = {
  ...elasticsearchOptions,
  ...mysqlConnectionOptions,
  ...kibanaOptions,
  check: flag({
    default: false,
    explanation: 'Change nothing; say what differs, and exit with 1 where something does.',
  }),
  ...reportOptions,
  ...logOptions,
}

export const dashboardOptions = {
  type: text({ explanation: 'The type of messages, as it stands in them, such as object.one.' }),
  ...elasticsearchConnectionOptions,
  ...kibanaOptions,
  out: file({
    explanation: 'A file for an import by hand, ending in .ndjson, instead of --kibana.',
  }),
  ...reportOptions,
  ...logOptions,
}

export type RunOptions = Values<typeof runOptions>

/** What no single option can check. Throws ArchiverError `USAGE`. */
export function checkRunOptions(options: RunOptions): void {
  if (options.topics === undefined && options.topicsRegex === undefined) {
    throw usage('--topics or --topics-regex is needed: which topics are to be archived?')
  }
  if (options.topics !== undefined && options.topicsRegex !== undefined) {
    throw usage('--topics and --topics-regex exclude each other')
  }
  if (!options.files && options.elasticsearch === undefined && options.mysql === undefined) {
    throw usage(
      '--no-files with --no-elasticsearch and without --mysql leaves nothing to keep records in',
    )
  }
  checkKafkaOptions(options)
  checkElasticsearchOptions(options)
  checkMysqlOptions(options)
  if (options.statusDocuments && statusIndexPrefix.startsWith(options.indexPrefix)) {
    throw usage(
      `--index-prefix: "${options.indexPrefix}" is not allowed with status documents: their indices ${statusIndexPrefix}* would count as part of the archive; choose another one, or --no-status-documents`,
    )
  }
  typeSource(options)
}

/** What no single option of Kafka's security can check. Throws ArchiverError `USAGE`. */
export function checkKafkaOptions(options: Values<typeof kafkaSecurityOptions>): void {
  const {
    saslMechanism: mechanism,
    saslUsername,
    saslPassword,
    saslPasswordFile,
    saslTokenFile,
    saslTokenUrl,
  } = options
  const needs = (isThere: boolean, what: string) => {
    if (!isThere) throw usage(what)
  }
  needs(
    (options.kafkaCert === undefined) === (options.kafkaKey === undefined),
    '--kafka-cert and --kafka-key belong together',
  )
  needs(
    saslPassword === undefined || saslPasswordFile === undefined,
    '--sasl-password and --sasl-password-file exclude each other',
  )
  const hasPassword = saslUsername !== undefined && (saslPassword ?? saslPasswordFile) !== undefined
  if (mechanism === 'none') {
    const given = [saslUsername, saslPassword, saslPasswordFile, saslTokenFile, saslTokenUrl]
    needs(
      given.every((value) => value === undefined),
      `a login needs --sasl-mechanism, such as scram-sha-512`,
    )
  } else if (mechanism === 'oauthbearer') {
    needs(
      (saslTokenFile === undefined) !== (saslTokenUrl === undefined),
      'oauthbearer needs --sasl-token-file or --sasl-token-url',
    )
    if (saslTokenUrl !== undefined) {
      const [{ url, username, password }] = checkedAddresses(
        '--sasl-token-url',
        [saslTokenUrl],
        httpUrl,
      ) as [Address]
      needs(
        url.protocol === 'https:' || isLoopback(url.hostname),
        '--sasl-token-url: http would show the secret to everyone on the way; expected https://, or a host of this machine',
      )
      needs(
        (username ?? password) === undefined,
        '--sasl-token-url: credentials are not allowed in it; expected them as --sasl-username and --sasl-password',
      )
    }
    needs(
      saslTokenUrl === undefined || hasPassword,
      '--sasl-token-url needs --sasl-username and --sasl-password or --sasl-password-file',
    )
  } else {
    needs(
      hasPassword,
      `--sasl-mechanism ${mechanism} needs --sasl-username and --sasl-password or --sasl-password-file`,
    )
    needs(
      (saslTokenFile ?? saslTokenUrl) === undefined,
      `--sasl-token-file and --sasl-token-url are for oauthbearer, not for ${mechanism}`,
    )
  }
}

/** The same for the options of Elasticsearch alone. */
export function checkElasticsearchOptions(
  options: Values<typeof elasticsearchConnectionOptions>,
): void {
  const nodes = checkedAddresses('--elasticsearch', options.elasticsearch ?? [], baseUrl)
  if (
    new Set(nodes.map(({ username, password }) => JSON.stringify([username, password]))).size > 1
  ) {
    throw usage(
      '--elasticsearch: the URLs have different credentials; expected the same in each, or --elasticsearch-user',
    )
  }
  try {
    checkIndexPrefix(options.indexPrefix)
  } catch (error) {
    throw usage(
      `--index-prefix: "${options.indexPrefix}" is not allowed; expected ${(error as Error).message}`,
    )
  }
  const password = options.elasticsearchPassword ?? options.elasticsearchPasswordFile
  const apiKey = options.elasticsearchApiKey ?? options.elasticsearchApiKeyFile
  if (
    options.elasticsearchPassword !== undefined &&
    options.elasticsearchPasswordFile !== undefined
  ) {
    throw usage('--elasticsearch-password and --elasticsearch-password-file exclude each other')
  }
  if (options.elasticsearchApiKey !== undefined && options.elasticsearchApiKeyFile !== undefined) {
    throw usage('--elasticsearch-api-key and --elasticsearch-api-key-file exclude each other')
  }
  if (options.elasticsearchUser !== undefined && apiKey !== undefined) {
    throw usage('--elasticsearch-user and --elasticsearch-api-key exclude each other')
  }
  if (password !== undefined && options.elasticsearchUser === undefined) {
    throw usage('--elasticsearch-password is of no use without --elasticsearch-user')
  }
  elasticsearchHeaders(options)
}

/** The same for the options of MySQL. */
export function checkMysqlOptions(options: Values<typeof mysqlConnectionOptions>): void {
  const { mysql, mysqlPassword: password, mysqlPasswordFile: file } = options
  const url = mysql === undefined ? undefined : mysqlAddress(mysql)
  try {
    checkTableName(options.mysqlTable)
  } catch (error) {
    throw usage(
      `--mysql-table: "${options.mysqlTable}" is not allowed; expected ${(error as Error).message}`,
    )
  }
  if (password !== undefined && file !== undefined) {
    throw usage('--mysql-password and --mysql-password-file exclude each other')
  }
  if (options.mysqlTlsName !== undefined && !options.mysqlTls && options.mysqlCa === undefined) {
    throw usage('--mysql-tls-name is of no use without --mysql-tls or --mysql-ca')
  }
  if (
    options.mysqlTlsName !== undefined &&
    !/^[^\s/:]+$|^[0-9a-fA-F:.]+$/.test(options.mysqlTlsName)
  ) {
    throw usage(
      `--mysql-tls-name: "${options.mysqlTlsName}" is not allowed; expected a host name or an address`,
    )
  }
  if (url?.password !== undefined && (password ?? file) !== undefined) {
    throw usage('--mysql names a password already; give it once')
  }
}

/** The parts of `--mysql`. Throws ArchiverError `USAGE`, without showing a password. */
export function mysqlAddress(url: string): {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string | undefined
  readonly database: string
} {
  const [address] = checkedAddresses('--mysql', [url], {
    expected: 'mysql://user@host:3306/database',
    isExpected: ({ url: { protocol, hostname, pathname, search }, username }) =>
      /^(mysql|mariadb):$/.test(protocol) &&
      hostname !== '' &&
      username !== undefined &&
      search === '' &&
      /^\/[^/]+$/.test(pathname) &&
      isPercentEncoded(pathname),
  })
  const { hostname, port, pathname } = address!.url
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? 3306 : Number(port),
    user: address!.username!,
    password: address!.password,
    database: decodeURIComponent(pathname.slice(1)),
  }
}

interface Expectation {
  readonly expected: string
  readonly isExpected: (address: Address) => boolean
}

const httpUrl: Expectation = {
  expected: 'http://host:port or https://host:port',
  isExpected: ({ url }) => /^https?:$/.test(url.protocol),
}

/** A server below whose address there are paths of its own. */
const baseUrl: Expectation = {
  expected: 'http://host:port or https://host:port, with a path of a proxy at most',
  isExpected: (address) => httpUrl.isExpected(address) && !/[?#]/.test(address.url.href),
}

/**
 * The URLs of an option, taken apart.
 * @throws ArchiverError `USAGE`. What was given is shown only where no password can be in it: a
 *   comma in one makes two URLs, neither of which looks as if it had one.
 */
function checkedAddresses(
  option: string,
  urls: readonly string[],
  { expected, isExpected }: Expectation,
): Address[] {
  const isSecret = urls.join().includes('@')
  return urls.map((url, i) => {
    const refused = (allowed: string) =>
      usage(
        `${option}: ${isSecret ? `URL number ${i + 1}` : `"${url}"`} is not allowed; expected ${allowed}`,
      )
    let address: Address
    // A URL parser passes over blanks and line breaks, and takes `http:host` for `http://host`.
    if (/\s/.test(url) || !/^[a-z][a-z0-9+.-]*:\/\/[^/]/i.test(url)) {
      throw refused(isSecret ? `${expected}, ${encodedCredentials}` : expected)
    }
    try {
      address = addressOf(url)
    } catch (error) {
      throw refused(isSecret ? `${expected}, ${(error as Error).message}` : expected)
    }
    if (!isExpected(address)) throw refused(expected)
    return address
  })
}

/** What no single option of Kibana can check. Throws ArchiverError `USAGE`. */
export function checkKibanaOptions(options: Values<typeof kibanaOptions>): void {
  const { kibana, kibanaSpace: space } = options
  if (kibana !== undefined) checkedAddresses('--kibana', [kibana], baseUrl)
  if (space !== undefined && !/^[a-z0-9_-]+$/.test(space)) {
    throw usage(
      `--kibana-space: "${space}" is not allowed; expected the identifier of a space: a-z 0-9 _ -`,
    )
  }
  if (options.kibanaPassword !== undefined && options.kibanaPasswordFile !== undefined) {
    throw usage('--kibana-password and --kibana-password-file exclude each other')
  }
  if (options.kibanaApiKey !== undefined && options.kibanaApiKeyFile !== undefined) {
    throw usage('--kibana-api-key and --kibana-api-key-file exclude each other')
  }
  const password = options.kibanaPassword ?? options.kibanaPasswordFile
  const apiKey = options.kibanaApiKey ?? options.kibanaApiKeyFile
  if (options.kibanaUser !== undefined && apiKey !== undefined) {
    throw usage('--kibana-user and --kibana-api-key exclude each other')
  }
  if (password !== undefined && options.kibanaUser === undefined) {
    throw usage('--kibana-password is of no use without --kibana-user')
  }
}

/**
 * The headers of `--elasticsearch-headers`. Throws ArchiverError `USAGE`, without showing a value.
 */
export function elasticsearchHeaders(
  options: Pick<Values<typeof elasticsearchConnectionOptions>, 'elasticsearchHeaders'>,
): Readonly<Record<string, string>> | undefined {
  if (options.elasticsearchHeaders === undefined) return undefined
  const headers = options.elasticsearchHeaders.map((header, i) => {
    // Blanks around a header's value are no part of it (RFC 9110, section 5.5).
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

/** Where the type of a message stands. Throws ArchiverError `USAGE`. */
export function typeSource(options: Values<typeof typeOptions>): TypeSource {
  switch (options.typeFrom) {
    case 'topic':
      return { from: 'topic' }
    case 'header':
      return { from: 'header', header: options.typeHeader }
    case 'value':
      try {
        return { from: 'value', path: parseTypePath(options.typePath) }
      } catch (error) {
        throw usage(
          `--type-path: "${options.typePath}" is not allowed; expected ${(error as Error).message}`,
        )
      }
  }
}

/** A name for this process among the workers, for manifests and staging directories. */
export function workerName(): string {
  return `${hostname()
    .replace(/[^A-Za-z0-9-]/g, '-')
    .slice(0, 40)}-${process.pid}-${Date.now().toString(36)}`
}

function usage(message: string): ArchiverError {
  return new ArchiverError('USAGE', message)
}
