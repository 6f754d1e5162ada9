import { createRequire } from 'node:module'
import { type Logger, pino, stdSerializers } from 'pino'
import type * as Pretty from 'pino-pretty'
import { readableJsonText } from './readable-text.ts'

export type { Logger }

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** The destination of log lines. `isTTY` decides between JSON and readable lines. */
export interface LogStream {
  readonly isTTY?: boolean | undefined
  write(line: string): unknown
}

/**
 * Writes one JSON object a line to a pipe or a file, a readable line to a terminal. Writes at once,
 * so that nothing is lost when the process ends.
 */
export function createLogger(options: { level: LogLevel; stream: LogStream }): Logger {
  const settings = {
    level: options.level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { err: stdSerializers.errWithCause },
  }
  if (options.stream.isTTY !== true)
    return pino(settings, { write: (line) => void options.stream.write(line) })
  // Loaded here: only a worker on a terminal needs it.
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as typeof Pretty
  const prettify = prettyFactory({
    colorize: true,
    translateTime: 'SYS:HH:MM:ss',
    ignore: 'pid,hostname',
    singleLine: true,
  })
  return pino(settings, {
    write: (line) => void options.stream.write(prettify(`${readableJsonText(line.trimEnd())}\n`)),
  })
}
