import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'mysql2'
import { messageOf } from '../runtime/errors.ts'
import type { MysqlConnection } from './connection.ts'
import { MysqlFailure } from './failure.ts'
import { expectedIdentity, withoutKeyRetrieval } from './server-identity.ts'

/**
 * The options of mysql2 for TLS, or for a login without it. `address`: to be compared with the
 * certificate.
 * @throws MysqlFailure if the certificate authority cannot be read
 */
export function tlsOptions(settings: MysqlConnection): {
  readonly options: ConnectionOptions
  readonly address?: string
} {
  const { caFile, tls, host, tlsName = host, allowsKeyRetrieval } = settings
  if (caFile === undefined && tls !== true) {
    return {
      options: {
        host,
        ...(allowsKeyRetrieval === true ? {} : { authPlugins: withoutKeyRetrieval() }),
      },
    }
  }
  const { host: name, verifyIdentity } = expectedIdentity(tlsName)
  const ssl = {
    rejectUnauthorized: true,
    verifyIdentity,
    ...(caFile === undefined ? {} : { ca: readAuthority(caFile) }),
  }
  return { options: { host: name, ssl }, ...(verifyIdentity ? {} : { address: name }) }
}

function readAuthority(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new MysqlFailure(`the certificate authority cannot be read: ${messageOf(error)}`, 'CA')
  }
}
