import type { Logger } from '../../runtime/log.ts'

/**
 * Turns Node's warnings, e.g. of a leak of listeners, into log lines: readers of the log understand
 * nothing else.
 */
export function logProcessWarnings(log: Logger): void {
  // Node's own listener prints them to standard error.
  process.removeAllListeners('warning')
  process.on('warning', (warning) =>
    log.warn({ event: 'node_warning', err: warning }, 'Node.js warning'),
  )
}
