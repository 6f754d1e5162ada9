import PQueue from 'p-queue'
import { omittedMessage, PendingBatches } from '../delivery/pending.ts'
import type { Observer } from '../pipeline/observer.ts'
import type { Sink, SinkPosition } from '../pipeline/sink.ts'
import {
  malformedType,
  partitionKey,
  type RecordBatch,
  type TopicPartition,
} from '../record/record.ts'
import { messageOf } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { Backoff } from '../runtime/retry.ts'
import { anything, digits, list, object } from '../runtime/shape.ts'
import { isTooLarge, judge, sayable } from './answer.ts'
import { type Mysql, MysqlFailure } from './client.ts'
import { errorTypes, insertSql, type Kept, quoteText, type Reduction, timestampOf } from './row.ts'
import { installTables } from './schema.ts'
import { partsOf, type Row, rowOf, StatementQueue } from './statement.ts'
import { rejectedTable } from './table-name.ts'

export interface MysqlSinkOptions {
  readonly table: string
  /** Bytes of one statement; less where the server takes less. */
  readonly batchBytes: number
  /** Most statements in flight. */
  readonly concurrency: number
  /** How long a row may wait for others to fill a statement, in ms. */
  readonly lingerMs: number
  /** How long an error that nobody has met is waited out before it may be the row's own, in ms. */
  readonly unknownMs: number
  /** Files are kept of the same records: a value that is omitted here is in them. */
  readonly hasFiles: boolean
  /** Log lines may hold parts of refused records. */
  readonly logSamples: boolean
  /** Bytes of records in memory at which partitions are paused. */
  readonly memoryLimit: number
  readonly observer?: Observer
}

/** Counts since the start, for status lines and metrics. */
export interface MysqlCounts {
  rows: number
  statements: number
  retries: number
  /** Rows that were there already. */
  present: number
  /** Records that are not there as they are: see `errorTypes`. */
  rejected: number
}

/** The sink does not get on: since when, and what a person was told of it. */
interface Trouble {
  readonly since: number
  readonly message: string
  tries: number
  saidAt: number
}

const firstRetryMs = 500
/**
 * One small statement in ten seconds costs a server in trouble nothing, and it is noticed soon that
 * the trouble is over.
 */
const mostRetryMs = 10_000
/** What goes on is said again after this time. */
const sayAgainMs = 60_000
const forgetUnknownMs = 120_000
/** What is kept of a record shrinks in these steps, until the server takes it. */
const nextKept: Readonly<Record<Kept | 'all', Kept | undefined>> = {
  all: 'text',
  text: 'envelope',
  envelope: 'position',
  position: undefined,
}

/**
 * Writes records into a table of MySQL or MariaDB, each under the primary key that its position
 * gives it, by plain `INSERT`s: whatever is sent twice is there once.
 *
 * Every statement is a transaction of its own, so an answer says of all of its rows that they are
 * durable, or of none. A row that exists is an acknowledgement once its Kafka timestamp is that of
 * the record; a different one is a collision, and the record goes to the table of rejects. A row
 * that the server refuses for its own content is found by halving, and kept with less of it.
 * Everything else is waited for: see `answer.ts`.
 */
export class MysqlSink implements Sink {
  readonly name = 'mysql'
  readonly keepsLines = true
  readonly counts: MysqlCounts = { rows: 0, statements: 0, retries: 0, present: 0, rejected: 0 }
  readonly #options: MysqlSinkOptions
  readonly #client: Mysql
  readonly #log: Logger
  readonly #table: string
  readonly #rejectedTable: string
  readonly #queue = new StatementQueue()
  readonly #sending: PQueue
  readonly #pending: PendingBatches
  /** Partitions of which rows may be there already: it is asked before they are sent. */
  readonly #askFirst = new Set<string>()
  /** Numbers of errors that nobody has met, and when they came. */
  readonly #unknown = new Map<number, { readonly since: number; readonly last: number }>()
  /** How often each kind of reject came since it was last said. */
  readonly #unsaidRejects = new Map<string, number>()
  readonly #saidRejects = new Set<string>()
  readonly #backoff = new Backoff({ firstMs: firstRetryMs, mostMs: mostRetryMs })
  #stopping = false
  #lingerTimer: NodeJS.Timeout | undefined
  #gateTimer: NodeJS.Timeout | undefined
  #rejectsTimer: NodeJS.Timeout | undefined
  /** Someone waits for all that is queued: nothing lingers until the queue is empty. */
  #urgent = false
  /** Nothing is sent before this moment (ms of `performance.now`): the last statement failed. */
  #resumeAt = 0
  #trouble: Trouble | undefined

