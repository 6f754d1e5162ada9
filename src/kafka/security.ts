import type { KafkaConfig, Mechanism, SASLOptions } from 'kafkajs'
import { redirected, unansweredHint } from '../runtime/address.ts'
import { boundedText } from '../runtime/bounded-text.ts'
import { errorFields, messageOf } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { noProxies } from '../runtime/proxies.ts'
import { readSecretFile } from '../runtime/secret-file.ts'
import type { KafkaConnection, Login, MskLogin, Secret, TokenEndpoint } from './connection.ts'
import { kafkajs } from './kafkajs.ts'

/** kafkajs knows by it that trying again is of no use; its type declares no argument. */
const AuthenticationError = kafkajs.KafkaJSSASLAuthenticationError as new (message: string) => Error

/**
 * kafkajs's `ssl` and `sasl`. kafkajs reads their properties whenever it connects or logs in again,
 * so a file that was changed counts from the next connection on, without a restart.
 *
 * @throws ArchiverError `USAGE` where a file cannot be read or is empty at the start.
 */
export function kafkaSecurity(
  connection: Omit<KafkaConnection, 'brokers'>,
  log: Logger,
): Pick<KafkaConfig, 'ssl' | 'sasl'> {
  const { tls, login } = connection
  return {
    ...(tls ? { ssl: tlsOptions(connection, log) } : {}),
    ...(login === undefined ? {} : { sasl: saslOptions(login, log) }),
  }
}

function tlsOptions(
  { ca, certificate }: Pick<KafkaConnection, 'ca' | 'certificate'>,
  log: Logger,
): NonNullable<KafkaConfig['ssl']> {
  const options = {}
  const put = (name: 'ca' | 'cert' | 'key', secret: Secret | undefined) => {
    if (secret === undefined) return
    Object.defineProperty(options, name, { enumerable: true, get: reader(secret, log) })
  }
  put('ca', ca)
  put('cert', certificate?.certificate)
  put('key', certificate?.key)
  return options
}

function saslOptions(login: Login, log: Logger): NonNullable<KafkaConfig['sasl']> {
  if (login.mechanism === 'oauthbearer') {
    const { token } = login
    if ('region' in token) return bearer(mskBearer(token))
    if (!('url' in token)) {
      const read = reader(token, log)
      return bearer(async () => read())
    }
    const clientSecret = reader(token.clientSecret, log)
    return bearer(() => requestToken(token, clientSecret()))
  }
  const { mechanism, username } = login
  const password = reader(login.password, log)
  const options = {
    mechanism,
    username,
    get password() {
      return password()
    },
  }
  return options as SASLOptions
}

/** Loads the SDK of AWS when a token is first needed: no other login needs it. */
function mskBearer(login: MskLogin): () => Promise<string> {
  let token: (() => Promise<string>) | undefined
  return async () => {
    const { mskTokens } = await import('./msk-token.ts')
    token ??= mskTokens(login)
    return token()
  }
}

/**
 * OAUTHBEARER (RFC 7628, KIP-255). kafkajs's own ignores the answer. But a broker that refuses a
 * token says so in an answer without an error code, and closes the connection at the next request.
 */
function bearer(token: () => Promise<string>): Mechanism {
  return {
    mechanism: 'oauthbearer',
    authenticationProvider: ({ host, port, saslAuthenticate }) => ({
      authenticate: async () => {
        const message = Buffer.from(`n,,\x01auth=Bearer ${await token()}\x01\x01`)
        await saslAuthenticate({
          request: { encode: () => withLength(message) },
          response: {
            decode: (answer) => answer.subarray(4),
            parse: (challenge) => {
              if (challenge.length === 0) return
              throw new AuthenticationError(
                `SASL OAUTHBEARER authentication failed: ${host}:${port} answered ${challenge.toString('utf8')}`,
              )
            },
          },
        })
      },
    }),
  }
}

