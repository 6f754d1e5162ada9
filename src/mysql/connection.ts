/** How to reach MySQL or MariaDB. */
export interface MysqlConnection {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string | undefined
  readonly database: string
  /** Certificate authority as a PEM file; read again for every connection. */
  readonly caFile?: string | undefined
  /** TLS with the certificate authorities of this machine. Implied by `caFile`. */
  readonly tls?: boolean
  /** The name or address that the server's certificate must have; undefined: `host`. */
  readonly tlsName?: string | undefined
  /**
   * Without TLS, a login may ask the server for the public key that it encrypts the password with.
   */
  readonly allowsKeyRetrieval?: boolean
  /** How long an answer may take. */
  readonly timeoutMs: number
}
