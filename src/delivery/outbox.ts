import PQueue from 'p-queue'
import type { RecordBatch, TopicPartition } from '../record/record.ts'
import type { Logger } from '../runtime/log.ts'
import { Gate } from './gate.ts'
import { type Part, PartQueue } from './part-queue.ts'
import { type PendingBatch, PendingBatches } from './pending.ts'

/** What a sink knows of its server. When and how much is sent is the outbox's business. */
export interface Courier<P extends Part, R, A> {
  /** Bytes of waiting parts that make a full request. May change at any time. */
  readonly fullBytes: number
  /** What a part takes in a request, roughly. */
  bytesOf(part: P): number
  /** The part for all records of a batch. */
  partOf(pending: PendingBatch): P
  /** Makes the next request of the queue; undefined if nothing that comes up is to be sent now. */
  build(queue: PartQueue<P>): R | undefined
  /** Sends a request. What may fail for a while is an answer; what it throws is a bug. */
  send(request: R): Promise<A>
  /** Acts on the answer: what has to be sent again is back in the queue when this settles. */
  judge(request: R, answer: A): void | Promise<void>
  /** Puts the parts of a request back that was not sent. */
  putBack(request: R): void
  /** Whose records a request has. */
  batchesOf(request: R): Iterable<PendingBatch>
}

/**
 * - calm: parts may wait for others to fill a request.
 * - lingering: parts wait; after the timer they are sent as they are.
 * - urgent: somebody waits for all that is queued, so no part waits until the queue is empty.
 */
type Patience =
  | { readonly is: 'calm' }
  | { readonly is: 'lingering'; readonly timer: NodeJS.Timeout }
  | { readonly is: 'urgent' }

const calm: Patience = { is: 'calm' }
const urgent: Patience = { is: 'urgent' }

/**
 * The delivery engine of a sink that sends to a server: takes batches, makes requests of them,
 * keeps a number of them in flight, waits for more to fill one, and holds all of them back while
 * the server does not take any. Nothing is dropped: a part is queued, in flight, or put aside by
 * the courier, until its records are acknowledged or their partition is given up.
 */
export class Outbox<P extends Part, R, A> {
  readonly queue: PartQueue<P>
  readonly #sink: string
  readonly #log: Logger
  readonly #courier: Courier<P, R, A>
  readonly #lingerMs: number
  readonly #pending: PendingBatches
  readonly #sending: PQueue
  readonly #gate = new Gate()
  readonly #stopping = new AbortController()
  readonly #now: () => number
  #patience: Patience = calm
  #gateTimer: NodeJS.Timeout | undefined

  constructor(options: {
    /** As `Sink.name`. */
    readonly sink: string
    readonly courier: Courier<P, R, A>
    /** How long a part may wait for others to fill a request, in ms. */
    readonly lingerMs: number
    /** Requests in flight. */
    readonly concurrency: number
    /** Bytes of records in memory at which partitions are paused. */
    readonly memoryLimit: number
    readonly log: Logger
    /** Ms of a clock that never goes back. */
    readonly now?: () => number
  }) {
    this.#sink = options.sink
    this.#log = options.log
    this.#now = options.now ?? (() => performance.now())
    this.#courier = options.courier
    this.#lingerMs = options.lingerMs
    this.#pending = new PendingBatches(options.memoryLimit)
    this.#sending = new PQueue({ concurrency: options.concurrency })
    this.queue = new PartQueue((part) => options.courier.bytesOf(part))
  }

  /** Aborted when the sink stops. */
  get stopping(): AbortSignal {
    return this.#stopping.signal
  }

  /** Why the server does not take requests, for people. */
  get waiting(): string | undefined {
    return this.#gate.reason
  }

  /** How long requests have to wait, in ms; 0 if they may go. */
  get waitMs(): number {
    return this.#gate.waitMs(this.#now())
  }

  get heldBytes(): number {
    return this.#pending.heldBytes
  }

  /** How many requests are in flight at most. */
  set concurrency(requests: number) {
    this.#sending.concurrency = requests
  }

  /** Called whenever there is more room. */
  set relieved(relieved: () => void) {
    this.#pending.relieved = relieved
  }

  open(tp: TopicPartition): void {
    this.#pending.open(tp)
  }

