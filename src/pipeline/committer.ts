import type { TopicPartition } from '../record/record.ts'
import { errorFields } from '../runtime/errors.ts'
import { faultPoint } from '../runtime/fault.ts'
import type { Logger } from '../runtime/log.ts'
import { Outage } from '../runtime/outage.ts'
import { sleep } from '../runtime/retry.ts'
import type { Coordinator } from './offsets/coordinator.ts'
import type { Sink } from './sink.ts'
import type { Source } from './source.ts'
import type { WorkerCounts } from './worker-status.ts'

/** Has the sinks store what they hold, and commits to the group what every sink holds. */
export class Committer {
  readonly #source: Pick<Source, 'commit'>
  readonly #sinks: readonly Sink[]
  readonly #coordinator: Coordinator
  readonly #counts: WorkerCounts
  readonly #log: Logger
  readonly #outage = new Outage()
  #last: Promise<void> = Promise.resolve()

  constructor(parts: {
    source: Pick<Source, 'commit'>
    sinks: readonly Sink[]
    coordinator: Coordinator
    counts: WorkerCounts
    log: Logger
  }) {
    this.#source = parts.source
    this.#sinks = parts.sinks
    this.#coordinator = parts.coordinator
    this.#counts = parts.counts
    this.#log = parts.log
  }

  /** Why commits fail, for people, once they have failed for a minute. */
  get stalled(): string | undefined {
    const reason = this.#outage.lasting(performance.now())
    return reason === undefined ? undefined : `offsets cannot be committed: ${reason}`
  }

  /** One commit at a time. Never throws: the next commit has what this one had. */
  commit(): Promise<void> {
    this.#last = this.#last.then(async () => {
      const offsets = this.#coordinator.committable()
      // What was refused may be another worker's by now.
      if (offsets.length === 0) {
        this.#outage.over(performance.now())
        return
      }
      try {
        await this.#source.commit(offsets)
        this.#coordinator.confirm(offsets)
        this.#outage.over(performance.now())
        faultPoint('worker.committed')
      } catch (error) {
        this.#counts.commitFailures++
        const fields = errorFields(error)
        this.#log[this.#outage.failed(fields.err, performance.now()) ? 'warn' : 'debug'](
          { event: 'commit_failed', ...fields },
          'cannot commit offsets; retrying',
        )
      }
    })
    return this.#last
  }

  /** Resolves when every sink has stored what it holds of these partitions, or has lost it. */
  async flush(tps: readonly TopicPartition[]): Promise<void> {
    await Promise.all(this.#sinks.map((sink) => sink.flush(tps)))
  }

  /** Flushes and commits. @returns false if that takes longer than `timeoutMs` */
  async drain(tps: readonly TopicPartition[], timeoutMs: number): Promise<boolean> {
    const timer = new AbortController()
    try {
      return await Promise.race([
        this.flush(tps)
          .then(() => this.commit())
          .then(() => true),
        sleep(timeoutMs, timer.signal).then(() => false),
      ])
    } finally {
      timer.abort()
    }
  }
}
