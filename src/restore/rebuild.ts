import type { Elasticsearch } from '../elasticsearch/client/client.ts'
import { RequestFailure } from '../elasticsearch/client/failure.ts'
import { IndexNames } from '../elasticsearch/index-name.ts'
import { DocumentReader } from '../elasticsearch/read/reader.ts'
import { DayIndices, type DayState, readDay } from '../elasticsearch/rebuild/day-index.ts'
import { DayDocuments, type Document } from '../elasticsearch/rebuild/documents.ts'
import { Lease } from '../elasticsearch/rebuild/lease.ts'
import { documentId } from '../elasticsearch/sink/part.ts'
import { hourOfFile, typeOf } from '../files/log/commit-log.ts'
import { batchesOf, selectedFiles } from '../files/read/batches.ts'
import type { ReadableHome } from '../home/home.ts'
import {
  lineStart,
  type RecordBatch,
  type RecordType,
  type TopicPartition,
} from '../record/record.ts'
import { msPerDay, msPerHour } from '../record/time.ts'
import { ArchiverError } from '../runtime/errors.ts'
import { faultPoint } from '../runtime/fault.ts'

/** Bytes of one bulk request, and documents of one comparison. */
const bulkBytes = 5_000_000
const comparedAtOnce = 1000
/** Offsets of one question to the rejected index. */
const offsetsAtOnce = 10_000

export interface Rebuild {
  readonly home: ReadableHome
  readonly client: Elasticsearch
  readonly indexPrefix: string
  /** The types that share the index. */
  readonly types: readonly RecordType[]
  readonly partitions: readonly TopicPartition[]
  readonly signal: AbortSignal
  /** Only look. */
  readonly dryRun: boolean
  readonly progress: (line: string) => void
}

export interface DayOutcome {
  readonly name: string
  /**
   * - none: there is no index of that day.
   * - same: it is as the template says already.
   * - due: it would be rebuilt, but for `dryRun`.
   * - rebuilt: a new index has its place.
   */
  readonly is: 'none' | 'same' | 'due' | 'rebuilt'
  readonly documents: number
  /** Documents that came from the old index, as no file has them yet. */
  readonly late: number
}

/**
 * Makes the index of a day again, from the files, beside live workers. Everybody sees each record
 * once throughout:
 *
 * 1. The new index is filled under a name that no pattern of the archive matches. What the rejected
 *    index has stays a reject.
 * 2. It is compared with the files, byte for byte, and with the old index, id for id. Documents
 *    that no file has yet come from the old index.
 * 3. A write block makes workers wait with what is for that day; the last documents are taken over.
 * 4. One request deletes the old index and gives its name to the new one, as an alias. Workers
 *    continue with it.
 *
 * A rebuild that was killed continues: a repeated `create` finds its document there. A lease makes
 * sure that one process at a time rebuilds a day.
 *
 * @param day since 1970; it must be over
 * @throws ArchiverError `REJECTED` if the new mapping refuses a record; `DAMAGED` if the new index
 *   is not what the files hold; `BUSY` if another process rebuilds the day, or an index of it was
 *   deleted meanwhile; `UNREACHABLE`. Then the old index stays as it was.
 */
export async function rebuildDay(rebuild: Rebuild, day: number): Promise<DayOutcome> {
  const { client, indexPrefix, types, signal } = rebuild
  const names = new IndexNames(indexPrefix)
  const name = names.of(types[0]!, day * (msPerDay / msPerHour))
  const nothing = { name, documents: 0, late: 0 }
  const before = await readDay(client, names, name)
  const hasLeft = before.begun !== undefined || before.stale.length > 0
  if (rebuild.dryRun || (stateOf(before) !== 'due' && !hasLeft))
    return { ...nothing, is: stateOf(before) }
  const lease = await Lease.take(client, { index: names.leases, name, signal })
  try {
    const state = await readDay(client, names, name)
    if (stateOf(state) === 'due')
      return await new DayRebuild(rebuild, names, day, state, lease).run()
    await new DayIndices(client, state).cleanUp()
    return { ...nothing, is: stateOf(state) }
  } finally {
    await lease.release()
  }
}

function stateOf({ current, isDone }: DayState): 'none' | 'same' | 'due' {
  return current === undefined ? 'none' : isDone ? 'same' : 'due'
}

