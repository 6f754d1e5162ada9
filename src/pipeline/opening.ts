import type { LineEncoder } from '../record/line/encoder.ts'
import type { Gap, TopicPartition } from '../record/record.ts'
import { ArchiverError, errorFields, isDamage, messageOf } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { sleep } from '../runtime/retry.ts'
import { describeLoss, describeRecreated, type Losses } from './loss.ts'
import type { Coordinator } from './offsets/coordinator.ts'
import type { Tracker } from './offsets/tracker.ts'
import { Partition } from './partition.ts'
import type { Questions } from './questions.ts'
import type { IdentityCheck } from './recreated.ts'
import { Refiller } from './refill.ts'
import type { Sink } from './sink.ts'
import type { LogBounds, Source } from './source.ts'
import { firstKnown, judge, type Standing, Standings } from './standing.ts'
import { StepQueue } from './steps.ts'
import type { WorkerCounts } from './worker-status.ts'

/** An open partition, and what was lost before its first record. */
export type Opened = (partition: Partition, tracker: Tracker, loss: Gap | undefined) => void

/** A worker with an end tries this many times, although a damaged archive does not mend itself. */
const triesOfDamaged = 3

/**
 * The life of the worker's partitions: opened, perhaps reopened, given up. To open one, the worker
 * asks every sink for its position and begins at the lowest. It retries until that succeeds.
 */
export class Opener {
  readonly #partitions: Map<string, Partition>
  readonly #source: Pick<Source, 'pause'>
  readonly #sinks: readonly Sink[]
  readonly #standings: Standings
  readonly #coordinator: Coordinator
  readonly #identities: IdentityCheck
  readonly #losses: Losses
  readonly #counts: WorkerCounts
  readonly #log: Logger
  readonly #opened: Opened
  readonly #untilEnd: boolean
  readonly #refiller: Refiller
  readonly #steps: StepQueue
  /**
   * The ends of the logs at the start, if archiving begins there. A partition that appears later
   * begins at its beginning.
   */
  startAtLatest: ReadonlyMap<string, LogBounds> = new Map()
  #isEnding = false

  constructor(parts: {
    /** The partitions that the worker owns, by `partitionKey`. */
    partitions: Map<string, Partition>
    source: Pick<Source, 'pause' | 'read'>
    encoder: Pick<LineEncoder, 'encode'>
    questions: Questions
    sinks: readonly Sink[]
    coordinator: Coordinator
    identities: IdentityCheck
    losses: Losses
    counts: WorkerCounts
    log: Logger
    opened: Opened
    /** The worker ends at the ends of the logs, so it cannot wait for ever for one partition. */
    untilEnd: boolean
    /** Called with a mistake of this program. */
    failed: (error: unknown) => void
  }) {
    this.#partitions = parts.partitions
    this.#source = parts.source
    this.#sinks = parts.sinks
    this.#standings = new Standings(parts.questions, parts.sinks)
    this.#coordinator = parts.coordinator
    this.#identities = parts.identities
    this.#losses = parts.losses
    this.#counts = parts.counts
    this.#log = parts.log
    this.#opened = parts.opened
    this.#untilEnd = parts.untilEnd
    this.#refiller = new Refiller(parts)
    this.#steps = new StepQueue(parts.failed)
  }

