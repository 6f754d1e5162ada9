import { unansweredHint } from '../runtime/address.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { list, object, type Shape, UnlikeAnswer } from '../runtime/shape.ts'

/** A query or a connection that failed. The message is the server's, and names no secret. */
export class MysqlFailure extends Error {
  /** The server's number of the error; undefined if no server answered. */
  readonly errno: number | undefined
  /** `ER_DUP_ENTRY`, `ECONNREFUSED`, `TIMEOUT`. */
  readonly code: string

  constructor(message: string, code: string, errno?: number) {
    super(message)
    this.name = 'MysqlFailure'
    this.code = code
    this.errno = errno
  }

  /** The message and, if no server answered, what to look at. */
  get advice(): string {
    if (this.errno !== undefined) return this.message
    return `${this.message}; ${unansweredHint('--mysql')}`
  }

  /** The message with the server's number. It may quote a row. */
  get text(): string {
    return this.errno === undefined ? this.message : `${this.message} (error ${this.errno})`
  }
}

export function closedFailure(): MysqlFailure {
  return new MysqlFailure('the client is closed', 'CLOSED')
}

export function lostFailure(): MysqlFailure {
  return new MysqlFailure('the connection was lost', 'PROTOCOL_CONNECTION_LOST')
}

export function lateFailure(timeoutMs: number): MysqlFailure {
  return new MysqlFailure(`no answer within ${timeoutMs / 1000} s`, 'TIMEOUT')
}

/**
 * An error of mysql2 or of the system. Only a server's error keeps its number: every other one
 * means that there was no answer.
 */
export function failureOf(error: unknown): MysqlFailure {
  if (error instanceof MysqlFailure) return error
  if (error instanceof UnlikeAnswer)
    return new MysqlFailure(`not an answer to the query: ${error.message}`, 'UNLIKE')
  const { errno, code } = error as { errno?: unknown; code?: unknown }
  // The system's numbers are negative.
  const number = typeof errno === 'number' && errno >= 1000 ? errno : undefined
  const name = typeof code === 'string' ? code : 'UNKNOWN'
  return new MysqlFailure(messageOf(error), name, number)
}

/** mysql2 marks errors after which the connection cannot be used. */
export function isFatal(error: unknown): boolean {
  return error instanceof Error && 'fatal' in error && error.fatal === true
}

/** @throws MysqlFailure if an answer does not have the shape */
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
 * Runs what a command asks for: a server that fails ends the command.
 * @throws ArchiverError `UNREACHABLE`
 */
export async function guarded<T>(
  { address }: { readonly address: string },
  ask: () => Promise<T>,
): Promise<T> {
  try {
    return await ask()
  } catch (error) {
    if (!(error instanceof MysqlFailure)) throw error
    throw new ArchiverError('UNREACHABLE', `MySQL at ${address}: ${error.advice}`, {}, error)
  }
}