class DayRebuild {
  readonly #rebuild: Rebuild
  readonly #names: IndexNames
  readonly #day: number
  readonly #name: string
  readonly #old: string
  readonly #indices: DayIndices
  readonly #documents: DayDocuments
  readonly #reader: DocumentReader
  readonly #rejected: string
  readonly #lease: Lease
  #count = 0

  constructor(rebuild: Rebuild, names: IndexNames, day: number, state: DayState, lease: Lease) {
    const signal = AbortSignal.any([rebuild.signal, lease.lost])
    this.#rebuild = { ...rebuild, signal }
    this.#lease = lease
    this.#names = names
    this.#day = day
    this.#name = state.name
    this.#old = state.current!
    this.#indices = new DayIndices(rebuild.client, state)
    this.#documents = new DayDocuments(rebuild.client, signal)
    this.#reader = new DocumentReader(rebuild.client, rebuild.indexPrefix)
    this.#rejected = names.rejected(day * (msPerDay / msPerHour))
  }

  async run(): Promise<DayOutcome> {
    const target = await this.#indices.begin()
    try {
      return await this.#fill(target)
    } catch (error) {
      if (!this.#rebuild.signal.aborted) await this.#explain(target, error)
      throw error
    }
  }

  /** Whether somebody has deleted an index of the day, which explains whatever failed. */
  async #explain(target: string, error: unknown): Promise<void> {
    if (!isAnswered(error)) return
    if (!(await this.#lease.isHeld())) return
    const state = await readDay(this.#rebuild.client, this.#names, this.#name)
    if (state.current !== undefined) return await this.#indices.requireTarget(target)
    await new DayIndices(this.#rebuild.client, state).cleanUp()
    throw new ArchiverError(
      'BUSY',
      `${this.#name} was deleted meanwhile, and what was rebuilt of it as well`,
      { index: this.#name },
      error,
    )
  }

  async #fill(target: string): Promise<DayOutcome> {
    faultPoint('rebuild.created')
    await this.#indices.refresh(`${this.#rejected},${this.#name}`)
    await this.#requireRecordsOnly()
    await this.#eachBatch('copying', (documents) => this.#documents.create(target, documents))
    faultPoint('rebuild.copied')
    await this.#indices.refresh(target)
    await this.#prove(target)
    let late = await this.#takeOver(target)
    late += await this.#takeTheLast(target)
    return { name: this.#name, is: 'rebuilt', documents: this.#count, late }
  }

  /** Nothing that is in the old index may get lost with it. */
  async #requireRecordsOnly(): Promise<void> {
    const foreign = await this.#documents.foreign(this.#old)
    if (foreign === 0) return
    throw new ArchiverError(
      'DAMAGED',
      `${this.#name} holds ${foreign} documents that are no records of Kafka: move them, and rebuild again`,
      { index: this.#name },
    )
  }

  /** Holds the day back from workers for the last step; they wait, and lose nothing. */
  async #takeTheLast(target: string): Promise<number> {
    let isSwapped = false
    await this.#lease.confirm()
    await this.#indices.requireTarget(target)
    await this.#indices.mark(target)
    faultPoint('rebuild.marked')
    try {
      await this.#indices.block()
      faultPoint('rebuild.blocked')
      const late = await this.#takeOver(target)
      await this.#requireRecordsOnly()
      await this.#leaveRejects(target)
      await this.#requireWhole(target)
      faultPoint('rebuild.caught-up')
      await this.#lease.confirm()
      await this.#indices.requireTarget(target)
      await this.#indices.requireBlocked()
      this.#rebuild.signal.throwIfAborted()
      await this.#indices.swap(target)
      isSwapped = true
      faultPoint('rebuild.swapped')
      return late
    } finally {
      if (!isSwapped && (await this.#lease.isHeld())) await this.#indices.giveUp(target)
    }
  }

  /** Copies what the old index has and the new one has not. @returns how many documents */
  async #takeOver(target: string): Promise<number> {
    let late = 0
    await this.#indices.refresh(this.#old)
    for await (const { offsets, ...tp } of this.#documents.compare(this.#old, target, 'missing')) {
      for await (const documents of this.#documents.read(this.#old, tp, offsets)) {
        await this.#documents.create(target, documents)
        late += documents.length
        this.#progress(`taking over ${late} documents`)
      }
    }
    await this.#indices.refresh(target)
    return late
  }

  /** A record that became a reject meanwhile stays one: else it would be found twice. */
  async #leaveRejects(target: string): Promise<void> {
    await this.#indices.refresh(`${this.#rejected},${this.#name}`)
    for await (const { offsets, ...tp } of this.#documents.compare(
      target,
      this.#rejected,
      'shared',
    )) {
      const inOld = await this.#reader.held(tp, offsets, this.#old)
      await this.#documents.remove(
        target,
        tp,
        offsets.filter((offset) => !inOld.has(offset)),
      )
    }
    await this.#indices.refresh(target)
  }

  /** @throws ArchiverError `DAMAGED` if the old index has a document that the new one has not */
  async #requireWhole(target: string): Promise<void> {
    for await (const { offsets, topic, partition } of this.#documents.compare(
      this.#old,
      target,
      'missing',
    ))
      throw new ArchiverError(
        'DAMAGED',
        `the new index of ${this.#name} lacks ${offsets.length} documents, the first is ${documentId({ topic, partition }, offsets[0]!)}; the old index stays`,
        { index: this.#name },
      )
  }

  /** @throws ArchiverError `DAMAGED` if a line of the files is not in the new index as it is */
  async #prove(target: string): Promise<void> {
    await this.#eachBatch('comparing', async (documents) => {
      for (let start = 0; start < documents.length; start += comparedAtOnce) {
        const some = documents.slice(start, start + comparedAtOnce)
        if ((await this.#documents.different(target, some)) === undefined) continue
        // A flush may have brought some of them since the files were copied.
        await this.#documents.create(target, some)
        await this.#indices.refresh(target)
        const id = await this.#documents.different(target, some)
        if (id === undefined) continue
        throw new ArchiverError(
          'DAMAGED',
          `the new index of ${this.#name} has not the line of the files for ${id}; the old index stays`,
          { index: this.#name, id },
        )
      }
    })
  }

  /** The records of the files that belong into the index and are no rejects, some at a time. */
  async #eachBatch(
    step: string,
    use: (documents: readonly Document[]) => Promise<void>,
  ): Promise<void> {
    const { home, types, partitions, signal } = this.#rebuild
    const from = this.#day * msPerDay
    const selection = { types, from, to: from + msPerDay }
    this.#count = 0
    for (const tp of partitions) {
      for await (const { log, files } of selectedFiles(home, tp, selection)) {
        for (const file of files) {
          const indices = this.#names.every(typeOf(file), hourOfFile(file))
          if (!indices.includes(this.#name)) continue
          for await (const batch of batchesOf(home, log, file, selection)) {
            signal.throwIfAborted()
            for (const documents of inRequests(await this.#withoutRejects(tp, batch))) {
              await use(documents)
              this.#count += documents.length
            }
            this.#progress(`${step} ${this.#count} records`)
          }
        }
      }
    }
  }

  async #withoutRejects(tp: TopicPartition, batch: RecordBatch): Promise<Document[]> {
    const rejected = new Set<number>()
    const offsets = [...batch.offsets]
    for (let start = 0; start < offsets.length; start += offsetsAtOnce) {
      const some = offsets.slice(start, start + offsetsAtOnce)
      for (const offset of await this.#reader.held(tp, some, this.#rejected)) rejected.add(offset)
    }
    return offsets.flatMap((offset, i) =>
      rejected.has(offset)
        ? []
        : [
            {
              id: documentId(tp, offset),
              line: batch.lines.subarray(lineStart(batch, i), batch.ends[i]! - 1),
            },
          ],
    )
  }

  #progress(line: string): void {
    this.#rebuild.progress(`${this.#name}: ${line}`)
  }
}

/** False if Elasticsearch did not answer at all. */
function isAnswered(error: unknown): boolean {
  const cause = error instanceof ArchiverError ? error.cause : error
  return !(cause instanceof RequestFailure && cause.status === undefined)
}

/** Documents in the order given, as many at a time as a request takes. */
function* inRequests(documents: readonly Document[]): Generator<readonly Document[]> {
  let some: Document[] = []
  let bytes = 0
  for (const document of documents) {
    if (bytes + document.line.length > bulkBytes && some.length > 0) {
      yield some
      some = []
      bytes = 0
    }
    some.push(document)
    bytes += document.line.length
  }
  if (some.length > 0) yield some
}
