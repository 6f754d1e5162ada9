import { isIP } from 'node:net'
import { checkServerIdentity, TLSSocket } from 'node:tls'
import { type AuthPlugin, authPlugins, type Connection, type ConnectionOptions } from 'mysql2'

/**
 * What mysql2 has and does not declare: it begins TLS here, and sends nothing of the login before
 * `done` is called.
 */
interface StartsTls {
  startTLS?: (done: (error?: Error) => void) => void
  readonly stream: unknown
}

/**
 * mysql2 compares a name with the server's certificate and, without a name, nothing. This compares
 * an address with the addresses that the certificate names (RFC 9525, section 6.3), before anything
 * of the login is sent.
 *
 * @throws Error if mysql2 is not what this was written for
 */
export function verifyAddress(connection: Connection, address: string): void {
  const inner = connection as unknown as StartsTls
  const begin = inner.startTLS?.bind(connection)
  if (begin === undefined)
    throw new Error('mysql2 has no startTLS: the address of the server cannot be verified')
  inner.startTLS = (done) => begin((error) => done(error ?? identityError(inner.stream, address)))
}

function identityError(socket: unknown, address: string): Error | undefined {
  if (!(socket instanceof TLSSocket)) return new Error('the connection has no TLS')
  return checkServerIdentity(address, socket.getPeerCertificate(true))
}

/** The name or address that a certificate must have, as mysql2's options have it. */
export function expectedIdentity(name: string): {
  readonly host: string
  readonly verifyIdentity: boolean
} {
  return { host: name, verifyIdentity: isIP(name) === 0 }
}

const fullAuthentication = Buffer.from([4])

/**
 * Logins that never ask the server for its public key. Whoever answers in a server's place would
 * give a key of their own, and read the password that comes encrypted with it (MySQL reference,
 * "Caching SHA-2 Pluggable Authentication").
 */
export function withoutKeyRetrieval(): NonNullable<ConnectionOptions['authPlugins']> {
  return {
    caching_sha2_password: guarded(authPlugins.caching_sha2_password(), (data) =>
      data.equals(fullAuthentication),
    ),
    sha256_password: guarded(authPlugins.sha256_password(), () => true),
  }
}

function guarded(plugin: AuthPlugin, asksForKey: (data: Buffer) => boolean): AuthPlugin {
  return (about) => {
    const answer = plugin(about)
    return (data) => {
      if (asksForKey(data)) return Promise.reject<Buffer>(new KeyRetrievalRefused())
      return answer(data)
    }
  }
}

class KeyRetrievalRefused extends Error {
  readonly code = 'KEY_RETRIEVAL'

  constructor() {
    super(
      'the server wants the password itself, and without TLS anyone in its place could read it; give --mysql-ca or --mysql-tls, or --mysql-allow-public-key-retrieval in a network that you trust',
    )
  }
}
