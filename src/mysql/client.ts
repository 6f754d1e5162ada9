import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { type Connection, type ConnectionOptions, createConnection } from 'mysql2'
import { DeadlineExceeded, withDeadline } from '../runtime/deadline.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { anything, digits, list, object, type Shape, text, UnlikeAnswer } from '../runtime/shape.ts'
import type { MysqlConnection } from './connection.ts'
import { expectedIdentity, verifyAddress, withoutKeyRetrieval } from './server-identity.ts'

/** A query or a connection that failed. The message is the server's, and names no secret. */
export class MysqlFailure extends Error {
  /** The server's number of the error; undefined where no server answered. */
  readonly errno: number | undefined
  /** `ER_DUP_ENTRY`, `ECONNREFUSED`, `TIMEOUT`. */
  readonly code: string

  constructor(message: string, code: string, errno?: number) {
    super(message)
    this.name = 'MysqlFailure'
    this.code = code
    this.errno = errno
  }
}

/** What a server says of itself. */
export interface ServerFacts {
  readonly kind: 'mysql' | 'mariadb'
  readonly version: string
  /** The bytes that one statement may have. */
  readonly maxPacketBytes: number
  /**
   * Whether a transaction is on disk when it is acknowledged: `innodb_flush_log_at_trx_commit`, and
   * `sync_binlog` where there is one.
   */
  readonly flushesEveryCommit: boolean
}

interface FactsRow {
  readonly version: string
  readonly max_packet: string
  readonly flush: string
  readonly has_binlog: string
  readonly sync_binlog: string
}

/** Numbers of variables may be numbers or texts. */
const factsShape = oneRow({
  version: text,
  max_packet: digits,
  flush: digits,
  has_binlog: digits,
  sync_binlog: digits,
})

const connectTimeoutMs = 10_000

/**
 * Strict, so that nothing is shortened or altered with a warning; a lock is waited for a while
 * only, as what waits holds others up.
 */
const sessionSql =
  "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1, innodb_lock_wait_timeout = 10, lock_wait_timeout = 10"
const factsSql =
  'SELECT VERSION() AS version, @@max_allowed_packet AS max_packet, @@innodb_flush_log_at_trx_commit AS flush, @@log_bin AS has_binlog, @@sync_binlog AS sync_binlog'

/** One connection and what is under way on it. */
interface Session {
  readonly connection: Connection
  readonly socket: Socket
  /** Ends what is under way. */
  fail: ((failure: MysqlFailure) => void) | undefined
  broken: boolean
}

/**
 * A few connections to one server, made as they are needed. Every query has a time limit, after
 * which its connection is cut: a frozen server answers nothing, and a half-open connection never
 * will.
 */
export class Mysql {
  readonly #settings: MysqlConnection
  readonly #idle: Session[] = []
  readonly #used = new Set<Session>()
  #closed = false
  #facts: ServerFacts | undefined

  constructor(settings: MysqlConnection) {
    this.#settings = settings
  }

  /** `host:port/database`: what may be shown. */
  get address(): string {
    const { host, port, database } = this.#settings
    return `${host}:${port}/${database}`
  }

  get database(): string {
    return this.#settings.database
  }

