import { errorFields, messageOf } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { Outage } from '../runtime/outage.ts'
import { sleep } from '../runtime/retry.ts'
import type { Committer } from './committer.ts'
import { describeRecreated, type Losses } from './loss.ts'
import type { Coordinator } from './offsets/coordinator.ts'
import type { Tracker } from './offsets/tracker.ts'
import type { Opener } from './opening.ts'
import type { Partition } from './partition.ts'
import type { Questions } from './questions.ts'
import type { IdentityCheck } from './recreated.ts'
import type { LogBounds, Source, UnreadableBatch } from './source.ts'

export interface ReconcilerOptions {
  /** The worker ends at the ends of the logs, so it cannot wait for ever for one batch. */
  readonly untilEnd: boolean
  readonly commitIntervalMs: number
}

/** About three minutes of retries of one batch end its partition if the worker is to end. */
const maxTriesUntilEnd = 10

/** Finds where reading of a partition goes on when this worker and Kafka disagree. */
export class Reconciler {
  readonly #partitions: ReadonlyMap<string, Partition>
  readonly #source: Source
  readonly #questions: Questions
  readonly #coordinator: Coordinator
  readonly #committer: Committer
  readonly #opener: Opener
  readonly #identities: IdentityCheck
  readonly #losses: Losses
  readonly #options: ReconcilerOptions
  readonly #log: Logger
  readonly #resume: (partition: Partition, tracker: Tracker) => void
  readonly #outage = new Outage()
  #comparing: Promise<void> | undefined

  constructor(parts: {
    partitions: ReadonlyMap<string, Partition>
    source: Source
    questions: Questions
    coordinator: Coordinator
    committer: Committer
    opener: Opener
    identities: IdentityCheck
    losses: Losses
    options: ReconcilerOptions
    log: Logger
    /** Reads on at the position of the tracker. */
    resume: (partition: Partition, tracker: Tracker) => void
  }) {
    this.#partitions = parts.partitions
    this.#source = parts.source
    this.#questions = parts.questions
    this.#coordinator = parts.coordinator
    this.#committer = parts.committer
    this.#opener = parts.opener
    this.#identities = parts.identities
    this.#losses = parts.losses
    this.#options = parts.options
    this.#log = parts.log
    this.#resume = parts.resume
  }

