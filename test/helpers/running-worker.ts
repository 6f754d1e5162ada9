import type { TestContext } from 'node:test'
import { Coordinator } from '../../src/pipeline/offsets/coordinator.ts'
import type { Sink } from '../../src/pipeline/sink.ts'
import { Worker, type WorkerOptions } from '../../src/pipeline/worker.ts'
import type { PartitionStatus } from '../../src/pipeline/worker-status.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import { createLogger } from '../../src/runtime/log.ts'
import type { FakeSource } from './fake-source.ts'

/** How often a worker compares what it believes with Kafka. */
export const compareMs = 20_000

export interface LogLine {
  readonly level: string
  readonly msg: string
  readonly event?: string
  readonly [field: string]: unknown
}

export interface Running {
  readonly worker: Worker
  readonly ended: Promise<void>
  readonly stop: () => void
  /** What was logged at warning and above. */
  readonly logged: () => readonly LogLine[]
  /**
   * Lets as much time pass for what is done at intervals, and then what follows from it at once.
   */
  readonly pass: (ms: number) => Promise<void>
  readonly partition: () => PartitionStatus
}

export async function startWorker(
  t: TestContext,
  source: FakeSource,
  sinks: readonly Sink[],
  options: Partial<WorkerOptions> = {},
): Promise<Running> {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let output = ''
  const log = createLogger({
    level: 'warn',
    stream: {
      write: (text: string) => {
        output += text
      },
    },
  })
  const worker = new Worker({
    source,
    sinks,
    encoder: new LineEncoder({ from: 'value', path: ['type'] }),
    coordinator: new Coordinator(sinks.map(({ name }) => name)),
    options: {
      untilEnd: false,
      startAt: 'beginning',
      onGap: 'stop',
      commitIntervalMs: 10,
      memoryBudget: 256 * 2 ** 20,
      drainTimeoutMs: 20,
      shutdownTimeoutMs: 20,
      ...options,
    },
    log,
  })
  for (const sink of sinks) await sink.start(() => worker.roomFreed())
  const stopping = new AbortController()
  const ended = worker.run(stopping.signal)
  const stop = () => stopping.abort()
  t.after(async () => {
    stop()
    await Promise.allSettled([ended])
    for (const sink of sinks) await sink.stop()
  })
  return {
    worker,
    ended,
    stop,
    logged: () =>
      output.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as LogLine])),
    pass: async (ms) => {
      t.mock.timers.tick(ms)
      await settled()
    },
    partition: () => worker.status()[0]!,
  }
}

/** Longer than any timeout that the workers of these tests have. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 60))
}

/** What a line says of a group that lost its offset; nothing for other lines. */
export function missingOffset({
  level,
  event,
  topic,
  partition,
  committed,
  next,
  comparison,
}: LogLine) {
  return event === 'group_offset_missing'
    ? [{ level, topic, partition, committed, next, comparison }]
    : []
}