  /** What the server said when it was connected to last. @throws Error before `detect`. */
  get facts(): ServerFacts {
    if (this.#facts === undefined) throw new Error('not connected yet')
    return this.#facts
  }

  /**
   * Connects for the first time.
   * @throws ArchiverError `UNREACHABLE`: away, a wrong password, no such database, a server too
   *   old.
   */
  async detect(): Promise<ServerFacts> {
    const session = await this.#acquire().catch((error: unknown) => {
      if (!(error instanceof MysqlFailure)) throw error
      const { user } = this.#settings
      throw new ArchiverError(
        'UNREACHABLE',
        `MySQL at ${this.address} as ${user}: ${error.message}`,
        {},
        error,
      )
    })
    this.#release(session)
    const { kind, version } = this.facts
    if (!isNewEnough(version, kind === 'mysql' ? [8, 0, 17] : [10, 6, 0])) {
      throw new ArchiverError(
        'UNREACHABLE',
        `MySQL at ${this.address} is ${kind === 'mysql' ? 'MySQL' : 'MariaDB'} ${version}; MySQL 8.0.17 or MariaDB 10.6, or newer, is needed`,
      )
    }
    return this.facts
  }

  /** Runs one statement. `shape`: what its answer must have. @throws MysqlFailure */
  async query<T = unknown>(sql: string, shape: Shape = anything): Promise<T> {
    const session = await this.#acquire()
    try {
      return await this.#ask<T>(session, sql, shape)
    } finally {
      this.#release(session)
    }
  }

  /**
   * The rows of a query one by one, in the order and at the pace in which they are taken. @throws
   * MysqlFailure
   */
  async *rows<T>(sql: string, shape: Shape): AsyncGenerator<T> {
    const session = await this.#acquire()
    let done = false
    try {
      const rows = session.connection
        .query(sql)
        .stream({ highWaterMark: 100 })
        [Symbol.asyncIterator]()
      for (;;) {
        const { done: isLast, value } = await this.#nextRow(session, rows)
        if (isLast === true) break
        shape(value, 'a row')
        yield value as T
      }
      done = true
    } catch (error) {
      throw failureOf(error)
    } finally {
      // What was not read to its end stands in the way of the next answer.
      if (!done) destroy(session)
      this.#release(session)
    }
  }

  /** Cuts all connections; what is under way fails. */
  async close(): Promise<void> {
    this.#closed = true
    for (const session of [...this.#used, ...this.#idle]) destroy(session, closedFailure())
  }

  async #acquire(): Promise<Session> {
    if (this.#closed) throw closedFailure()
    let session = this.#idle.pop()
    while (session?.broken === true) session = this.#idle.pop()
    session ??= await this.#connect()
    this.#used.add(session)
    return session
  }

  #release(session: Session): void {
    this.#used.delete(session)
    if (this.#closed) destroy(session)
    if (!session.broken) this.#idle.push(session)
  }

  async #connect(): Promise<Session> {
    const { host, port, user, password, database } = this.#settings
    const tls = this.#tls()
    const socket = connect({ host, port, noDelay: true, keepAlive: true })
    // A host without an address would otherwise be an error that nobody hears, where mysql2 is not
    // listening yet.
    socket.on('error', () => {})
    const session: Session = {
      socket,
      connection: createConnection({
        stream: () => socket,
        port,
        user,
        ...(password === undefined ? {} : { password }),
        database,
        charset: 'utf8mb4',
        connectTimeout: connectTimeoutMs,
        supportBigNumbers: true,
        bigNumberStrings: true,
        dateStrings: true,
        ...tls.options,
      }),
      fail: undefined,
      broken: false,
    }
    if (tls.address !== undefined) verifyAddress(session.connection, tls.address)
    session.connection.on('error', (error) => destroy(session, failureOf(error)))
    this.#used.add(session)
    try {
      await this.#whileUsed(session, connectTimeoutMs + 1000, (settle) =>
        session.connection.connect(settle),
      )
      await this.#ask(session, sessionSql, anything)
      const [row] = await this.#ask<readonly FactsRow[]>(session, factsSql, factsShape)
      this.#facts = factsOf(row!)
    } catch (error) {
      destroy(session)
      throw error
    } finally {
      this.#used.delete(session)
    }
    if (this.#closed) {
      destroy(session)
      throw closedFailure()
    }
    return session
  }

  /**
   * The options of mysql2 for TLS, or for a login without it. `address`: to be compared with the
   * certificate.
   */
  #tls(): { readonly options: ConnectionOptions; readonly address?: string } {
    const { caFile, tls, host, tlsName = host, allowsKeyRetrieval } = this.#settings
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

  /**
   * The time that the caller takes for a row is its own; that of the server for the next one has a
   * limit.
   */
  async #nextRow(session: Session, rows: AsyncIterator<unknown>): Promise<IteratorResult<unknown>> {
    const { timeoutMs } = this.#settings
    try {
      return await withDeadline(timeoutMs, undefined, () => rows.next())
    } catch (error) {
      if (!(error instanceof DeadlineExceeded)) throw error
      destroy(session)
      throw new MysqlFailure(`no answer within ${timeoutMs / 1000} s`, 'TIMEOUT')
    }
  }

  async #ask<T>(session: Session, sql: string, shape: Shape): Promise<T> {
    const answer = await this.#whileUsed<T>(session, this.#settings.timeoutMs, (settle) =>
      session.connection.query(sql, (error, rows) => settle(error, rows as T)),
    )
    checkAnswer(answer, shape)
    return answer
  }

  /**
   * Waits for mysql2 to call back, for the connection to break, or for the time to be over,
   * whichever is first.
   */
  #whileUsed<T>(
    session: Session,
    timeoutMs: number,
    begin: (settle: (error: unknown, result?: T) => void) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        destroy(session, new MysqlFailure(`no answer within ${timeoutMs / 1000} s`, 'TIMEOUT'))
      }, timeoutMs)
      const end = () => {
        clearTimeout(timer)
        session.fail = undefined
      }
      session.fail = (failure) => {
        end()
        reject(failure)
      }
      begin((error, result) => {
        if (session.fail === undefined) return
        end()
        if (error === null || error === undefined) resolve(result as T)
        else {
          const failure = failureOf(error)
          // After these the server hangs up, or nobody knows what it will answer.
          if (failure.errno === undefined || isFatal(error)) destroy(session)
          reject(failure)
        }
      })
    })
  }
}

