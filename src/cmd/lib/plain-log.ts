import { createLogger, type Logger, type LogLevel } from '../../runtime/log.ts'
import { standardOutput } from '../../runtime/standard-streams.ts'

/**
 * The log of a command that reports on standard output: one line for people for each entry, on a
 * terminal or in a pipe; one object each with `json`.
 */
export function plainLog(options: { readonly json: boolean; readonly logLevel: LogLevel }): Logger {
  const level = options.logLevel
  if (options.json)
    return createLogger({
      level,
      stream: { write: (line) => void standardOutput.send(Buffer.from(line)) },
    })
  return createLogger({ level, stream: { write: (line) => standardOutput.print(plainLine(line)) } })
}

/**
 * A log line for people: its message, the fields of an event, the message of an error, and its
 * level unless that is `info`.
 */
export function plainLine(line: string): string {
  const {
    level,
    msg,
    err,
    time: _,
    event,
    ...fields
  } = JSON.parse(line) as {
    level: string
    msg?: string
    err?: { message?: string }
    time?: string
    event?: string
  }
  // Messages of events are constant: the particulars are in the fields.
  const particulars = event === undefined ? [] : Object.entries(fields)
  const details = particulars.map(([name, value]) => `${name} ${String(value)}`).join(', ')
  const text = [msg, details, err?.message]
    .filter((part) => part !== undefined && part !== '')
    .join(': ')
  return level === 'info' ? text : `${level === 'warn' ? 'warning' : level}: ${text}`
}
