import type { Observer, SinkEvent } from '../../src/pipeline/observer.ts'
import { createLogger, type Logger } from '../../src/runtime/log.ts'

/** What a sink reported to its observer, since the start. */
export class SinkCounts implements Observer {
  /** Requests that were answered. */
  requests = 0
  /** Requests and records that were sent again. */
  retries = 0
  rejected = 0

  done(): void {
    this.requests++
  }

  happened(_sink: string, event: SinkEvent, _reason: string, count: number): void {
    if (event === 'reject') this.rejected += count
    else this.retries += count
  }
}

/** What a sink logged. */
export interface SinkLog {
  readonly logger: Logger
  /** Every line so far. */
  readonly log: readonly Record<string, unknown>[]
  /** The lines of a level so far, as texts: message and fields. */
  readonly said: (level: string) => readonly string[]
  /** The lines of an event so far. */
  readonly events: (event: string) => readonly Record<string, unknown>[]
  /** The sum of the field `records` of an event so far. */
  readonly sumOf: (event: string) => number
}

export function sinkLog(): SinkLog {
  const lines: Record<string, unknown>[] = []
  const stream = {
    write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>),
  }
  const events = (event: string) => lines.filter((line) => line.event === event)
  return {
    logger: createLogger({ level: 'trace', stream }),
    log: lines,
    said: (level) => lines.filter((line) => line.level === level).map(textOf),
    events,
    sumOf: (event) => events(event).reduce((sum, { records }) => sum + Number(records), 0),
  }
}

function textOf({ level: _, time: __, msg, event, ...fields }: Record<string, unknown>): string {
  const values = Object.entries(fields).map(([key, value]) => `${key}=${String(value)}`)
  return [`${String(event)}: ${String(msg)}`, ...values].join(' ')
}