function readAuthority(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new MysqlFailure(`the certificate authority cannot be read: ${messageOf(error)}`, 'CA')
  }
}

function isNewEnough(version: string, needed: readonly number[]): boolean {
  const parts = version.split(/[.-]/).map(Number)
  for (const [i, part] of needed.entries()) if (parts[i] !== part) return (parts[i] ?? 0) > part
  return true
}

function destroy(session: Session, failure: MysqlFailure = lostFailure()): void {
  session.broken = true
  session.connection.destroy()
  session.socket.destroy()
  session.fail?.(failure)
}

function factsOf({ version, max_packet, flush, has_binlog, sync_binlog }: FactsRow): ServerFacts {
  return {
    kind: /mariadb/i.test(version) ? 'mariadb' : 'mysql',
    // Some MariaDB put the version of a MySQL before their own, for clients of old.
    version: version.replace(/^5\.5\.5-/, ''),
    maxPacketBytes: Number(max_packet),
    // A crash takes back what is missing in the log that replicas read.
    flushesEveryCommit:
      Number(flush) === 1 && (Number(has_binlog) === 0 || Number(sync_binlog) === 1),
  }
}

function closedFailure(): MysqlFailure {
  return new MysqlFailure('the client is closed', 'CLOSED')
}

function lostFailure(): MysqlFailure {
  return new MysqlFailure('the connection was lost', 'PROTOCOL_CONNECTION_LOST')
}

function isFatal(error: unknown): boolean {
  return error instanceof Error && 'fatal' in error && error.fatal === true
}

/** @throws MysqlFailure */
export function checkAnswer(answer: unknown, shape: Shape): void {
  try {
    shape(answer, 'the answer')
  } catch (error) {
    throw failureOf(error)
  }
}

/** The answer of a query for one row. */
export function oneRow(columns: Readonly<Record<string, Shape>>): Shape {
  const rows = list(object(columns))
  return (value, at) => {
    rows(value, at)
    if ((value as readonly unknown[]).length !== 1) throw new UnlikeAnswer(`${at} is not one row`)
  }
}

/**
 * An error of mysql2 or of the system. Of a server's error the number counts, of all others that
 * there was no answer.
 */
function failureOf(error: unknown): MysqlFailure {
  if (error instanceof MysqlFailure) return error
  if (error instanceof UnlikeAnswer)
    return new MysqlFailure(`not an answer to the query: ${error.message}`, 'UNLIKE')
  const { errno, code } = error as { errno?: unknown; code?: unknown }
  // Of the system the numbers are negative.
  const number = typeof errno === 'number' && errno >= 1000 ? errno : undefined
  const name = typeof code === 'string' ? code : 'UNKNOWN'
  // Where a host has several addresses, the message is empty.
  const text = error instanceof Error && error.message === '' ? name : messageOf(error)
  return new MysqlFailure(text, name, number)
}

/**
 * Runs what a command asks for; a server that fails ends it. @throws ArchiverError `UNREACHABLE`
 */
export async function guarded<T>(client: Mysql, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof MysqlFailure)) throw error
    throw new ArchiverError(
      'UNREACHABLE',
      `MySQL at ${client.address}: ${error.message}`,
      {},
      error,
    )
  }
}
