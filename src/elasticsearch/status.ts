import { messageOf } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import type { Elasticsearch } from './client/client.ts'
import { statusIndexPrefix } from './index-name.ts'

/** `archiver-status-2026.11`: UTC. */
export function statusIndex(time: Date): string {
  return `${statusIndexPrefix}${time.toISOString().slice(0, 7).replace('-', '.')}`
}

/** Who a document is from, in each of them. */
export interface StatusOrigin {
  readonly worker: string
  readonly host: string
  readonly group: string
  readonly index_prefix: string
}

const timeoutMs = 5000

/**
 * Writes status documents now and then. It never delays archiving: it has one request in flight at
 * most, and drops what is not taken.
 */
export class StatusWriter {
  readonly #client: Elasticsearch
  readonly #origin: StatusOrigin
  readonly #documents: (intervalS: number) => readonly object[]
  readonly #log: Logger
  readonly #timer: NodeJS.Timeout
  #writing: Promise<boolean> | undefined
  #takenLast = true
  #since = performance.now()

  /** `documents` is asked for what to write; it gets the time since it was asked before, in s. */
  constructor(parts: {
    client: Elasticsearch
    origin: StatusOrigin
    documents: (intervalS: number) => readonly object[]
    intervalMs: number
    log: Logger
  }) {
    this.#client = parts.client
    this.#origin = parts.origin
    this.#documents = parts.documents
    this.#log = parts.log
    this.#timer = setInterval(() => {
      this.#writing ??= this.#write().finally(() => {
        this.#writing = undefined
      })
    }, parts.intervalMs)
  }

  /** Writes the last ones, unless the server did not take those before. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#writing
    if (this.#takenLast) await this.#write()
    await this.#client.close()
  }

  async #write(): Promise<boolean> {
    const now = performance.now()
    const intervalS = (now - this.#since) / 1000
    this.#since = now
    const time = new Date()
    const action = `${JSON.stringify({ create: { _index: statusIndex(time) } })}\n`
    const head = { '@timestamp': time.toISOString(), ...this.#origin, interval_s: intervalS }
    const lines = this.#documents(intervalS).map(
      (document) => `${action}${JSON.stringify({ ...head, ...document }, rounded)}\n`,
    )
    try {
      await this.#client.bulk(Buffer.from(lines.join('')), lines.length, {
        timeoutMs,
        signal: AbortSignal.timeout(timeoutMs),
      })
      this.#takenLast = true
    } catch (error) {
      this.#takenLast = false
      this.#log.debug(
        { event: 'status_not_written', reason: messageOf(error) },
        'writing status documents failed',
      )
    }
    return this.#takenLast
  }
}

/** Seconds and shares to three decimals; what is finer is noise. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value)
    ? Math.round(value * 1000) / 1000
    : value
}
