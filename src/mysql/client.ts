import { connect, type Socket } from 'node:net'
import { type Connection, createConnection } from 'mysql2'
import { DeadlineExceeded, withDeadline } from '../runtime/deadline.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { anything, type Shape } from '../runtime/shape.ts'
import type { MysqlConnection } from './connection.ts'
import {
  checkAnswer,
  closedFailure,
  failureOf,
  isFatal,
  lateFailure,
  lostFailure,
  MysqlFailure,
} from './failure.ts'
import {
  type FactsRow,
  factsOf,
  factsShape,
  factsSql,
  isSupported,
  type ServerFacts,
} from './server-facts.ts'
import { verifyAddress } from './server-identity.ts'
import { tlsOptions } from './tls.ts'

const connectTimeoutMs = 10_000

/**
 * Strict, so that nothing is shortened or altered with a warning. The wait for a lock is short, as
 * what waits holds others up.
 */
const sessionSql =
  "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1, innodb_lock_wait_timeout = 10, lock_wait_timeout = 10"

/** One connection and what runs on it. */
interface Session {
  readonly connection: Connection
  readonly socket: Socket
  /** Ends what runs. */
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
        `MySQL at ${this.address} as ${user}: ${error.advice}`,
        {},
        error,
      )
    })
    this.#release(session)
    const { kind, version } = this.facts
    if (!isSupported(this.facts)) {
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
      // What was not read to its end would come before the next answer.
      if (!done) destroy(session)
      this.#release(session)
    }
  }

  /** Cuts all connections; what runs on them fails. */
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
    const tls = tlsOptions(this.#settings)
    const socket = connect({ host, port, noDelay: true, keepAlive: true })
    // mysql2 does not listen yet: a host without an address would be an error without a listener,
    // which ends the process.
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
      throw lateFailure(timeoutMs)
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
      const timer = setTimeout(() => destroy(session, lateFailure(timeoutMs)), timeoutMs)
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

function destroy(session: Session, failure: MysqlFailure = lostFailure()): void {
  session.broken = true
  session.connection.destroy()
  session.socket.destroy()
  session.fail?.(failure)
}
