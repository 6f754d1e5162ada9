import type { Logger } from '../../runtime/log.ts'

/**
 * Node's warnings, such as that of a leak of listeners, become log lines: what reads the log
 * understands no others.
 */
export function logProcessWarnings(log: Logger): void {
  // Node's own listener prints them to standard error.
  process.removeAllListeners('warning')
  process.on('warning', (warning) =>
    log.warn({ event: 'node_warning', err: warning }, 'Node warns'),
  )
}