  /** The worker owns a partition from now on. One that ends leaves it to the next owner. */
  add(tp: TopicPartition): void {
    if (this.#isEnding) return
    const partition = new Partition(tp, performance.now())
    const before = this.#partitions.get(partition.key)
    if (before !== undefined) this.close(before)
    this.#partitions.set(partition.key, partition)
    this.#open(partition)
  }

  #open(partition: Partition): void {
    const { key, life } = partition
    this.#steps.add(key, async () => {
      while (await sleep(partition.delayMs(performance.now()), life)) {
        try {
          await this.#tryToOpen(partition, life)
          return
        } catch (error) {
          if (life.aborted || !this.#openFailed(partition, error)) return
        }
      }
    })
  }

  /** @returns true if it is tried again */
  #openFailed(partition: Partition, error: unknown): boolean {
    const names = namesOf(partition)
    if (this.#untilEnd && isDamage(error) && partition.failures + 1 >= triesOfDamaged) {
      partition.lost(messageOf(error), partition.resumesAt ?? partition.committed)
      this.#log.error(
        { event: 'partition_not_opened', ...names, stopped: true, ...errorFields(error) },
        'cannot open the partition; it is stopped',
      )
      return false
    }
    const result = partition.openFailed(messageOf(error), performance.now())
    // It is open, or given up, and failed behind that: a mistake of this program.
    if (result.action === 'ignored') throw error
    this.#log[partition.failures > 1 ? 'debug' : 'warn'](
      {
        event: 'partition_not_opened',
        ...names,
        retry_ms: result.delayMs,
        ...errorFields(error),
      },
      'cannot open the partition; retrying',
    )
    return true
  }

  async #tryToOpen(partition: Partition, life: AbortSignal): Promise<void> {
    let standing = await this.#standing(partition)
    if (life.aborted) return
    // A reason to stop a partition is checked twice: another worker may have archived between two
    // of the answers.
    if (judge(standing).loss !== undefined) standing = await this.#standing(partition)
    if (life.aborted) return

    const { committed, bounds } = standing
    const { start, loss } = judge(standing)
    if (committed === undefined && loss?.reason !== 'truncated') {
      if (await this.#isAnotherTopic(partition, standing, life)) return
      if (life.aborted) return
    }
    if (loss?.reason !== 'truncated') {
      const refilled = await this.#refiller.refill(partition, standing, life)
      if (life.aborted || refilled === 'stopped') return
      if (refilled === 'some') return await this.#tryToOpen(partition, life)
    }
    if (loss !== undefined && !this.#losses.report(partition, loss, describeLoss(loss, bounds)))
      return

    const tracker = this.#coordinator.open(partition.tp, start, committed)
    partition.opened(tracker)
    this.#log.debug(
      { event: 'partition_opened', ...namesOf(partition), offset: start, committed },
      'opened the partition',
    )
    this.#opened(partition, tracker, loss)
  }

  #standing(partition: Partition): Promise<Standing> {
    const latest = this.startAtLatest.get(partition.key)?.end
    return this.#standings.of(partition.tp, latest, (known) => Object.assign(partition, known))
  }

  /**
   * The group has no offset, as after the topic was deleted. If the topic is not the archived one,
   * the partition stops.
   */
  async #isAnotherTopic(
    partition: Partition,
    { bounds, positions }: Standing,
    life: AbortSignal,
  ): Promise<boolean> {
    const next = firstKnown(positions, (position) => position.next)
    if (next === undefined) return false
    const identity = await this.#identities.of(partition.tp, bounds.start)
    if (life.aborted) return false
    if (identity.verdict === 'different') {
      this.#losses.report(
        partition,
        { from: bounds.start, next, reason: 'recreated' },
        describeRecreated(identity.offset, next),
      )
      return true
    }
    const committed = firstKnown(positions, (position) => position.committed)
    if (committed !== undefined)
      this.#losses.reportMissingOffset(partition.tp, committed, next, identity)
    return false
  }

  /**
   * The way back from every problem of a partition: what sinks have taken and not stored is read
   * again.
   *
   * @param tracker of the life in which it failed; nothing happens if that is over
   */
  reopen(partition: Partition, tracker: Tracker, error: unknown): void {
    const isFenced = error instanceof ArchiverError && error.code === 'FENCED'
    const why = messageOf(error)
    const result = partition.failed(tracker, { why, isFenced }, performance.now())
    if (result.action === 'ignored') return
    if (isFenced) this.#counts.fenced++
    this.#source.pause(partition.tp)
    if (result.action === 'reopen') this.#openAgain(partition, result.delayMs, errorFields(error))
    else {
      this.#log.warn(
        { event: 'partition_not_drained', ...namesOf(partition), ...errorFields(error) },
        'gave the partition up before all was stored; its next owner reads the rest',
      )
      this.#closeSinks(partition)
    }
  }

  /** What was read before a loss is stored and committed, so the loss may be looked at. */
  reopenSettled(partition: Partition, why: string): void {
    const result = partition.settled(why, performance.now())
    if (result.action === 'reopen') this.#openAgain(partition, result.delayMs, { err: why })
  }

  #openAgain(partition: Partition, delayMs: number, reason: object): void {
    this.#log[partition.failures > 1 ? 'debug' : 'warn'](
      { event: 'partition_reopened', ...namesOf(partition), retry_ms: delayMs, ...reason },
      'reopening the partition',
    )
    partition.committed = this.#coordinator.committedOffset(partition.tp)
    this.#closeSinks(partition)
    this.#open(partition)
  }

  /**
   * The worker is about to give a partition up, and takes nothing more of it.
   * @returns true if the sinks may hold something of it that is not stored
   */
  drain(partition: Partition): boolean {
    this.#source.pause(partition.tp)
    const { action } = partition.drain()
    if (action === 'close') this.#closeSinks(partition)
    return action === 'flush'
  }

  /** The worker does not own a partition any more. */
  close(partition: Partition): void {
    if (this.#partitions.get(partition.key) === partition) this.#partitions.delete(partition.key)
    if (partition.close().action === 'close') this.#closeSinks(partition)
  }

  /** What the sinks have taken and not stored is dropped. */
  #closeSinks({ tp, key }: Partition): void {
    this.#coordinator.close(tp)
    this.#steps.add(key, async () => {
      for (const sink of this.#sinks) await sink.close(tp)
    })
  }

  /**
   * The worker ends, and is still a member of the group, which may give it partitions. It opens
   * none: after the shutdown timeout, a sink that gave up would refuse every try.
   */
  acceptNoMore(): void {
    this.#isEnding = true
  }

  /** The worker ends, and the sinks stop next. The status keeps the last positions. */
  async stop(): Promise<void> {
    this.acceptNoMore()
    for (const partition of this.#partitions.values()) {
      partition.committed = this.#coordinator.committedOffset(partition.tp) ?? partition.committed
      partition.end()
      this.#coordinator.close(partition.tp)
    }
    await this.#steps.idle()
  }
}

function namesOf({ tp: { topic, partition } }: Partition): TopicPartition {
  return { topic, partition }
}
