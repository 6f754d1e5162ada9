import type { MysqlConnection } from '../mysql/connection.ts'
import { checkTableName } from '../mysql/table-name.ts'
import { isLoopback, isPercentEncoded } from '../runtime/address.ts'
import { readSecretFile } from '../runtime/secret-file.ts'
import {
  addressIn,
  type Expectation,
  exclusive,
  file,
  flag,
  group,
  implied,
  integer,
  negatable,
  requires,
  secret,
  text,
  that,
  url,
  type ValuesOf,
} from './options.ts'

/** How to reach MySQL or MariaDB and what its table is called: for every command that uses it. */
export const mysqlGroup = group(
  'MySQL',
  {
    mysql: negatable(
      url(
        {
          placeholder: '<mysql://user@host:3306/database>',
          explanation:
            'Keep records in this database of MySQL 8 or MariaDB as well. Prefer a variable or a file for the password.',
        },
        mysqlAddress,
      ),
    ),
    mysqlPassword: secret(
      text({ explanation: 'Password of that user. Prefer a variable or a file.' }),
    ),
    mysqlPasswordFile: file({
      explanation: 'File with that password; a line break at its end is ignored.',
    }),
    mysqlTls: flag({ default: false, explanation: 'Connect to the server over TLS.' }),
    mysqlCa: file({ explanation: 'Certificate authority of the server, as a PEM file.' }),
    mysqlTlsName: text({
      check: checkTlsName,
      explanation:
        "Name or address that the server's certificate must have, if it is not the host in --mysql.",
    }),
    mysqlAllowPublicKeyRetrieval: flag({
      default: false,
      explanation:
        'Ask a server without TLS for its public key, to encrypt the password with it. Anyone who can answer in its place can then read the password. On this machine nobody can, so a server here is asked without this option.',
    }),
    mysqlTable: text({
      default: 'archive_records',
      check: checkTableName,
      explanation:
        'Table of the records. The table of rejects has the same name with _rejected appended.',
    }),
    mysqlTimeout: integer({
      default: '60',
      min: 1,
      unit: 's',
      explanation: 'Maximum time for an answer.',
    }),
  },
  [
    implied('mysqlTls', 'mysqlCa'),
    exclusive(
      'mysqlPassword',
      'mysqlPasswordFile',
      that(
        'mysql',
        'a password in --mysql',
        ({ password }: MysqlAddress) => password !== undefined,
      ),
    ),
    requires(['mysqlTlsName'], 'mysqlTls'),
  ],
)

type MysqlAddress = Pick<MysqlConnection, 'host' | 'port' | 'user' | 'password' | 'database'>

const mysqlUrl: Expectation = {
  expected: 'mysql://user@host:3306/database',
  isExpected: ({ url: { protocol, hostname, pathname, search }, username }) =>
    /^(mysql|mariadb):$/.test(protocol) &&
    hostname !== '' &&
    username !== undefined &&
    search === '' &&
    /^\/[^/]+$/.test(pathname) &&
    isPercentEncoded(pathname),
}

/** @throws Error whose message says what is allowed, and shows nothing of the text. */
function mysqlAddress(text: string): MysqlAddress {
  const { url, username, password } = addressIn(text, mysqlUrl)
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 3306 : Number(url.port),
    user: username!,
    password,
    database: decodeURIComponent(url.pathname.slice(1)),
  }
}

/** @throws Error whose message says what is allowed. */
function checkTlsName(name: string): void {
  if (!/^[^\s/:]+$|^[0-9a-fA-F:.]+$/.test(name)) throw new Error('a host name or an address')
}

/**
 * The connection of these options, whose relations hold; undefined without `--mysql`.
 * @throws ArchiverError `USAGE` if the file with the password cannot be read.
 */
export function mysqlConnection(values: ValuesOf<typeof mysqlGroup>): MysqlConnection | undefined {
  const { mysql: address } = values
  if (address === undefined) return undefined
  return {
    ...address,
    password:
      address.password ??
      values.mysqlPassword ??
      readSecretFile('--mysql-password-file', values.mysqlPasswordFile),
    caFile: values.mysqlCa,
    tls: values.mysqlTls,
    tlsName: values.mysqlTlsName,
    allowsKeyRetrieval: values.mysqlAllowPublicKeyRetrieval || isLoopback(address.host),
    timeoutMs: values.mysqlTimeout * 1000,
  }
}
