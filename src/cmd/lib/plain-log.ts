import { createLogger, type Logger, type LogLevel } from '../../runtime/log.ts'
import { standardOutput } from '../../runtime/standard-streams.ts'

/**
 * The log of a command that says what it does on standard output: a line for people each, whether
 * they look at it or pipe it; with `json` an object each.
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
 * The message of a log line, its level if it is none that one expects, and what it was about an
 * error.
 */
export function plainLine(line: string): string {
  const { level, msg, err } = JSON.parse(line) as {
    level: string
    msg?: string
    err?: { message?: string }
  }
  const error = err?.message === undefined ? [] : [err.message]
  const text = [...(msg === undefined ? [] : [msg]), ...error].join(': ')
  return level === 'info' ? text : `${level === 'warn' ? 'warning' : level}: ${text}`
}
