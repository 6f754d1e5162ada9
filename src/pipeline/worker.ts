import type { LineEncoder } from '../record/line.ts'
import {
  emptyBatch,
  type Gap,
  type LostRange,
  type OffsetRange,
  partitionKey,
  type RecordBatch,
  type TopicPartition,
} from '../record/record.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { faultPoint } from '../runtime/fault.ts'
import type { Logger } from '../runtime/log.ts'
import { Trouble } from '../runtime/outage.ts'
import { Backoff, sleep } from '../runtime/retry.ts'
import type { MissingTypes } from './missing-types.ts'
import type { Coordinator } from './offsets/coordinator.ts'
import type { Tracker } from './offsets/tracker.ts'
import {
  adviceFor,
  askStanding,
  describeForgotten,
  describeLoss,
  describeRecreated,
  firstKnown,
  IdentityCheck,
  judge,
  type Standing,
} from './opening.ts'
import type { Identity } from './recreated.ts'
import type { Sink, SinkPosition } from './sink.ts'
import type { BatchTrouble, FetchedBatch, LogBounds, Source } from './source.ts'

export interface WorkerOptions {
  /** Stop at the end offsets seen at the start. */
  readonly untilEnd: boolean
  /** Where a partition begins of which neither a sink nor the group knows anything. */
  readonly startAt: 'beginning' | 'latest'
  /** What becomes of a partition when records are lost before they were read. */
  readonly onGap: 'stop' | 'continue'
  /** Memory for records on their way, in bytes. */
  readonly memoryBudget: number
  readonly commitIntervalMs: number
  /**
   * How long a flush before a rebalance may hold the group up, in ms: less than half of the session
   * timeout.
   */
  readonly drainTimeoutMs: number
  /** How long the last flush may take after a signal, in ms. */
  readonly shutdownTimeoutMs: number
}

/** One assignment of a partition to this worker. */
interface Partition {
  readonly tp: TopicPartition
  readonly backoff: Backoff
  /** Aborted when the partition is given up or opened anew. */
  readonly closing: AbortController
  /**
   * `opening`: nothing is fetched. `open`: records flow. `stopped`: records were lost and a person
   * must decide.
   */
  state: 'opening' | 'open' | 'stopped'
  tracker: Tracker | undefined
  paused: boolean
  /**
   * Kafka's client stands elsewhere; nothing is taken until it is known where this partition goes
   * on.
   */
  locating: boolean
  highWatermark: number | undefined
  /**
   * What the group has committed, and where reading goes on, as far as that is known before it is
   * open.
   */
  committed: number | undefined
  resumesAt: number | undefined
  /** Why it does not get on, for people. */
  waiting: string | undefined
}

/** What is told of a partition while it is opened anew. */
type KnownBefore = Pick<Partition, 'highWatermark' | 'committed' | 'resumesAt' | 'waiting'>

const nothingKnown: KnownBefore = {
  highWatermark: undefined,
  committed: undefined,
  resumesAt: undefined,
  waiting: undefined,
}

/** What a worker did since its start. */
export interface WorkerCounts {
  records: number
  bytes: number
  /** Records that each sink acknowledged. */
  readonly acknowledged: Map<string, number>
  /** Bytes of their lines. */
  readonly acknowledgedBytes: Map<string, number>
  lostOffsets: number
  /** Of these: records that are larger than may be kept. */
  oversizedRecords: number
  /** How often a partition was paused because a sink was full. */
  pauses: number
  rebalances: number
  fenced: number
  /** Commits that the group refused or could not be asked for. */
  commitFailures: number
  /**
   * Partitions whose group lost its offset, and whose archived records Kafka does not have any more
   * to compare.
   */
  forgottenOffsets: number
}

/** What is kept of a batch until it is acknowledged: its offsets, records and bytes. */
interface DeliveredRange extends OffsetRange {
  readonly count: number
  readonly bytes: number
}

/** The state of one partition, for status lines. */
export interface PartitionStatus extends TopicPartition {
  readonly state: Partition['state']
  readonly position: number | undefined
  readonly committed: number | undefined
  readonly lag: number | undefined
  readonly waiting: string | undefined
}

/** Below this pressure a paused partition is resumed: well below 1, so that it does not flap. */
const resumeBelow = 0.75
/**
 * Of a large record there are its bytes, its line, which in base64 is a third longer, and what a
 * sink makes of that.
 */