  /** As `Sink.write`. */
  write(batch: RecordBatch): Promise<void> {
    if (batch.count === 0) return Promise.resolve()
    const pending = this.#pending.add(batch)
    // The partition was given up: nobody waits for its records any more.
    if (pending === undefined) return new Promise(() => {})
    this.queue.push(this.#courier.partOf(pending))
    this.pump()
    return pending.written
  }

  /** As `Sink.flush`. */
  async flush(tps: readonly TopicPartition[]): Promise<void> {
    const waited = this.#pending.of(tps)
    if (waited.length === 0) return
    this.#become(urgent)
    this.pump()
    await Promise.all(waited.map(({ done }) => done))
  }

  /** Gives a partition up. @returns false if it was not open */
  close(tp: TopicPartition): boolean {
    if (!this.#pending.close(tp)) return false
    this.queue.dropClosed()
    return true
  }

  /** Sends nothing any more. Settles when nothing is in flight. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#become(calm)
    clearTimeout(this.#gateTimer)
    this.#sending.clear()
    await this.#sending.onIdle()
  }

  /** As `Sink.pressure`. */
  pressure(tp: TopicPartition): number {
    return this.#pending.pressure(tp)
  }

  /** Makes requests of what waits, as many as may be in flight. */
  pump(): void {
    if (this.#stopping.signal.aborted || this.#isClosed()) return
    while (this.#sending.pending + this.#sending.size < this.#sending.concurrency) {
      if (this.queue.isEmpty) {
        this.#become(calm)
        return
      }
      if (this.queue.bytes < this.#courier.fullBytes && this.#patience.is !== 'urgent') {
        this.#linger()
        return
      }
      const request = this.#courier.build(this.queue)
      if (request !== undefined) this.start(request)
    }
  }

  /** Sends a request that was built out of turn, after those that are in flight. */
  start(request: R): void {
    void this.#sending
      .add(() => this.#deliver(request))
      .catch((error: unknown) => this.broken(request, error))
      .finally(() => this.pump())
  }

  /**
   * Nothing is wrong with the records: all requests wait. `level`: `error` if somebody must mend
   * something.
   * @returns false if they wait already, for a request that failed before
   */
  failed(reason: string, level: 'warn' | 'error'): boolean {
    const closing = this.#gate.close(reason, this.#now())
    if (closing === undefined) return false
    const { retryMs, tries, isNews } = closing
    if (isNews)
      this.#log[level](
        { event: 'sink_waiting', sink: this.#sink, reason, retry_ms: retryMs, tries },
        'sink takes no records, retrying',
      )
    return true
  }

  /** The server wants some records of a request later: all requests wait. @returns as `failed` */
  pause(): boolean {
    return this.#gate.pause(this.#now()) !== undefined
  }

  /** The server takes records. */
  recovered(): void {
    const past = this.#gate.open(this.#now())
    if (past === undefined) return
    const seconds = Math.round(past.ms / 100) / 10
    this.#log.info(
      { event: 'sink_recovered', sink: this.#sink, seconds, tries: past.failures },
      'sink takes records again',
    )
  }

  /** A request met what must not happen: whoever wrote its records reads them again. */
  broken(request: R, error: unknown): void {
    this.#log.error(
      { event: 'delivery_bug', sink: this.#sink, err: error },
      'bug: a request failed unexpectedly',
    )
    for (const pending of this.#courier.batchesOf(request)) pending.fail(error)
  }

  async #deliver(request: R): Promise<void> {
    if (this.#isClosed()) this.#courier.putBack(request)
    else await this.#courier.judge(request, await this.#courier.send(request))
  }

  #linger(): void {
    if (this.#patience.is !== 'calm') return
    const timer = setTimeout(() => {
      this.#become(urgent)
      this.pump()
    }, this.#lingerMs)
    this.#become({ is: 'lingering', timer })
  }

  #become(patience: Patience): void {
    if (this.#patience.is === 'lingering') clearTimeout(this.#patience.timer)
    this.#patience = patience
  }

  #isClosed(): boolean {
    const { waitMs } = this
    if (waitMs === 0) return false
    this.#gateTimer ??= setTimeout(() => {
      this.#gateTimer = undefined
      this.pump()
    }, waitMs)
    return true
  }
}
