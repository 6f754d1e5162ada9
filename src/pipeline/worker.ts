import { once } from 'node:events'
import type { LineEncoder } from '../record/line/encoder.ts'
import { emptyBatch, type LostRange, partitionKey, type RecordBatch } from '../record/record.ts'
import { ArchiverError } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { Assignment, type DrainTimeouts } from './assignment.ts'
import { BackPressure } from './back-pressure.ts'
import { Committer } from './committer.ts'
import { type BatchWatch, FanOut } from './fan-out.ts'
import { Losses } from './loss.ts'
import type { MissingTypes } from './missing-types.ts'
import type { Coordinator } from './offsets/coordinator.ts'
import type { Tracker } from './offsets/tracker.ts'
import { Opener } from './opening.ts'
import type { Partition } from './partition.ts'
import { Pauses } from './pauses.ts'
import { Questions } from './questions.ts'
import { Reconciler } from './reconcile.ts'
import { IdentityCheck } from './recreated.ts'
import { Shutdown } from './shutdown.ts'
import type { Sink } from './sink.ts'
import type { FetchedBatch, LogBounds, Source } from './source.ts'
import { untilEnds } from './until-end.ts'
import {
  createCounts,
  type PartitionStatus,
  problemsOf,
  statusOf,
  type WorkerCounts,
} from './worker-status.ts'

export interface WorkerOptions extends DrainTimeouts {
  /** Stop at the end offsets seen at the start. */
  readonly untilEnd: boolean
  /** Where a partition begins that neither a sink nor the group knows. */
  readonly startAt: 'beginning' | 'latest'
  /** What becomes of a partition when records are lost before they were read. */
  readonly onGap: 'stop' | 'continue'
  /** Memory for records on their way, in bytes. */
  readonly memoryBudget: number
  readonly commitIntervalMs: number
}

const compareIntervalMs = 20_000

/**
 * The straight line: a batch of Kafka is encoded, every sink gets it, each acknowledges it, the
 * coordinator moves, the offset is committed. Back-pressure is the same line backwards: a sink that
 * is full pauses the partition.
 *
 * The life of a partition is in `partition.ts`. Every problem has one way back: the partition is
 * opened again (`opening.ts`), exactly as after a crash. Opening asks every sink for its position,
 * begins at the lowest, and reads on; sinks skip what they hold.
 */
export class Worker {
  readonly counts: WorkerCounts
  /** Begins when the worker ends, at the latest; a signal before that begins it, too. */
  readonly shutdown: Shutdown
  readonly #source: Source
  readonly #encoder: Pick<LineEncoder, 'encode'>
  readonly #missingTypes: Pick<MissingTypes, 'look'> | undefined
  readonly #coordinator: Coordinator
  readonly #options: WorkerOptions
  readonly #partitions = new Map<string, Partition>()
  readonly #committer: Committer
  readonly #backPressure: BackPressure
  readonly #losses: Losses
  readonly #opener: Opener
  readonly #fanOut: FanOut
  readonly #assignment: Assignment
  readonly #reconciler: Reconciler
  readonly #pauses = new Pauses()
  readonly #ended = new AbortController()
  #failure: unknown