  /**
   * A batch cannot be read, and is not known to be lost. Its partition reads it again after a
   * while; other partitions continue.
   */
  reread(partition: Partition, { offset, error, canPass }: UnreadableBatch): void {
    const { tp, life } = partition
    // A worker with an end stops at the batch. One that runs for good waits until somebody repairs
    // the log.
    const isFinal = !canPass || (this.#options.untilEnd && partition.failures >= maxTriesUntilEnd)
    const why = `the batch at offset ${offset} cannot be read: ${messageOf(error)}`
    const result = partition.unreadable(why, offset, isFinal)
    if (result.action === 'ignored') return
    this.#source.pause(tp)
    const { topic, partition: number } = tp
    const fields = { topic, partition: number, offset, ...errorFields(error) }
    if (result.action === 'stop') {
      this.#log.error(
        { event: 'batch_unreadable', ...fields, stopped: true },
        'cannot read a batch; the partition is stopped',
      )
      return
    }
    this.#log[partition.failures > 1 ? 'debug' : 'warn'](
      { event: 'batch_unreadable', ...fields, retry_ms: result.delayMs },
      'cannot read a batch; reading it again',
    )
    this.#run(partition, result.tracker, async () => {
      if (await sleep(result.delayMs, life)) this.#goOn(partition)
    })
  }

  /**
   * Kafka's client is at another offset than this worker: it was late with a position, or it reset
   * one by itself because the offset is gone (tulios/kafkajs#1119). The bounds of the log tell
   * which one.
   *
   * @param fetched what the client brought, if it did
   */
  locate(partition: Partition, tracker: Tracker, fetched?: number): void {
    const { topic, partition: number } = partition.tp
    this.#source.pause(partition.tp)
    this.#log.debug(
      { event: 'offset_differs', topic, partition: number, offset: tracker.position, fetched },
      'looking up where to read on',
    )
    this.#run(partition, tracker, () => this.#locate(partition, tracker))
  }

  async #locate(partition: Partition, { position }: Tracker): Promise<void> {
    const { life } = partition
    const bounds = await this.#boundsOf(partition)
    if (life.aborted) return
    if (bounds !== undefined && isWithin(position, bounds)) {
      this.#goOn(partition)
      return
    }
    const why = `Kafka has no offset ${position} any more`
    const result = partition.gone(`${why}; what was read before it is stored first`)
    if (result.action === 'ignored') return
    const { topic, partition: number } = partition.tp
    this.#log.warn(
      { event: 'offset_gone', topic, partition: number, offset: position },
      'Kafka does not have the next offset any more; storing what was read before it',
    )
    if (await this.#settle(partition, result.tracker)) this.#opener.reopenSettled(partition, why)
  }

  /**
   * Asks until there is an answer. Reopening the partition instead would drop what a sink that is
   * away still has to store.
   */
  async #boundsOf(partition: Partition): Promise<LogBounds | undefined> {
    const { tp, life } = partition
    let delay = 0
    while (await sleep(delay, life)) {
      try {
        return await this.#questions.bounds(tp)
      } catch (error) {
        delay = partition.nextRetryMs()
        const { topic, partition: number } = tp
        this.#log.debug(
          {
            event: 'bounds_unknown',
            topic,
            partition: number,
            retry_ms: delay,
            ...errorFields(error),
          },
          'cannot ask for the bounds of the log; retrying',
        )
      }
    }
    return undefined
  }

  /**
   * Resolves with true when every sink has stored what was read and the group has it committed.
   * Resolves with false if the partition was given up. It may take any time. Kafka may not have
   * these records any more, so they may exist only in this worker's memory.
   */
  async #settle({ tp, life }: Partition, tracker: Tracker): Promise<boolean> {
    // If kafkajs reset an offset it may have committed that, and a worker that is killed now would
    // begin there.
    this.#coordinator.forgetCommitted(tp)
    await this.#committer.commit()
    await this.#committer.flush([tp])
    for (;;) {
      await this.#committer.commit()
      if (life.aborted) return false
      if (this.#coordinator.committedOffset(tp) === tracker.position) return true
      if (!(await sleep(this.#options.commitIntervalMs, life))) return false
    }
  }

  #goOn(partition: Partition): void {
    const result = partition.located()
    if (result.action === 'seek') this.#resume(partition, result.tracker)
  }

  /** Runs a task for a partition. If it fails, the partition is reopened. */
  #run(partition: Partition, tracker: Tracker, task: () => Promise<void>): void {
    task().catch((error: unknown) => this.#opener.reopen(partition, tracker, error))
  }

  /**
   * Compares what this worker believes with what Kafka says. Only this finds two things. The log of
   * a partition for which no record comes may have been cut off on either side. And a worker that
   * was frozen may have committed an older offset over a newer one: Kafka takes it from any member
   * of the group (tulios/kafkajs#1046).
   */
  compare(): Promise<void> {
    this.#comparing ??= this.#compareAll().finally(() => {
      this.#comparing = undefined
    })
    return this.#comparing
  }

  async #compareAll(): Promise<void> {
    let failure: unknown
    try {
      failure = await this.#comparePartitions([...this.#partitions.values()])
    } catch (error) {
      failure = error
    }
    const now = performance.now()
    if (failure === undefined) {
      this.#outage.over(now)
      return
    }
    const fields = errorFields(failure)
    this.#log[this.#outage.failed(fields.err, now) ? 'warn' : 'debug'](
      { event: 'comparison_failed', ...fields },
      "cannot compare positions with Kafka's; retrying",
    )
  }

  /**
   * Few questions, however many topics there are.
   * @returns why topics could not be asked about, if there are any
   */
  async #comparePartitions(partitions: readonly Partition[]): Promise<unknown> {
    const before = partitions.map(({ tp, tracker, life }) => ({
      tracker,
      life,
      position: tracker?.position ?? 0,
      committed: this.#coordinator.committedOffset(tp),
    }))
    if (partitions.length === 0) return undefined
    const tps = partitions.map(({ tp }) => tp)
    const committed = await this.#source.committedOffsets(tps)
    const bounds = await this.#source.bounds(tps)
    const refused = new Map([...committed.refused, ...bounds.refused])
    partitions.forEach((partition, i) => {
      if (refused.has(partition.tp.topic)) return
      const found = bounds.found.get(partition.key)
      // A paused partition brings nothing, but its lag still grows.
      if (found !== undefined)
        partition.highWatermark = Math.max(partition.highWatermark ?? 0, found.end)
      const { tracker, life, position, committed: ours } = before[i]!
      if (tracker === undefined || life.aborted || !partition.isReading) return
      const { start, end } = found ?? { start: 0, end: position }
      const theirs = committed.found.get(partition.key)
      // The position and the log may have moved meanwhile.
      if (position > end || tracker.position < start) {
        partition.doubted()
        this.locate(partition, tracker)
      } else if (ours === undefined || (theirs ?? -1) >= ours) return
      else if (theirs !== undefined) this.#coordinator.forgetCommitted(partition.tp)
      else {
        partition.doubted()
        this.#identify(partition, tracker, start, ours)
      }
    })
    return refused.values().next().value
  }

  /**
   * The group lost its offset while this worker is at work: the worker commits it again, unless the
   * topic is another one by now.
   */
  #identify(partition: Partition, tracker: Tracker, start: number, committed: number): void {
    const { tp, life } = partition
    this.#source.pause(tp)
    this.#run(partition, tracker, async () => {
      const identity = await this.#identities.of(tp, start)
      if (life.aborted) return
      const { position } = tracker
      if (identity.verdict !== 'different') {
        this.#losses.reportMissingOffset(tp, committed, position, identity)
        this.#coordinator.forgetCommitted(tp)
        this.#goOn(partition)
        return
      }
      // No offset is committed any more: a group without one is what the next start finds.
      this.#coordinator.close(tp)
      await this.#committer.flush([tp])
      if (life.aborted) return
      this.#losses.report(
        partition,
        { from: start, next: position, reason: 'recreated' },
        describeRecreated(identity.offset, position),
      )
    })
  }
}

function isWithin(position: number, { start, end }: LogBounds): boolean {
  return start <= position && position <= end
}