  constructor(client: Mysql, options: MysqlSinkOptions, log: Logger) {
    this.#client = client
    this.#options = options
    this.#log = log
    this.#pending = new PendingBatches(options.memoryLimit)
    this.#table = `\`${options.table}\``
    this.#rejectedTable = `\`${rejectedTable(options.table)}\``
    this.#sending = new PQueue({ concurrency: options.concurrency })
  }

  get waiting(): string | undefined {
    return this.#trouble?.message
  }

  get heldBytes(): number {
    return this.#pending.heldBytes
  }

  async start(relieved: () => void): Promise<void> {
    this.#pending.relieved = relieved
    const { flushesEveryCommit } = await this.#client.detect()
    if (!flushesEveryCommit) {
      this.#log.warn(
        `MySQL at ${this.#client.address} does not flush every commit to its disk: rows that it has acknowledged are lost where its machine crashes, unless innodb_flush_log_at_trx_commit is 1, and sync_binlog where there is a binary log`,
      )
    }
    await installTables(this.#client, this.#options.table, this.#log)
  }

  async open(tp: TopicPartition): Promise<SinkPosition> {
    await this.close(tp)
    this.#pending.open(tp)
    this.#askFirst.add(partitionKey(tp))
    return { next: undefined, origin: undefined, committed: undefined }
  }

  write(batch: RecordBatch): Promise<void> {
    if (batch.count === 0) return Promise.resolve()
    const added = this.#pending.add(batch)
    // A partition that was given up: nobody waits for its records any more.
    if (added === undefined) return new Promise(() => {})
    this.#queue.push({ pending: added.pending, start: 0, end: batch.count })
    this.#pump()
    return added.written
  }

  async flush(tps: readonly TopicPartition[]): Promise<void> {
    const waited = this.#pending.of(tps)
    if (waited.length === 0) return
    this.#urgent = true
    this.#pump()
    await Promise.all(waited.map(({ done }) => done))
  }

