import { hourOf } from '../../record/time.ts'
import { isSameType, nameOfType } from '../../record/type-name.ts'
import { list, number, object, optional } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { IndexNames } from '../index-name.ts'
import { lineOfRejected, type RejectedSource, typeOfRejected } from '../rejected.ts'
import { judgeItem, kindOf, rejectionOf } from '../sink/answer.ts'
import { documentId } from '../sink/part.ts'
import { numberTemplatesOfLine } from '../templates/number-templates.ts'
import { everywhere, type RejectHit, type RejectSelection, rejectPages } from './reject-pages.ts'
import { RetryClient } from './retry-client.ts'

/** What became of the rejects of one type that were refused for one thing. */
export interface RetryTally {
  readonly type: string
  readonly reason: string
  rejects: number
  /** They are in their index now, and no longer among the rejects. */
  stored: number
  /** They were there already: only the reject was removed. */
  present: number
  /** They are rejects as before; some perhaps in their index as well (`why` says so). */
  stay: number
  /** Why, of the last one that stays. */
  why?: string
}

const storedShape = object({
  docs: list(
    object({
      _source: optional(object({ kafka: optional(object({ timestamp: optional(number) })) })),
    }),
  ),
})

/** How a record came to be in its index. */
type Outcome = 'stored' | 'present'

/** A reject with the document that it becomes. */
interface Candidate {
  readonly hit: RejectHit
  readonly tally: RetryTally
  readonly index: string
  readonly id: string
  readonly line: Buffer
}

/** Reasons quote values: this many characters of each are shown. */
const maxReason = 300

/** Sends rejects again, once what refused them is mended, and removes those that went through. */
export class RejectRetry {
  readonly #client: RetryClient
  readonly #names: IndexNames
  readonly #signal: AbortSignal
  readonly #bulkBytes: number
  readonly #tallies = new Map<string, RetryTally>()

  constructor(
    client: Elasticsearch,
    options: { indexPrefix: string; bulkBytes: number; signal: AbortSignal },
  ) {
    this.#client = new RetryClient(client, options.signal)
    this.#names = new IndexNames(options.indexPrefix)
    this.#bulkBytes = options.bulkBytes
    this.#signal = options.signal
  }

  get tallies(): readonly RetryTally[] {
    return [...this.#tallies.values()].sort((a, b) =>
      a.type === b.type ? b.rejects - a.rejects : a.type < b.type ? -1 : 1,
    )
  }