function withLength(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/**
 * Reads a secret. While a file is unreadable, for example because it is being replaced, its former
 * content counts.
 */
function reader(secret: Secret, log: Logger): () => string {
  if ('text' in secret) return () => secret.text
  let held = readSecretFile(secret.flag, secret.file)
  return () => {
    try {
      held = readSecretFile(secret.flag, secret.file)
    } catch (error) {
      log.warn(
        { event: 'secret_unreadable', flag: secret.flag, path: secret.file, ...errorFields(error) },
        'cannot read a secret; using what the file held before',
      )
    }
    return held
  }
}

const tokenTimeoutMs = 10_000
const maxTokenBytes = 2 ** 20

async function requestToken(
  { url, clientId, scope, proxies = noProxies }: TokenEndpoint,
  clientSecret: string,
): Promise<string> {
  const proxy = proxies.of(new URL(url))
  const { fetch } = await import('undici')
  const silence = { headersTimeout: tokenTimeoutMs, bodyTimeout: tokenTimeoutMs }
  const dispatcher =
    proxy &&
    (await import('../runtime/tunnel.ts')).proxyAgent(
      proxy,
      new URL(url).protocol,
      undefined,
      silence,
    )
  try {
    const response = await fetch(url, {
      ...(dispatcher === undefined ? {} : { dispatcher }),
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${encodeURIComponent(clientId)}:${encodeURIComponent(clientSecret)}`).toString('base64')}`,
        accept: 'application/json',
      },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        ...(scope === undefined ? {} : { scope }),
      }),
      // Another server must not get the secret, nor give a token instead of this one.
      redirect: 'manual',
      signal: AbortSignal.timeout(tokenTimeoutMs),
    })
    if (response.status >= 300 && response.status < 400) {
      throw new Error(
        `${url} gave no token: ${redirected(response.status, response.headers.get('location'))}`,
      )
    }
    // An answer that is not 200 may hold the secret that was sent: the message has only its status.
    if (!response.ok) throw new Error(`${url} gave no token: HTTP status ${response.status}`)
    const token = accessTokenIn(await boundedText(response, maxTokenBytes))
    if (token === undefined) throw new Error(`${url} gave no access_token`)
    return token
  } finally {
    await dispatcher?.destroy()
  }
}

/**
 * The token of an answer; undefined without a good one. A token has visible characters only (RFC
 * 6749, appendix A.12): any other would be read as further fields of the login (RFC 7628, section
 * 3.1).
 */
export function accessTokenIn(answer: string): string | undefined {
  try {
    const token = (JSON.parse(answer) as { readonly access_token?: unknown } | null)?.access_token
    return typeof token === 'string' && /^[\x20-\x7e]+$/.test(token) ? token : undefined
  } catch {
    // The message would quote the answer, and with it a token.
    return undefined
  }
}

/** What OpenSSL and Node call a certificate that they do not trust. */
const distrust =
  /^(SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_\w+|CERT_\w+|ERR_TLS_CERT_ALTNAME_INVALID)$/

/**
 * Why the first connection failed, and which options to look at, as a sentence that begins with
 * `Kafka at …`.
 */
export function connectFailure(error: unknown, where: string): string {
  const chain = causes(error)
  const message = messageOf(error)
  const code =
    chain.map((cause) => ('code' in cause ? String(cause.code) : '')).find((text) => text !== '') ??
    ''
  if (chain.some(({ name }) => name === 'KafkaJSSASLAuthenticationError')) {
    return `Kafka at ${where} refused the login: ${message}; are --sasl-mechanism, --sasl-username and the password or token right?`
  }
  if (distrust.test(code)) {
    return `Kafka at ${where} has a certificate that is not trusted: ${message}; is --kafka-ca right?`
  }
  if (/^(EPROTO|ERR_SSL_)/.test(code) || message.includes('before secure TLS connection')) {
    return `Kafka at ${where} and this program do not agree on TLS: ${message}; is this a port for TLS, and does it want --kafka-cert?`
  }
  // What a port for TLS does to a client without TLS.
  const hint = /closed connection|ECONNRESET|answers with TLS/i.test(message)
    ? ', and does this port want --kafka-tls'
    : ''
  return `Kafka at ${where} does not answer: ${message}; ${unansweredHint('--brokers', hint)}`
}

function causes(error: unknown): readonly Error[] {
  return error instanceof Error ? [error, ...causes(error.cause)] : []
}