  constructor(parts: {
    source: Source
    sinks: readonly Sink[]
    encoder: Pick<LineEncoder, 'encode'>
    missingTypes?: Pick<MissingTypes, 'look'>
    watch?: BatchWatch | undefined
    coordinator: Coordinator
    options: WorkerOptions
    log: Logger
  }) {
    const { source, sinks, coordinator, options, log } = parts
    this.#source = source
    this.#encoder = parts.encoder
    this.#missingTypes = parts.missingTypes
    this.#coordinator = coordinator
    this.#options = options
    this.counts = createCounts(sinks)
    this.#losses = new Losses(options.onGap, this.counts, log)
    const basics = {
      partitions: this.#partitions,
      source,
      encoder: parts.encoder,
      sinks,
      coordinator,
      counts: this.counts,
      questions: new Questions(source),
      identities: new IdentityCheck(sinks, source),
      losses: this.#losses,
      log,
    }
    this.#committer = new Committer(basics)
    this.#backPressure = new BackPressure({
      ...basics,
      memoryBudget: options.memoryBudget,
      flush: () => this.#committer.flush(this.#assignment.tracked()),
      pauses: this.#pauses,
    })
    this.#opener = new Opener({
      ...basics,
      untilEnd: options.untilEnd,
      opened: (partition, tracker, loss) => {
        if (loss !== undefined)
          this.#fanOut.deliver(partition, tracker, emptyBatch(partition.tp, loss, [loss]))
        this.#readOn(partition, tracker)
      },
      failed: (error) => this.#fail(error),
    })
    this.#fanOut = new FanOut({ ...basics, opener: this.#opener, watch: parts.watch })
    const shared = {
      ...basics,
      committer: this.#committer,
      opener: this.#opener,
      resume: (partition: Partition, tracker: Tracker) => this.#readOn(partition, tracker),
    }
    this.shutdown = new Shutdown(sinks, options.shutdownTimeoutMs, log)
    this.#assignment = new Assignment({ ...shared, timeouts: options, shutdown: this.shutdown })
    this.#reconciler = new Reconciler({ ...shared, options })
  }

  /**
   * Works until the signal, the end (`untilEnd`) or a failure that cannot pass; then flushes,
   * commits and leaves the group. The source is connected and the sinks are started.
   *
   * @throws what ended it, or ArchiverError `GAP` if `untilEnd` cannot be reached because records
   *   are lost.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { untilEnd, startAt, commitIntervalMs } = this.#options
    const seen =
      untilEnd || startAt === 'latest'
        ? await this.#source.allBounds(this.#source.topics())
        : undefined
    const ends = untilEnd ? seen : undefined
    if (startAt === 'latest' && seen !== undefined) this.#opener.startAtLatest = seen
    const stop = () => this.#ended.abort()
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    const timers = [
      setInterval(() => void this.#committer.commit(), commitIntervalMs),
      setInterval(() => void this.#reconciler.compare(), compareIntervalMs),
    ]
    let losses: readonly string[] = []
    try {
      await this.#source.run({
        joined: (change) => this.#assignment.joined(change),
        beforeJoin: () => this.#assignment.beforeJoin(),
        revoked: (tps) => this.#assignment.revoked(tps),
        batch: (batch) => this.#batch(batch),
        hasRoom: (tp, bytes) => this.#backPressure.hasRoom(tp, bytes),
        unreadable: (batch) => {
          const partition = this.#partitions.get(partitionKey(batch))
          if (partition !== undefined) this.#reconciler.reread(partition, batch)
        },
        failed: (error) => this.#fail(error),
      })
      await this.#untilEnded(ends)
      losses = this.#stoppedBecause()
      await this.#assignment.shutDown()
    } finally {
      for (const timer of timers) clearInterval(timer)
      signal.removeEventListener('abort', stop)
      await this.#opener.stop()
      await this.#source.stop()
    }
    if (this.#failure !== undefined) throw this.#failure
    if (ends !== undefined && !signal.aborted && losses.length > 0)
      throw new ArchiverError('GAP', losses.join('; '))
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.#ended.abort()
  }

  async #untilEnded(ends: ReadonlyMap<string, LogBounds> | undefined): Promise<void> {
    const { signal } = this.#ended
    if (ends === undefined) await untilAborted(signal)
    else {
      await untilEnds(
        ends,
        () => (this.#assignment.hasJoined ? [...this.#partitions.values()] : undefined),
        () => this.#committer.flush(this.#assignment.tracked()),
        signal,
      )
    }
  }

  #stoppedBecause(): string[] {
    return [...this.#partitions.values()].flatMap(({ key, state, waiting }) =>
      state.name === 'stopped' && waiting !== undefined ? [`${key}: ${waiting}`] : [],
    )
  }

  #readOn(partition: Partition, { position }: Tracker): void {
    this.#source.seek(partition.tp, position)
    this.#backPressure.resumeIfRoom(partition)
  }

  // Records.

  #batch(batch: FetchedBatch): void {
    const partition = this.#partitions.get(partitionKey(batch))
    if (partition === undefined) {
      this.#source.pause(batch)
      return
    }
    const result = partition.fetched(batch.from, batch.highWatermark)
    if (result.action === 'take') this.#take(partition, result.tracker, batch)
    else if (result.action === 'pause') this.#source.pause(batch)
    else if (result.action === 'locate')
      this.#reconciler.locate(partition, result.tracker, batch.from)
  }

  #take(partition: Partition, tracker: Tracker, batch: FetchedBatch): void {
    const { lost } = batch
    let encoded: RecordBatch
    try {
      encoded = this.#encoder.encode(lost === undefined ? batch : { ...batch, next: lost.from })
    } catch (error) {
      this.#reconciler.reread(partition, {
        ...partition.tp,
        offset: batch.from,
        error,
        canPass: true,
      })
      return
    }
    batch.release?.()
    this.#missingTypes?.look(encoded)
    partition.encoded()
    try {
      if (encoded.next > encoded.from) this.#fanOut.deliver(partition, tracker, encoded)
      if (lost !== undefined) this.#skip(partition, tracker, lost)
    } catch (error) {
      this.#opener.reopen(partition, tracker, error)
      return
    }
    this.#backPressure.pauseIfFull(partition)
  }

  #skip(partition: Partition, tracker: Tracker, lost: LostRange): void {
    const gap = this.#losses.reportUnkept(partition, lost)
    if (gap !== undefined) {
      this.#fanOut.deliver(partition, tracker, emptyBatch(partition.tp, gap, [gap]))
      return
    }
    this.#source.pause(partition.tp)
    this.#source.seek(partition.tp, lost.from)
  }

  /** To be called whenever a sink has more room. */
  roomFreed(): void {
    this.#backPressure.roomFreed()
  }

  /**
   * Reads nothing more until it is resumed. The worker stays in the group, stores what it read, and
   * opens and gives up partitions as ever; those that it gets meanwhile are paused too.
   * @param topics none for all that the worker has and gets
   */
  pause(topics: readonly string[]): void {
    this.#pauses.pause(topics)
    this.#backPressure.pausesChanged()
  }

  /** @param topics none for all that is paused */
  resume(topics: readonly string[]): void {
    this.#pauses.resume(topics)
    this.#backPressure.pausesChanged()
  }

  // For people.

  /** What an operator paused. */
  get paused(): Pick<Pauses, 'isWhole' | 'topics'> {
    return this.#pauses
  }

  /** The topics that this worker consumes with its group. */
  get topics(): readonly string[] {
    return this.#source.topics()
  }

  /** What keeps the worker as a whole from making progress. */
  get problems(): string[] {
    return problemsOf({
      hasJoined: this.#assignment.hasJoined,
      silentMs: this.silentMs,
      commitsStalled: this.#committer.stalled,
    })
  }

  /** How long Kafka has not answered, in ms. */
  get silentMs(): number {
    return this.#source.silentMs
  }

  status(): PartitionStatus[] {
    const { stalled } = this.#committer
    return [...this.#partitions.values()].map((partition) =>
      statusOf(
        partition,
        this.#coordinator.committedOffset(partition.tp),
        stalled,
        this.#pauses.holds(partition.tp.topic),
      ),
    )
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}