  async close(tp: TopicPartition): Promise<void> {
    if (!this.#pending.close(tp)) return
    this.#askFirst.delete(partitionKey(tp))
    this.#queue.dropClosed()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    for (const timer of [this.#lingerTimer, this.#gateTimer, this.#rejectsTimer])
      clearTimeout(timer)
    this.#sayRejects()
    this.#sending.clear()
    await this.#client.close()
    await this.#sending.onIdle()
  }

  pressure(tp: TopicPartition): number {
    return this.#pending.pressure(tp)
  }

  // Statements.

  /** Sends what waits, as many statements as may be in flight. */
  #pump(): void {
    if (this.#stopping || this.#isGated()) return
    while (this.#sending.pending + this.#sending.size < this.#options.concurrency) {
      if (this.#queue.isEmpty) {
        this.#urgent = false
        return
      }
      if (this.#queue.bytes < this.#options.batchBytes && !this.#urgent) {
        this.#linger()
        return
      }
      const { batchBytes } = this.#options
      const { maxPacketBytes } = this.#client.facts
      const { rows, tooLarge } = this.#queue.take(batchBytes, maxPacketBytes)
      for (const row of tooLarge) this.#tooLarge(row, maxPacketBytes)
      if (rows.length > 0) this.#start(rows)
    }
  }

  #linger(): void {
    this.#lingerTimer ??= setTimeout(() => {
      this.#lingerTimer = undefined
      this.#urgent = true
      this.#pump()
    }, this.#options.lingerMs)
  }

  #isGated(): boolean {
    const delay = this.#resumeAt - performance.now()
    if (delay <= 0) return false
    this.#gateTimer ??= setTimeout(() => {
      this.#gateTimer = undefined
      this.#pump()
    }, delay)
    return true
  }

  #start(rows: readonly Row[]): void {
    void this.#sending
      .add(() => this.#send(rows))
      .catch((error: unknown) => this.#broken(rows, error))
      .finally(() => this.#pump())
  }

  /** Something that must not happen: whoever wrote these records reads them again. */
  #broken(rows: readonly Row[], error: unknown): void {
    this.#log.error(
      { err: error },
      `a statement ended in a fault of this program: ${messageOf(error)}`,
    )
    for (const { pending } of rows) this.#pending.fail(pending, error)
  }

  /** Sends rows and sees to each of them; what is to be tried again is back in the queue then. */
  async #send(rows: readonly Row[]): Promise<void> {
    try {
      if (!this.#isGated()) {
        await this.#store(
          await this.#withoutPresent(
            rows.filter(({ pending }) => this.#isAskedFirst(pending.batch)),
            rows,
          ),
        )
        this.#recovered()
      }
    } catch (error) {
      if (this.#stopping) return
      if (!(error instanceof MysqlFailure)) throw error
      this.#failed(error)
    }
    this.#queue.pushFirst(
      partsOf(rows.filter(({ settled, pending }) => !settled && !pending.closed)),
    )
  }

  #isAskedFirst(tp: TopicPartition): boolean {
    return this.#askFirst.has(partitionKey(tp))
  }

  /**
   * Stores rows, in halves where one of them stands in the way. @throws MysqlFailure for what is to
   * be tried again.
   */
  async #store(rows: readonly Row[]): Promise<void> {
    if (rows.length === 0) return
    const [{ isCollision }] = rows as readonly [Row]
    try {
      await this.#insert(isCollision ? this.#rejectedTable : this.#table, rows)
      for (const row of rows) this.#stored(row)
      return
    } catch (error) {
      if (!(error instanceof MysqlFailure)) throw error
      const verdict = this.#judge(error)
      if (verdict === 'again') throw error
      if (rows.length === 1 && verdict === 'row') {
        this.#reduce(rows[0]!, error)
        return
      }
      if (rows.length === 1 && verdict === 'suspect') return this.#storeSuspect(rows[0]!, error)
      if (verdict === 'exists') {
        const rest = await this.#withoutPresent(rows, rows)
        if (rest.length < rows.length) return this.#store(rest)
        // Nothing is there that could be in the way, or not any more.
        if (rows.length === 1) throw error
      }
    }
    const half = rows.length >> 1
    await this.#store(rows.slice(0, half))
    await this.#store(rows.slice(half))
  }

  /**
   * An error that nobody has met came for long. It is the row's own only where the server takes the
   * same row as text: one that takes neither takes nothing now, and its rows keep all they have.
   * @throws MysqlFailure
   */
  async #storeSuspect(row: Row, failure: MysqlFailure): Promise<void> {
    const { pending, i, isCollision } = row
    if (row.reduction?.kept !== undefined || isMalformed(row)) throw failure
    const reduction: Reduction = {
      kept: 'text',
      errorType: isCollision ? errorTypes.taken : errorTypes.text,
      reason: describe(failure),
    }
    await this.#store([rowOf({ pending, start: i, end: i + 1, reduction, isCollision }, i)])
    row.settled = true
    this.#rejected(row, reduction.errorType, this.#words(failure))
  }

  #judge({ errno }: MysqlFailure): 'again' | 'exists' | 'row' | 'suspect' {
    const verdict = judge(errno)
    if (verdict === 'refused') return 'again'
    if (verdict !== 'unknown') return verdict
    const now = performance.now()
    const known = this.#unknown.get(errno!)
    // Not met for a while, it is another trouble.
    const since = known === undefined || now - known.last > forgetUnknownMs ? now : known.since
    this.#unknown.set(errno!, { since, last: now })
    return now - since < this.#options.unknownMs ? 'again' : 'suspect'
  }

  async #insert(table: string, rows: readonly Row[]): Promise<void> {
    const startedAt = performance.now()
    await this.#client.query(
      insertSql(
        table,
        rows.map(({ sql }) => sql),
      ),
    )
    this.#options.observer?.done('mysql', performance.now() - startedAt)
    this.counts.statements++
  }

  /**
   * Of `rows` those that are not there yet, where `asked` are looked up. The others are
   * acknowledged where the row is that of the same record, and go to the rejects where it is not.
   */
  async #withoutPresent(asked: readonly Row[], rows: readonly Row[]): Promise<readonly Row[]> {
    for (const group of groupByPartition(asked)) {
      const [first] = group as readonly [Row]
      const key = partitionKey(first.pending.batch)
      if (first.isCollision) {
        for (const row of group) if (await this.#isKeptAsReject(row)) this.#stored(row)
        continue
      }
      const present = await this.#present(group)
      if (present.size > 0) this.#askFirst.add(key)
      else this.#askFirst.delete(key)
      for (const row of group) {
        const { batch } = row.pending
        const timestamp = present.get(batch.offsets[row.i]!)
        if (timestamp === undefined) continue
        this.counts.present++
        if (timestamp === timestampOf(batch, row.i)) this.#stored(row)
        else this.#collided(row, timestamp)
      }
    }
    return rows.filter(({ settled, pending }) => !settled && !pending.closed)
  }

  /** The timestamps of the rows that are there of some positions of one partition, by offset. */
  async #present(rows: readonly Row[]): Promise<ReadonlyMap<number, string>> {
    const { batch } = rows[0]!.pending
    const offsets = rows.map(({ pending, i }) => pending.batch.offsets[i]!)
    const [least, most] = [Math.min(...offsets), Math.max(...offsets)]
    const found = await this.#client.query<
      readonly { readonly o: string | number; readonly t: string | number }[]
    >(
      `SELECT \`offset\` AS o, \`timestamp\` AS t FROM ${this.#table} WHERE topic = ${quoteText(batch.topic)} AND \`partition\` = ${batch.partition} AND \`offset\` BETWEEN ${least} AND ${most}`,
      list(object({ o: digits, t: digits })),
    )
    return new Map(found.map(({ o, t }) => [Number(o), String(t)]))
  }

  async #isKeptAsReject({ pending: { batch }, i }: Row): Promise<boolean> {
    const found = await this.#client.query<readonly unknown[]>(
      `SELECT 1 FROM ${this.#rejectedTable} WHERE topic = ${quoteText(batch.topic)} AND \`partition\` = ${batch.partition} AND \`offset\` = ${batch.offsets[i]!} AND \`timestamp\` = ${timestampOf(batch, i)}`,
      list(anything),
    )
    return found.length > 0
  }

  // Trouble.

  #recovered(): void {
    if (this.#trouble !== undefined) {
      const seconds = Math.round((performance.now() - this.#trouble.since) / 100) / 10
      const { tries } = this.#trouble
      this.#log.info(
        { seconds, tries },
        `MySQL takes rows again, after ${seconds} s and ${tries} tries`,
      )
      this.#trouble = undefined
    }
    this.#backoff.reset()
    this.#resumeAt = 0
  }

  /** Nothing is wrong with the rows: all statements wait a while. */
  #failed(failure: MysqlFailure): void {
    const now = performance.now()
    this.counts.retries++
    this.#options.observer?.happened('mysql', 'retry', failure.code, 1)
    // Others that were in flight fail for the same reason; one of them counts.
    if (now < this.#resumeAt) return
    const delay = this.#backoff.next()
    this.#resumeAt = now + delay
    const message = this.#words(failure)
    const last = this.#trouble
    const isNews = last === undefined || last.message !== message || now - last.saidAt >= sayAgainMs
    if (isNews) {
      this.#log[judge(failure.errno) === 'again' ? 'warn' : 'error'](
        { retry_ms: delay, tries: last?.tries ?? 0 },
        `MySQL does not take rows: ${message}; nothing is lost, trying again until it does`,
      )
    }
    this.#trouble = {
      since: last?.since ?? now,
      message,
      tries: (last?.tries ?? 0) + 1,
      saidAt: isNews ? now : last.saidAt,
    }
  }

  // Rows.

  #stored(row: Row): void {
    const { pending } = row
    if (row.settled) return
    row.settled = true
    this.counts.rows++
    if (pending.closed) return
    if (!this.#options.hasFiles && isOmitted(row)) this.#sayOmitted(row)
    pending.remaining--
    if (pending.remaining === 0) pending.stored()
  }

  /** Refused for its own content: the same with less of it. */
  #reduce(row: Row, failure: MysqlFailure): void {
    const asText = isTooLarge(failure.errno) || isMalformed(row)
    const kept = nextKept[row.reduction?.kept ?? (asText ? 'text' : 'all')]
    // Not even its position is taken: that is the table's own fault, and waited for.
    if (kept === undefined) throw failure
    this.#putReduced(row, kept, describe(failure), this.#words(failure))
  }

  /** Larger than the server takes a statement. */
  #tooLarge(row: Row, maxPacketBytes: number): void {
    const reason = `larger than the server takes a statement: max_allowed_packet is ${maxPacketBytes} bytes`
    const kept = nextKept[row.reduction?.kept ?? 'text']
    if (kept === undefined) this.#broken([row], new Error(reason))
    else this.#putReduced(row, kept, reason)
  }

  #putReduced(row: Row, kept: Kept, reason: string, sayable = reason): void {
    row.settled = true
    const { pending, i, isCollision } = row
    const errorType = isCollision ? errorTypes.taken : errorTypes[kept]
    this.#queue.pushFirst([
      {
        pending,
        start: i,
        end: i + 1,
        reduction: { kept, errorType, reason, sayable },
        ...(isCollision ? { isCollision } : {}),
      },
    ])
    this.#rejected(row, errorType, sayable)
  }

  /**
   * Another record has this position: the topic was made anew, or two clusters write to one table.
   */
  #collided(row: Row, timestamp: string): void {
    row.settled = true
    const { pending, i } = row
    const reason = `the table holds another record at this position, of Kafka timestamp ${timestamp}; was the topic deleted and made again?`
    const reduction: Reduction = { kept: row.reduction?.kept, errorType: errorTypes.taken, reason }
    this.#queue.push({ pending, start: i, end: i + 1, isCollision: true, reduction })
    this.#rejected(row, errorTypes.taken, reason)
  }

  /**
   * Counts a reject and says it: at once the first time, then once a minute how many there were.
   */
  #rejected({ pending: { batch }, i, reduction }: Row, errorType: string, reason: string): void {
    if (reduction !== undefined) return
    this.counts.rejected++
    this.#options.observer?.happened('mysql', 'reject', errorType, 1)
    const type = batch.types[batch.typeIndexes[i]!]!.name
    const kind = `${type}: ${errorType}`
    if (this.#saidRejects.has(kind)) {
      this.#unsaidRejects.set(kind, (this.#unsaidRejects.get(kind) ?? 0) + 1)
      this.#rejectsTimer ??= setTimeout(() => {
        this.#rejectsTimer = undefined
        this.#sayRejects()
      }, sayAgainMs)
      return
    }
    if (this.#saidRejects.size >= 1000) this.#saidRejects.clear()
    this.#saidRejects.add(kind)
    const table = errorType === errorTypes.taken ? this.#rejectedTable : this.#table
    this.#log[errorType === errorTypes.taken ? 'error' : 'warn'](
      {
        topic: batch.topic,
        partition: batch.partition,
        offset: batch.offsets[i]!,
        type,
        error: errorType,
      },
      `MySQL does not take a record of type ${type} as it is: ${reason.slice(0, 300)}; it is in ${table} with error_type ${errorType}`,
    )
  }

  #sayOmitted({ pending: { batch }, i, reduction }: Row): void {
    const position = { topic: batch.topic, partition: batch.partition, offset: batch.offsets[i]! }
    this.#log.error(
      position,
      omittedMessage(
        'MySQL',
        position,
        (reduction?.sayable ?? reduction?.reason ?? '').slice(0, 300),
      ),
    )
  }

  #words(failure: MysqlFailure): string {
    return this.#options.logSamples ? describe(failure) : sayable(failure)
  }

  #sayRejects(): void {
    for (const [kind, count] of this.#unsaidRejects) {
      this.#log.warn({ count }, `MySQL did not take ${count} more records as they are: ${kind}`)
    }
    this.#unsaidRejects.clear()
  }
}

function describe({ message, errno }: MysqlFailure): string {
  return errno === undefined ? message : `${message} (error ${errno})`
}

function isOmitted({ reduction }: Row): boolean {
  return reduction?.kept === 'envelope' || reduction?.kept === 'position'
}

/** Of such a record there is no text to fall back to. */
function isMalformed({ pending: { batch }, i }: Row): boolean {
  const { name, reserved } = batch.types[batch.typeIndexes[i]!]!
  return reserved && name === malformedType.name
}

function groupByPartition(rows: readonly Row[]): Iterable<readonly Row[]> {
  return Map.groupBy(rows, ({ pending: { batch } }) => partitionKey(batch)).values()
}
