import type { Sink } from '../pipeline/sink.ts'
import type { Worker } from '../pipeline/worker.ts'
import type { PartitionStatus } from '../pipeline/worker-status.ts'
import type { Logger } from '../runtime/log.ts'
import type { Terminal } from '../runtime/terminal.ts'

const refreshMs = 500

/**
 * Says what is going on: a line that is rewritten where a person looks, a log line now and then
 * where nobody does.
 */
export class StatusReporter {
  readonly #worker: Worker
  readonly #sinks: readonly Sink[]
  readonly #terminal: Terminal
  readonly #log: Logger
  readonly #timer: NodeJS.Timeout
  #lastRecords = 0
  #lastAt = performance.now()

  constructor(parts: {
    worker: Worker
    sinks: readonly Sink[]
    terminal: Terminal
    log: Logger
    /** Between log lines, in ms. */
    intervalMs: number
  }) {
    this.#worker = parts.worker
    this.#sinks = parts.sinks
    this.#terminal = parts.terminal
    this.#log = parts.log
    this.#timer = parts.terminal.isTTY
      ? setInterval(() => this.#terminal.setStatus(this.#describe().line), refreshMs)
      : setInterval(() => {
          const { line, details } = this.#describe()
          this.#log.info(details, line)
        }, parts.intervalMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#terminal.setStatus(undefined)
  }

  #describe(): { line: string; details: Record<string, unknown> } {
    const now = performance.now()
    const { records, acknowledged } = this.#worker.counts
    const rate = Math.round(
      ((records - this.#lastRecords) * 1000) / Math.max(1, now - this.#lastAt),
    )
    this.#lastRecords = records
    this.#lastAt = now
    const partitions = this.#worker.status()
    const lag = partitions.reduce((sum, partition) => sum + (partition.lag ?? 0), 0)
    const sinks = this.#sinks.map(({ name }) => `${name} ${count(acknowledged.get(name)!)}`)
    const waiting = waitingReasons(partitions, this.#sinks)
    const line = [
      `${count(rate)} records/s`,
      `lag ${count(lag)}`,
      `read ${count(records)}`,
      ...sinks,
      `${partitions.length} partitions`,
      ...(waiting.length === 0 ? [] : [`waiting: ${waiting.join('; ')}`]),
    ].join(' · ')
    return {
      line,
      details: {
        records_per_second: rate,
        lag,
        records,
        acknowledged: Object.fromEntries(acknowledged),
        held_bytes: Object.fromEntries(this.#sinks.map(({ name, heldBytes }) => [name, heldBytes])),
        partitions: partitions.length,
        ...(waiting.length === 0 ? {} : { waiting }),
      },
    }
  }
}

/** Why things wait, each reason once, with how many partitions it holds up. */
function waitingReasons(partitions: readonly PartitionStatus[], sinks: readonly Sink[]): string[] {
  const reasons = new Map<string, number>()
  for (const { waiting } of partitions)
    if (waiting !== undefined) reasons.set(waiting, (reasons.get(waiting) ?? 0) + 1)
  return [
    ...sinks.flatMap(({ name, waiting }) => (waiting === undefined ? [] : [`${name}: ${waiting}`])),
    ...[...reasons].map(([reason, partitions]) =>
      partitions === 1 ? reason : `${partitions} partitions ${reason}`,
    ),
  ]
}

/** What a run did, as a sentence and as fields. */
export function accountOf(
  worker: Worker,
  seconds: number,
): { message: string; details: Record<string, unknown> } {
  const { records, bytes, acknowledged, lostOffsets, rebalances, fenced } = worker.counts
  const sinks = [...acknowledged].map(([name, held]) => `${name} acknowledged ${count(held)}`)
  const lost =
    lostOffsets === 0 ? '' : `; ${count(lostOffsets)} offsets were lost before they were read`
  return {
    message: `stopped after ${seconds.toFixed(1)} s: read ${count(records)} records (${count(Math.round(records / seconds))}/s), ${sinks.join(', ')}${lost}`,
    details: {
      records,
      bytes,
      seconds,
      acknowledged: Object.fromEntries(acknowledged),
      lost_offsets: lostOffsets,
      rebalances,
      fenced,
    },
  }
}

const grouped = new Intl.NumberFormat('en-US')

function count(number: number): string {
  return grouped.format(number)
}