const largeRecordCost = 3
/** With so little in the sinks there is room for any record that may be kept. */
const littleHeldBytes = 2 ** 20
const firstRetryMs = 500
const mostRetryMs = 30_000
/** Some three minutes of trouble with one batch end its partition if the worker is to end. */
const maxTriesUntilEnd = 10
const endCheckMs = 25
/** The longest that a timer takes. */
const neverMs = 2 ** 31 - 1
const compareIntervalMs = 20_000
/**
 * A heartbeat is answered every few seconds, and a rebalance takes no longer than this while all
 * members are well.
 */
const longSilenceMs = 30_000

/**
 * The straight line: a batch of Kafka is encoded, every sink gets it, each acknowledges it, the
 * coordinator moves, the group is told. Back-pressure is the same line backwards: a sink that is
 * full pauses the partition.
 *
 * Every trouble of a partition has one way back: it is opened again, exactly as after a crash.
 * Opening asks every sink where it stands, begins at the lowest of that, and reads on; sinks pass
 * over what they hold.
 */
export class Worker {
  readonly counts: WorkerCounts
  readonly #source: Source
  readonly #sinks: readonly Sink[]
  readonly #identities: IdentityCheck
  readonly #encoder: LineEncoder
  readonly #missingTypes: MissingTypes | undefined
  readonly #coordinator: Coordinator
  readonly #options: WorkerOptions
  readonly #log: Logger
  readonly #partitions = new Map<string, Partition>()
  /** What is under way for a partition; the next step of its life waits for it. */
  readonly #lives = new Map<string, Promise<void>>()
  readonly #ended = new AbortController()
  /**
   * The ends of the logs at the start, where archiving begins there. A partition that appears later
   * begins at its beginning.
   */
  #latest: ReadonlyMap<string, LogBounds> | undefined
  #committing: Promise<void> = Promise.resolve()
  readonly #commitTrouble: Trouble
  readonly #compareTrouble: Trouble
  #joined = false
  #draining = false
  /** A flush that makes room for a large record. */
  #relieving: Promise<void> | undefined
  #failure: unknown

  constructor(parts: {
    source: Source
    sinks: readonly Sink[]
    encoder: LineEncoder
    missingTypes?: MissingTypes
    coordinator: Coordinator
    options: WorkerOptions
    log: Logger
  }) {
    this.#source = parts.source
    this.#sinks = parts.sinks
    this.#identities = new IdentityCheck(parts.sinks, parts.source)
    this.#encoder = parts.encoder
    this.#missingTypes = parts.missingTypes
    this.#coordinator = parts.coordinator
    this.#options = parts.options
    this.#log = parts.log
    this.#commitTrouble = new Trouble(parts.log)
    this.#compareTrouble = new Trouble(parts.log)
    this.counts = {
      records: 0,
      bytes: 0,
      acknowledged: new Map(parts.sinks.map(({ name }) => [name, 0])),
      acknowledgedBytes: new Map(parts.sinks.map(({ name }) => [name, 0])),
      lostOffsets: 0,
      oversizedRecords: 0,
      pauses: 0,
      rebalances: 0,
      fenced: 0,
      commitFailures: 0,
      forgottenOffsets: 0,
    }
  }