  /**
   * Goes through the rejects in the order of Kafka. Whatever stops it, the next run does the rest.
   *
   * @throws ArchiverError `UNREACHABLE` if Elasticsearch does not answer for long, or refuses us
   */
  async run(
    selection: RejectSelection,
    options: { dryRun: boolean; onProgress?: (seen: number, total: number) => void },
  ): Promise<void> {
    const { dryRun, onProgress } = options
    const indices = this.#names.rejectedPattern
    await this.#client.ask([indices, '_refresh'], undefined, everywhere)
    this.#signal.throwIfAborted()
    let seen = 0
    const pages = rejectPages(this.#client, selection, { indices, hasText: !dryRun })
    for await (const { hits, total } of pages) {
      const chosen = hits.filter(
        ({ _source }) =>
          selection.types?.some((type) => isSameType(type, typeOfRejected(_source))) ?? true,
      )
      const candidates = chosen.flatMap((hit) => this.#candidate(hit, dryRun))
      for (const body of chunks(candidates, this.#bulkBytes)) await this.#retry(body)
      seen += hits.length
      onProgress?.(seen, total)
      this.#signal.throwIfAborted()
    }
  }

  #candidate(hit: RejectHit, dryRun: boolean): Candidate[] {
    const { _source: source } = hit
    const type = typeOfRejected(source)
    const tally = this.#tally(nameOfType(type), source)
    tally.rejects++
    if (dryRun) return []
    const line = lineOfRejected(source)
    const { offset, timestamp } = source.kafka
    const index = this.#names.of(type, hourOf(timestamp))
    const id = documentId(source.kafka, offset)
    if (line !== undefined) return [{ hit, tally, index, id, line }]
    tally.stay++
    tally.why = 'the reject does not hold the whole value; "archiver restore" has it in the files'
    return []
  }

  #tally(type: string, { error }: RejectedSource): RetryTally {
    const reason = kindOf(error)
    const key = JSON.stringify([type, reason])
    const tally = this.#tallies.get(key) ?? {
      type,
      reason,
      rejects: 0,
      stored: 0,
      present: 0,
      stay: 0,
    }
    this.#tallies.set(key, tally)
    return tally
  }

  /**
   * Creates the documents and removes the rejects of those that are there. `naming`: with the
   * dynamic templates that numbers need.
   */
  async #retry(candidates: readonly Candidate[], naming = true): Promise<void> {
    const stored: Candidate[] = []
    const conflicts: Candidate[] = []
    const withoutTemplates: Candidate[] = []
    const items = await this.#client.bulk(
      candidates.map((candidate) => [createAction(candidate, naming), candidate.line]),
    )
    candidates.forEach((candidate, i) => {
      const item = items === undefined ? { status: 201 } : items[i]!
      switch (judgeItem(item)) {
        case 'template':
          withoutTemplates.push(candidate)
          break
        case 'stored':
          stored.push(candidate)
          break
        case 'exists':
          conflicts.push(candidate)
          break
        default:
          stays(candidate, rejectionOf(item, maxReason).reason)
      }
    })
    if (stored.length > 0) await this.#removeRejects(stored, 'stored')
    const present = conflicts.length === 0 ? [] : await this.#presentOf(conflicts)
    if (present.length > 0) await this.#removeRejects(present, 'present')
    if (withoutTemplates.length > 0) await this.#retry(withoutTemplates, false)
  }

  async #removeRejects(candidates: readonly Candidate[], outcome: Outcome): Promise<void> {
    const items = await this.#client.bulk(
      candidates.map(
        ({ hit }) => [JSON.stringify({ delete: { _index: hit._index, _id: hit._id } })] as const,
      ),
    )
    candidates.forEach((candidate, i) => {
      const item = items?.[i]
      // Another run may have removed it.
      if (item === undefined || item.status < 300 || item.status === 404) candidate.tally[outcome]++
      else
        stays(
          candidate,
          `it is in its index, but the reject could not be removed: ${rejectionOf(item, maxReason).reason}`,
        )
    })
  }

  /** Those of documents that were there already that are the same record. */
  async #presentOf(conflicts: readonly Candidate[]): Promise<Candidate[]> {
    interface Docs {
      readonly docs: readonly {
        readonly _source?: { readonly kafka?: { readonly timestamp?: number } }
      }[]
    }
    const wanted = conflicts.map(({ index, id }) => ({
      _index: index,
      _id: id,
      _source: ['kafka.timestamp'],
    }))
    const { docs } = await this.#client.ask<Docs>(['_mget'], { docs: wanted }, {}, storedShape)
    return conflicts.filter((candidate, i) => {
      const found = docs[i]?._source?.kafka?.timestamp
      if (found === candidate.hit._source.kafka.timestamp) return true
      stays(candidate, `its index holds another record under its id, of Kafka timestamp ${found}`)
      return false
    })
  }
}

function createAction({ index, id, line }: Candidate, naming: boolean): string {
  const place = JSON.stringify({ create: { _index: index, _id: id } })
  const templates = naming ? numberTemplatesOfLine(line) : undefined
  return templates === undefined
    ? place
    : `${place.slice(0, -2)},"dynamic_templates":${templates}}}`
}

function stays({ tally }: Candidate, why: string): void {
  tally.stay++
  tally.why = why
}

/** Requests of at most `maxBytes`, unless one document is larger. */
function* chunks(
  candidates: readonly Candidate[],
  maxBytes: number,
): Iterable<readonly Candidate[]> {
  let chunk: Candidate[] = []
  let bytes = 0
  for (const candidate of candidates) {
    if (chunk.length > 0 && bytes + candidate.line.length > maxBytes) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(candidate)
    bytes += candidate.line.length
  }
  if (chunk.length > 0) yield chunk
}
