import { Outbox } from '../delivery/outbox.ts'
import { RejectLog } from '../delivery/reject-log.ts'
import type { Observer } from '../pipeline/observer.ts'
import type { Sink, SinkPosition } from '../pipeline/sink.ts'
import type { RecordBatch, TopicPartition } from '../record/record.ts'
import type { Logger } from '../runtime/log.ts'
import { judge } from './answer.ts'
import type { Mysql } from './client.ts'
import type { MysqlFailure } from './failure.ts'
import { Inserter } from './insert.ts'
import { PresentRows } from './present-rows.ts'
import { reductionAfter } from './reduction.ts'
import { installTables } from './schema.ts'
import { Settlement } from './settlement.ts'
import { asRecord, bytesOfPart, type Part, partsOf, type Row, takeStatement } from './statement.ts'
import { rejectedTable } from './table-name.ts'

export interface MysqlSinkOptions {
  readonly table: string
  /** Bytes of one statement; less if the server accepts less. */
  readonly batchBytes: number
  /** Statements in flight. */
  readonly concurrency: number
  /** How long a row may wait for others to fill a statement, in ms. */
  readonly lingerMs: number
  /** How long an unrecognized error is waited out before it may be the row's own, in ms. */
  readonly unrecognizedMs: number
  /** Files are kept of the same records: they have a value that is omitted here. */
  readonly hasFiles: boolean
  /** Log lines may hold parts of refused records. */
  readonly logSamples: boolean
  /** Bytes of records in memory at which partitions are paused. */
  readonly memoryLimit: number
  readonly observer?: Observer
}

const name = 'mysql'

/**
 * Writes records into a table of MySQL or MariaDB, each under the primary key that its position
 * gives it, by plain `INSERT`s: a record that is sent twice is there once.
 *
 * A row that exists is an acknowledgement if its Kafka timestamp is that of the record. With
 * another one it is a collision, and the record goes to the table of rejects. A row that the server
 * refuses for its own content is kept with less of it. Everything else is waited for: see
 * `answer.ts`.
 */
export class MysqlSink implements Sink {
  readonly name = name
  readonly keepsLines = true
  readonly #options: MysqlSinkOptions
  readonly #client: Mysql
  readonly #log: Logger
  readonly #outbox: Outbox<Part, readonly Row[], MysqlFailure | undefined>
  readonly #present: PresentRows
  readonly #rejectLog: RejectLog
  readonly #settlement: Settlement

  constructor(client: Mysql, options: MysqlSinkOptions, log: Logger) {
    this.#client = client
    this.#options = options
    this.#log = log
    this.#rejectLog = new RejectLog(log, name)
    const [table, rejects] = [`\`${options.table}\``, `\`${rejectedTable(options.table)}\``]
    this.#present = new PresentRows(client, table, rejects)
    this.#settlement = new Settlement({
      sink: name,
      table: options.table,
      rejectedTable: rejectedTable(options.table),
      queue: () => this.#outbox.queue,
      rejectLog: this.#rejectLog,
      log,
      observer: options.observer,
      hasFiles: options.hasFiles,
      logSamples: options.logSamples,
    })
    const inserter = new Inserter({
      client,
      table,
      rejectedTable: rejects,
      present: this.#present,
      effects: this.#settlement,
      unrecognizedMs: options.unrecognizedMs,
    })
    const { lingerMs, concurrency, memoryLimit } = options
    this.#outbox = new Outbox({
      sink: name,
      courier: {
        fullBytes: options.batchBytes,
        bytesOf: bytesOfPart,
        partOf: (pending) => ({ pending, start: 0, end: pending.batch.count, form: asRecord }),
        build: () => this.#build(),
        send: (rows) => inserter.insert(rows),
        judge: (rows, failure) => this.#judge(rows, failure),
        putBack: (rows) => this.#putBack(rows),
        batchesOf: (rows) => rows.map(({ pending }) => pending),
      },
      lingerMs,
      concurrency,
      memoryLimit,
      log,
    })
  }

  get waiting(): string | undefined {
    return this.#outbox.waiting
  }

  get heldBytes(): number {
    return this.#outbox.heldBytes
  }

  async start(relieved: () => void): Promise<void> {
    this.#outbox.relieved = relieved
    const { flushesEveryCommit } = await this.#client.detect()
    if (!flushesEveryCommit)
      this.#log.warn(
        { event: 'mysql_not_durable', address: this.#client.address },
        'MySQL does not flush every commit to its disk',
      )
    await installTables(this.#client, this.#options.table, this.#log)
  }

  async open(tp: TopicPartition): Promise<SinkPosition> {
    await this.close(tp)
    this.#outbox.open(tp)
    this.#present.opened(tp)
    return { next: undefined, origin: undefined, committed: undefined }
  }

  write(batch: RecordBatch): Promise<void> {
    return this.#outbox.write(batch)
  }

  flush(tps: readonly TopicPartition[]): Promise<void> {
    return this.#outbox.flush(tps)
  }

  async close(tp: TopicPartition): Promise<void> {
    if (this.#outbox.close(tp)) this.#present.closed(tp)
  }

  async stop(): Promise<void> {
    const idle = this.#outbox.stop()
    this.#rejectLog.flush()
    // Cuts what is in flight.
    await this.#client.close()
    await idle
  }

  pressure(tp: TopicPartition): number {
    return this.#outbox.pressure(tp)
  }

  #build(): readonly Row[] | undefined {
    const { maxPacketBytes } = this.#client.facts
    const { queue } = this.#outbox
    const { rows, tooLarge } = takeStatement(queue, this.#options.batchBytes, maxPacketBytes)
    for (const row of tooLarge) {
      const reason = `larger than the server accepts a statement: max_allowed_packet is ${maxPacketBytes} bytes`
      const reduction = reductionAfter(row, { reason, isTooLarge: true })
      if (reduction === undefined) this.#outbox.broken([row], new Error(reason))
      else this.#settlement.reduced(row, reduction)
    }
    return rows.length > 0 ? rows : undefined
  }

  #judge(rows: readonly Row[], failure: MysqlFailure | undefined): void {
    if (failure !== undefined && this.#outbox.stopping.aborted) return
    if (failure === undefined) this.#outbox.recovered()
    else {
      this.#options.observer?.happened(name, 'retry', failure.code, 1)
      const level = judge(failure.errno) === 'again' ? 'warn' : 'error'
      this.#outbox.failed(this.#settlement.words(failure), level)
    }
    this.#putBack(rows)
  }

  /** What is to be tried again. */
  #putBack(rows: readonly Row[]): void {
    const left = rows.filter(({ settled, pending }) => !settled && !pending.closed)
    this.#outbox.queue.pushFirst(partsOf(left))
  }
}