  /**
   * Works until the signal, the end (`untilEnd`) or a failure that cannot pass; then flushes,
   * commits and leaves the group. The source is connected and the sinks are started.
   *
   * @throws what ended it, or ArchiverError `GAP` where `untilEnd` cannot be reached because
   *   records are lost.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { untilEnd, startAt } = this.#options
    const seen =
      untilEnd || startAt === 'latest'
        ? await this.#source.bounds(this.#source.topics())
        : undefined
    const ends = untilEnd ? seen : undefined
    if (startAt === 'latest') this.#latest = seen
    const stop = () => this.#ended.abort()
    signal.addEventListener('abort', stop)
    if (signal.aborted) stop()
    const timer = setInterval(() => void this.#commit(), this.#options.commitIntervalMs)
    let comparing = false
    const compareTimer = setInterval(() => {
      if (comparing) return
      comparing = true
      void this.#compareWithKafka().finally(() => {
        comparing = false
      })
    }, compareIntervalMs)
    try {
      await this.#source.run({
        assigned: ({ all, kept }) => this.#assigned(all, kept),
        beforeJoin: () => this.#beforeJoin(),
        batch: (batch) => this.#batch(batch),
        hasRoom: (tp, bytes) => this.#hasRoom(tp, bytes),
        troubled: (trouble) => this.#troubled(trouble),
        failed: (error) => this.#fail(error),
      })
      await this.#untilEnded(ends)
      await this.#drain()
    } finally {
      clearInterval(timer)
      clearInterval(compareTimer)
      signal.removeEventListener('abort', stop)
      await this.#closeAll()
      await this.#source.stop()
    }
    if (this.#failure !== undefined) throw this.#failure
    const stopped = [...this.#partitions.values()].filter(({ state }) => state === 'stopped')
    if (ends !== undefined && !signal.aborted && stopped.length > 0) {
      throw new ArchiverError('GAP', stopped.map(({ waiting }) => waiting).join('; '))
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    this.#ended.abort()
  }

  async #untilEnded(ends: ReadonlyMap<string, LogBounds> | undefined): Promise<void> {
    let flushed = false
    const checkMs = ends === undefined ? neverMs : endCheckMs
    while (await sleep(checkMs, this.#ended.signal)) {
      if (ends === undefined || !this.#hasReached(ends, ({ tracker }) => tracker?.position)) {
        flushed = false
        continue
      }
      if (!flushed) {
        flushed = true
        void this.#flush()
      }
      if (this.#hasReached(ends, ({ tp }) => this.#coordinator.tracker(tp)?.committable)) return
    }
  }

  #hasReached(
    ends: ReadonlyMap<string, LogBounds>,
    reached: (partition: Partition) => number | undefined,
  ): boolean {
    if (!this.#joined && ends.size > 0) return false
    for (const partition of this.#partitions.values()) {
      const end = ends.get(partitionKey(partition.tp))?.end
      if (partition.state === 'stopped' || end === undefined) continue
      const offset = partition.state === 'open' ? reached(partition) : undefined
      if (offset === undefined || offset < end) return false
    }
    return true
  }

  // The life of a partition: assigned, opened, perhaps opened again, given up.

  #assigned(all: readonly TopicPartition[], kept: readonly TopicPartition[]): void {
    if (this.#joined) this.counts.rebalances++
    this.#joined = true
    const keptKeys = new Set(kept.map(partitionKey))
    for (const [key, partition] of this.#partitions) if (!keptKeys.has(key)) this.#giveUp(partition)
    const fresh = all.filter((tp) => !this.#partitions.has(partitionKey(tp)))
    for (const tp of kept) {
      const partition = this.#partitions.get(partitionKey(tp))
      if (partition?.state !== 'open') continue
      this.#source.seek(tp, partition.tracker!.position)
      partition.paused = true
      this.#resumeIfRelieved(partition)
    }
    for (const tp of fresh)
      this.#open(tp, nothingKnown, new Backoff({ firstMs: firstRetryMs, mostMs: mostRetryMs }))
  }

  #giveUp(partition: Partition): void {
    const { tp } = partition
    partition.closing.abort()
    this.#partitions.delete(partitionKey(tp))
    this.#coordinator.close(tp)
    this.#next(tp, async () => {
      for (const sink of this.#sinks) await sink.close(tp)
    })
  }

  /** Runs the next step of a partition's life after the one before. */
  #next(tp: TopicPartition, step: () => Promise<void>): void {
    const key = partitionKey(tp)
    const life = (this.#lives.get(key) ?? Promise.resolve()).then(step)
    this.#lives.set(key, life)
    life.catch((error: unknown) => this.#fail(error))
  }

  #open(tp: TopicPartition, known: KnownBefore, backoff: Backoff, delayMs = 0): void {
    const partition: Partition = {
      tp,
      backoff,
      closing: new AbortController(),
      state: 'opening',
      tracker: undefined,
      paused: true,
      locating: false,
      ...known,
    }
    this.#partitions.set(partitionKey(tp), partition)
    this.#next(tp, async () => {
      let delay = delayMs
      while (await sleep(delay, partition.closing.signal)) {
        try {
          await this.#tryToOpen(partition)
          return
        } catch (error) {
          delay = backoff.next()
          partition.waiting = messageOf(error)
          this.#log[backoff.failures > 1 ? 'debug' : 'warn'](
            { topic: tp.topic, partition: tp.partition, retry_ms: delay },
            `${partitionKey(tp)} cannot be opened: ${messageOf(error)}; trying again until it can`,
          )
        }
      }
    })
  }

  async #tryToOpen(partition: Partition): Promise<void> {
    const { tp, closing } = partition
    let standing = await this.#standing(partition)
    if (closing.signal.aborted) return
    // What stops a partition is asked for twice: another worker may have archived between two of
    // the answers.
    if (judge(standing).loss !== undefined) standing = await this.#standing(partition)
    if (closing.signal.aborted) return

    const { committed, positions, bounds } = standing
    const { start, loss } = judge(standing)
    if (loss?.reason !== 'truncated') {
      const isAnother =
        committed === undefined && (await this.#isAnotherTopic(partition, bounds, positions))
      if (isAnother || closing.signal.aborted) return
    }
    if (loss !== undefined && !this.#lost(partition, loss, describeLoss(loss, bounds))) return

    const tracker = this.#coordinator.open(tp, start, committed)
    partition.tracker = tracker
    partition.state = 'open'
    partition.waiting = undefined
    this.#log.debug(
      { topic: tp.topic, partition: tp.partition, offset: start, committed },
      `${partitionKey(tp)} opened at ${start}`,
    )
    if (loss !== undefined) this.#deliver(partition, emptyBatch(tp, loss, [loss]))
    this.#source.seek(tp, tracker.position)
    this.#resumeIfRelieved(partition)
  }

  #standing(partition: Partition): Promise<Standing> {
    const latest = this.#latest?.get(partitionKey(partition.tp))?.end
    return askStanding(partition.tp, this.#source, this.#sinks, latest, (known) =>
      Object.assign(partition, known),
    )
  }

  /**
   * The group has no offset, as after the topic was deleted: if it is not the one that is archived,
   * the partition stops.
   */
  async #isAnotherTopic(
    partition: Partition,
    bounds: LogBounds,
    positions: readonly SinkPosition[],
  ): Promise<boolean> {
    const { tp } = partition
    const next = firstKnown(positions, (position) => position.next)
    if (next === undefined) return false
    const identity = await this.#identities.of(tp, bounds.start)
    if (identity.verdict === 'different') {
      this.#lost(
        partition,
        { from: bounds.start, next, reason: 'recreated' },
        describeRecreated(identity.offset, next),
      )
      return true
    }
    const before = firstKnown(positions, ({ committed }) => committed)
    if (before !== undefined) this.#tellForgotten(tp, before, next, identity)
    return false
  }

  /**
   * Records are lost, before they were read or as they cannot be kept: says so, counts, and
   * decides. Returns true where the partition goes on past them. A log that ends before the archive
   * does, or is of another topic, cannot be gone on with: its new records would have offsets that
   * are taken.
   */
  #lost(partition: Partition, gap: Gap, what: string, bytes?: number): boolean {
    const { tp } = partition
    const goOn =
      gap.reason !== 'truncated' && gap.reason !== 'recreated' && this.#options.onGap === 'continue'
    const message = `${partitionKey(tp)}: ${what}`
    const advice = goOn
      ? 'going on behind them (--on-gap continue)'
      : `this partition stops. ${adviceFor(gap.reason)}`
    this.counts.lostOffsets += gap.next - gap.from
    this.#log.error(
      {
        topic: tp.topic,
        partition: tp.partition,
        from: gap.from,
        next: gap.next,
        reason: gap.reason,
        bytes,
      },
      `${message}; ${advice}`,
    )
    if (goOn) return true
    partition.state = 'stopped'
    partition.resumesAt = gap.next
    partition.waiting = message
    return false
  }

  /**
   * Offsets that are gone harm nothing if the topic is the same; only if that cannot be told is it
   * an error.
   */
  #tellForgotten(
    tp: TopicPartition,
    before: number,
    next: number | undefined,
    identity: Identity,
  ): void {
    const isSame = identity.verdict === 'same'
    if (!isSame) this.counts.forgottenOffsets++
    this.#log[isSame ? 'warn' : 'error'](
      { topic: tp.topic, partition: tp.partition, committed: before, next },
      describeForgotten(tp, before, next, identity),
    )
  }

  /**
   * The way back from every trouble of a partition. What sinks have taken and not acknowledged is
   * read again.
   */
  #reopen(partition: Partition, why: unknown): void {
    const { tp, backoff, tracker, highWatermark } = partition
    if (this.#partitions.get(partitionKey(tp)) !== partition || partition.closing.signal.aborted)
      return
    this.#source.pause(tp)
    const isFenced = why instanceof ArchiverError && why.code === 'FENCED'
    if (isFenced) this.counts.fenced++
    // Losing a race is no failure of anything; the winner's position is there already.
    const delay = isFenced ? 0 : backoff.next()
    this.#log[backoff.failures > 1 ? 'debug' : 'warn'](
      { topic: tp.topic, partition: tp.partition, retry_ms: delay },
      `${messageOf(why)}; ${partitionKey(tp)} is read again from where all sinks stand`,
    )
    partition.closing.abort()
    const known = {
      highWatermark,
      committed: this.#coordinator.committedOffset(tp),
      resumesAt: tracker?.committable,
      waiting: isFenced ? undefined : messageOf(why),
    }
    this.#coordinator.close(tp)
    this.#next(tp, async () => {
      for (const sink of this.#sinks) await sink.close(tp)
    })
    this.#open(tp, known, backoff, delay)
  }

  // Records.

  #batch(batch: FetchedBatch): void {
    const partition = this.#partitions.get(partitionKey(batch))
    if (this.#draining || partition?.state !== 'open') {
      this.#source.pause(batch)
      return
    }
    partition.highWatermark = batch.highWatermark
    if (partition.locating) return
    if (batch.from !== partition.tracker!.position) {
      this.#log.debug(
        {
          topic: batch.topic,
          partition: batch.partition,
          fetched: batch.from,
          position: partition.tracker!.position,
        },
        'fetched from elsewhere than expected',
      )
      this.#locate(partition)
      return
    }
    let encoded: RecordBatch
    try {
      encoded = this.#encoder.encode(
        batch.lost === undefined ? batch : { ...batch, next: batch.lost.from },
      )
    } catch (error) {
      this.#troubled({ ...partition.tp, offset: batch.from, error, canPass: true })
      return
    }
    batch.release?.()
    this.#missingTypes?.look(encoded)
    partition.waiting = undefined
    try {
      if (encoded.next > encoded.from) this.#deliver(partition, encoded)
      if (batch.lost !== undefined) this.#passOver(partition, batch.lost)
    } catch (error) {
      this.#reopen(partition, error)
      return
    }
    this.#hasRoom(partition.tp, 0)
  }

  /** Without room the partition is paused until a sink has some. */
  #hasRoom(tp: TopicPartition, bytes: number): boolean {
    if (bytes > 0) return this.#hasRoomForLarge(bytes)
    const partition = this.#partitions.get(partitionKey(tp))
    if (
      partition === undefined ||
      partition.paused ||
      !this.#sinks.some((sink) => sink.pressure(tp) >= 1)
    )
      return true
    partition.paused = true
    this.counts.pauses++
    this.#source.pause(tp)
    return false
  }

  /**
   * A large record and its line need much at once: sinks hold little before one is read, and make
   * durable what they hold.
   */
  #hasRoomForLarge(bytes: number): boolean {
    const held = this.#sinks.reduce((sum, { heldBytes }) => sum + heldBytes, 0)
    if (held <= Math.max(littleHeldBytes, this.#options.memoryBudget - largeRecordCost * bytes))
      return true
    this.#relieving ??= this.#flush().finally(() => {
      this.#relieving = undefined
    })
    return false
  }

  /**
   * Records that the archive does not get, damaged or too large, are lost like those that retention
   * took; others are not.
   */
  #passOver(partition: Partition, { from, next, reason, trouble, bytes }: LostRange): void {
    const gap: Gap = { from, next, reason }
    if (reason === 'oversized') this.counts.oversizedRecords++
    if (this.#lost(partition, gap, trouble, bytes))
      this.#deliver(partition, emptyBatch(partition.tp, gap, [gap]))
    else {
      this.#source.pause(partition.tp)
      this.#source.seek(partition.tp, from)
    }
  }

  /**
   * A batch makes trouble that is no loss, as far as is known: its partition reads it again after a
   * while, and others go on.
   */
  #troubled({ offset, error, canPass, ...tp }: BatchTrouble): void {
    const partition = this.#partitions.get(partitionKey(tp))
    if (partition?.state !== 'open' || partition.locating) return
    const { topic, partition: number } = tp
    const fields = { topic, partition: number, offset, err: messageOf(error) }
    const { backoff, closing } = partition
    partition.paused = true
    partition.waiting = `${partitionKey(tp)}: the batch at offset ${offset} cannot be read: ${messageOf(error)}`
    this.#source.pause(tp)
    // Whoever waits for the end gets a name instead; a worker that runs for good waits for whoever
    // mends the log.
    if (!canPass || (this.#options.untilEnd && backoff.failures >= maxTriesUntilEnd)) {
      this.#log.error(fields, 'a batch cannot be read; this partition stops')
      partition.state = 'stopped'
      partition.resumesAt = offset
      return
    }
    partition.locating = true
    const delay = backoff.next()
    this.#log[backoff.failures > 1 ? 'debug' : 'warn'](
      { ...fields, retry_ms: delay },
      'a batch cannot be read; reading it again',
    )
    sleep(delay, closing.signal)
      .then((isOver) => {
        if (!isOver) return
        partition.locating = false
        this.#source.seek(tp, partition.tracker!.position)
        this.#resumeIfRelieved(partition)
      })
      .catch((failure: unknown) => this.#reopen(partition, failure))
  }

  #deliver(partition: Partition, batch: RecordBatch): void {
    const tracker = partition.tracker!
    tracker.delivered(batch)
    this.counts.records += batch.count
    this.counts.bytes += batch.lines.length
    // Files acknowledge only at their flush: what waits for that keeps the range, and not the
    // lines.
    const range = {
      from: batch.from,
      next: batch.next,
      count: batch.count,
      bytes: batch.lines.length,
    }
    for (const sink of this.#sinks) {
      sink.write(batch).then(
        () => this.#acknowledged(partition, sink, range),
        (error: unknown) => this.#reopen(partition, error),
      )
    }
  }

  #acknowledged({ tracker, backoff }: Partition, sink: Sink, range: DeliveredRange): void {
    if (tracker!.closed) return
    const before = tracker!.committable
    tracker!.acknowledge(sink.name, range)
    // Only what all sinks hold is progress: one that goes on must not hurry the retries of one that
    // is in trouble.
    if (tracker!.committable > before) backoff.reset()
    const { acknowledged, acknowledgedBytes } = this.counts
    acknowledged.set(sink.name, acknowledged.get(sink.name)! + range.count)
    acknowledgedBytes.set(sink.name, acknowledgedBytes.get(sink.name)! + range.bytes)
    faultPoint('worker.acknowledged')
  }

  /**
   * Kafka's client stands elsewhere than this worker: it was late with a position, or it reset one
   * by itself because the offset is gone (tulios/kafkajs#1119). Which of the two, the log's bounds
   * tell.
   */
  #locate(partition: Partition): void {
    partition.locating = true
    partition.paused = true
    this.#source.pause(partition.tp)
    this.#goOnFromWhereItStood(partition).catch((error: unknown) => this.#reopen(partition, error))
  }

  async #goOnFromWhereItStood(partition: Partition): Promise<void> {
    const { tp, tracker, closing } = partition
    const key = partitionKey(tp)
    const { position } = tracker!
    const bounds = await this.#boundsOf(partition)
    if (closing.signal.aborted) return
    if (bounds !== undefined && isWithin(position, bounds)) {
      partition.locating = false
      this.#source.seek(tp, position)
      this.#resumeIfRelieved(partition)
      return
    }
    partition.waiting = `Kafka has no offset ${position} any more; what was read before it is made durable first`
    this.#log.warn(
      { topic: tp.topic, partition: tp.partition, offset: position },
      `${key}: ${partition.waiting}`,
    )
    await this.#settle(partition)
    this.#reopen(
      partition,
      new ArchiverError('GAP', `${key}: Kafka has no offset ${position} any more`),
    )
  }

  /**
   * Asks until there is an answer: to open the partition again instead would drop what a sink that
   * is away still has to take.
   */
  async #boundsOf({ tp, backoff, closing }: Partition): Promise<LogBounds | undefined> {
    let delay = 0
    while (await sleep(delay, closing.signal)) {
      try {
        return (await this.#source.bounds([tp.topic])).get(partitionKey(tp))
      } catch (error) {
        delay = backoff.next()
        this.#log.debug(
          `where the log of ${partitionKey(tp)} begins and ends: ${messageOf(error)}; asking again`,
        )
      }
    }
    return undefined
  }

  /**
   * Settles when every sink holds what was read of a partition and the group was told so, or the
   * partition was given up. However long that takes: Kafka may not have these records any more, so
   * this worker's memory may be the only place where they are.
   */
  async #settle({ tp, tracker, closing }: Partition): Promise<void> {
    // Where kafkajs reset an offset it may have committed that, and a worker that is killed now
    // would begin there.
    this.#coordinator.forgetCommitted(tp)
    await this.#commit()
    await this.#flush([tp])
    const isTold = () => this.#coordinator.committedOffset(tp) === tracker!.position
    do await this.#commit()
    while (!isTold() && (await sleep(this.#options.commitIntervalMs, closing.signal)))
  }

  /**
   * Compares what this worker believes with what Kafka says, now and then. Nothing else tells of
   * two things: that the log was cut off on either side of a partition for which no record comes,
   * and that a worker which was frozen committed an older offset over a newer one, which Kafka
   * takes from any member of the group (tulios/kafkajs#1046).
   */
  async #compareWithKafka(): Promise<void> {
    const topics = new Set([...this.#partitions.values()].map(({ tp }) => tp.topic))
    let failure: unknown
    for (const topic of topics) {
      try {
        await this.#compareTopic(topic)
      } catch (error) {
        failure = error
      }
    }
    if (failure === undefined) this.#compareTrouble.over()
    else
      this.#compareTrouble.failed(
        `positions cannot be compared with Kafka's: ${messageOf(failure)}; trying again`,
      )
  }

  async #compareTopic(topic: string): Promise<void> {
    const partitions = [...this.#partitions.values()].filter(({ tp }) => tp.topic === topic)
    const before = partitions.map(({ tp, tracker }) => ({
      position: tracker?.position,
      told: this.#coordinator.committedOffset(tp),
    }))
    const committed = await this.#source.committed(partitions.map(({ tp }) => tp))
    const bounds = await this.#source.bounds([topic])
    partitions.forEach((partition, i) => {
      const key = partitionKey(partition.tp)
      const { position, told } = before[i]!
      const { start, end } = bounds.get(key) ?? { start: 0, end: undefined }
      // Nothing comes of a partition that is paused, and its lag grows all the same.
      if (end !== undefined) partition.highWatermark = Math.max(partition.highWatermark ?? 0, end)
      const { state, locating, closing, tracker } = partition
      if (state !== 'open' || locating || closing.signal.aborted || position === undefined) return
      // The position went on meanwhile, and so did the log.
      if (position > (end ?? position) || tracker!.position < start) this.#locate(partition)
      else if (told === undefined || (committed.get(key) ?? -1) >= told) return
      else if (committed.has(key)) this.#coordinator.forgetCommitted(partition.tp)
      else this.#doubt(partition, start, told)
    })
  }

  /**
   * The group lost its offset while this worker is at work: it gets it back, unless the topic is
   * another one by now.
   */
  #doubt(partition: Partition, start: number, told: number): void {
    const { tp, tracker, closing } = partition
    partition.locating = true
    partition.paused = true
    this.#source.pause(tp)
    const decide = async () => {
      const identity = await this.#identities.of(tp, start)
      if (closing.signal.aborted) return
      const { position } = tracker!
      if (identity.verdict === 'different') {
        // No offset is committed any more: a group without one is what the next start finds.
        this.#coordinator.close(tp)
        partition.waiting = describeRecreated(identity.offset, position)
        await this.#flush([tp])
        if (closing.signal.aborted) return
        this.#lost(
          partition,
          { from: start, next: position, reason: 'recreated' },
          describeRecreated(identity.offset, position),
        )
        return
      }
      this.#tellForgotten(tp, told, position, identity)
      this.#coordinator.forgetCommitted(tp)
      partition.locating = false
      this.#source.seek(tp, position)
      this.#resumeIfRelieved(partition)
    }
    decide().catch((error: unknown) => this.#reopen(partition, error))
  }

  /** To be called whenever a sink has more room. */
  relieved(): void {
    for (const partition of this.#partitions.values()) {
      if (partition.paused && partition.state === 'open') this.#resumeIfRelieved(partition)
    }
  }

  #resumeIfRelieved(partition: Partition): void {
    if (
      this.#draining ||
      partition.locating ||
      this.#sinks.some((sink) => sink.pressure(partition.tp) >= resumeBelow)
    )
      return
    partition.paused = false
    this.#source.resume(partition.tp)
  }

  // Offsets.

  /**
   * Tells the group what every sink holds. One at a time; what fails is tried again with the next.
   */
  #commit(): Promise<void> {
    this.#committing = this.#committing.then(async () => {
      const offsets = this.#coordinator.committable()
      // What was refused may be another worker's by now.
      if (offsets.length === 0) return this.#commitTrouble.over()
      try {
        await this.#source.commit(offsets)
        this.#coordinator.committed(offsets)
        this.#commitTrouble.over()
        faultPoint('worker.committed')
      } catch (error) {
        this.counts.commitFailures++
        this.#commitTrouble.failed(`offsets cannot be committed: ${messageOf(error)}; trying again`)
      }
    })
    return this.#committing
  }

  async #flush(tps?: readonly TopicPartition[]): Promise<void> {
    // One that stopped may have been open before, and wait for its records as well.
    const read =
      tps ??
      [...this.#partitions.values()].flatMap(({ tp, tracker }) =>
        tracker === undefined ? [] : [tp],
      )
    await Promise.all(this.#sinks.map((sink) => sink.flush(read)))
  }

  /**
   * Drain first, then give up: what can be durable and committed in time is, before the group may
   * move partitions.
   */
  async #beforeJoin(): Promise<void> {
    const timer = new AbortController()
    await Promise.race([
      this.#flush().then(() => this.#commit()),
      sleep(this.#options.drainTimeoutMs, timer.signal),
    ])
    timer.abort()
  }

  async #drain(): Promise<void> {
    this.#draining = true
    for (const { tp } of this.#partitions.values()) this.#source.pause(tp)
    const timer = new AbortController()
    const inTime = await Promise.race([
      this.#flush()
        .then(() => this.#commit())
        .then(() => true),
      sleep(this.#options.shutdownTimeoutMs, timer.signal).then(() => false),
    ])
    timer.abort()
    if (inTime) return
    const waiting = this.#sinks.flatMap(({ name, waiting }) =>
      waiting === undefined ? [] : `${name}: ${waiting}`,
    )
    this.#log.warn(
      `stopping without having flushed everything within ${this.#options.shutdownTimeoutMs / 1000} s${waiting.length === 0 ? '' : ` (${waiting.join('; ')})`}; it is read again at the next start`,
    )
    await Promise.race([this.#commit(), sleep(this.#options.drainTimeoutMs)])
  }

  async #closeAll(): Promise<void> {
    for (const { closing, tp } of this.#partitions.values()) {
      closing.abort()
      this.#coordinator.close(tp)
    }
    await Promise.all(this.#lives.values())
  }

  // For people.

  /** What keeps the worker as a whole from getting on. */
  get troubles(): string[] {
    const { silentMs } = this.#source
    const committing = this.#commitTrouble.lasting
    return [
      ...(this.#joined ? [] : ['the worker has not joined the group yet']),
      ...(silentMs < longSilenceMs
        ? []
        : [`Kafka has not answered for ${Math.round(silentMs / 1000)} s`]),
      ...(committing === undefined ? [] : [committing]),
    ]
  }

  /** How long Kafka has not answered, in ms. */
  get silentMs(): number {
    return this.#source.silentMs
  }

  status(): PartitionStatus[] {
    return [...this.#partitions.values()].map((partition) => {
      const { tp, state, tracker, highWatermark, waiting, paused } = partition
      const readUpTo = tracker?.position ?? partition.resumesAt
      return {
        ...tp,
        state,
        position: tracker?.position,
        committed: this.#coordinator.committedOffset(tp) ?? partition.committed,
        lag:
          highWatermark === undefined || readUpTo === undefined
            ? undefined
            : Math.max(0, highWatermark - readUpTo),
        waiting:
          waiting ??
          (state === 'open' && paused ? 'paused until the sinks have room' : undefined) ??
          this.#commitTrouble.lasting,
      }
    })
  }
}

function isWithin(position: number, { start, end }: LogBounds): boolean {
  return start <= position && position <= end
}
