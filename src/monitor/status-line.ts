import type { Sink } from '../pipeline/sink.ts'
import type { Worker } from '../pipeline/worker.ts'
import type { PartitionStatus } from '../pipeline/worker-status.ts'
import { count } from '../runtime/format.ts'
import type { Logger } from '../runtime/log.ts'
import type { Terminal } from '../runtime/terminal.ts'

const refreshMs = 500

/** What a worker does now. */
interface Status {
  readonly recordsPerSecond: number
  readonly lag: number
  readonly records: number
  /** Records that each sink acknowledged. */
  readonly acknowledged: ReadonlyMap<string, number>
  readonly heldBytes: ReadonlyMap<string, number>
  readonly partitions: number
  readonly waiting: readonly string[]
}

/**
 * Shows what a worker does: on a terminal, a line that is rewritten in place; otherwise, a log line
 * at an interval.
 */
export class StatusReporter {
  readonly #worker: Worker
  readonly #sinks: readonly Sink[]
  readonly #terminal: Terminal
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
    const { worker, sinks, terminal, log, intervalMs } = parts
    this.#worker = worker
    this.#sinks = sinks
    this.#terminal = terminal
    this.#timer = terminal.isTTY
      ? setInterval(() => terminal.setStatus(lineOf(this.#status())), refreshMs)
      : setInterval(() => log.info(fieldsOf(this.#status()), 'archiving'), intervalMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#terminal.setStatus(undefined)
  }

  #status(): Status {
    const now = performance.now()
    const { records, acknowledged } = this.#worker.counts
    const seconds = Math.max(1, now - this.#lastAt) / 1000
    const recordsPerSecond = Math.round((records - this.#lastRecords) / seconds)
    this.#lastRecords = records
    this.#lastAt = now
    const partitions = this.#worker.status()
    return {
      recordsPerSecond,
      lag: partitions.reduce((sum, partition) => sum + (partition.lag ?? 0), 0),
      records,
      acknowledged,
      heldBytes: new Map(this.#sinks.map(({ name, heldBytes }) => [name, heldBytes])),
      partitions: partitions.length,
      waiting: waitingReasons(partitions, this.#sinks),
    }
  }
}

function lineOf(status: Status): string {
  const { recordsPerSecond, lag, records, acknowledged, partitions, waiting } = status
  return [
    `${count(recordsPerSecond)} records/s`,
    `lag ${count(lag)}`,
    `read ${count(records)}`,
    ...[...acknowledged].map(([name, held]) => `${name} ${count(held)}`),
    `${partitions} partitions`,
    ...(waiting.length === 0 ? [] : [`waiting: ${waiting.join('; ')}`]),
  ].join(' · ')
}

function fieldsOf(status: Status): Record<string, unknown> {
  const { recordsPerSecond, lag, records, acknowledged, heldBytes, partitions, waiting } = status
  return {
    event: 'status',
    records_per_second: recordsPerSecond,
    lag,
    records,
    acknowledged: Object.fromEntries(acknowledged),
    held_bytes: Object.fromEntries(heldBytes),
    partitions,
    ...(waiting.length === 0 ? {} : { waiting }),
  }
}

/** The reasons for waits: each reason once, with the number of partitions that it holds up. */
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

/** The results of a run, as fields of a log line. */
export function accountOf({ counts }: Worker, seconds: number): Record<string, unknown> {
  const { records, bytes, acknowledged, lostOffsets, rebalances, fenced } = counts
  return {
    event: 'worker_stopped',
    seconds: Math.round(seconds * 1000) / 1000,
    records,
    records_per_second: Math.round(records / seconds),
    bytes,
    acknowledged: Object.fromEntries(acknowledged),
    lost_offsets: lostOffsets,
    rebalances,
    fenced,
  }
}
