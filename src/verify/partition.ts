import type { DocumentReader } from '../elasticsearch/read/reader.ts'
import { damageOf } from '../files/log/damage.ts'
import type { PrunedStores } from '../files/log/pruned.ts'
import { expecting, ReadAhead } from '../files/read/read-ahead.ts'
import type { ReadableHome } from '../home/home.ts'
import type { KafkaPosition } from '../kafka/positions.ts'
import type { RowReader } from '../mysql/reader.ts'
import { rangeOf, type SourceRecord, type TopicPartition } from '../record/record.ts'
import type { ArchiverError } from '../runtime/errors.ts'
import { ChainCheck, problemOf } from './chain.ts'
import { ContentComparison } from './content.ts'
import { DocumentsCheck } from './documents.ts'
import { FilesCheck, filesInOrder } from './files.ts'
import type { HashedNames } from './hashed-names.ts'
import { checkIdentity, checkPosition } from './kafka-check.ts'
import type { ListedFiles } from './listed-files.ts'
import { OffsetBitmap } from './offset-bitmap.ts'
import { Problems } from './problems.ts'
import { RowsCheck } from './rows.ts'
import type { MisplacedDocument, ScannedDocuments } from './scan.ts'
import { knownPosition, type Scope, scopeOf } from './scope.ts'
import type { ComparedStore } from './store-check.ts'
import { StoreComparison } from './store-comparison.ts'
import type { Verdict } from './verdict.ts'

/**
 * `fast`: manifests, sizes and counts. `full`: every line and every offset. `deep`: every document
 * with its line as well.
 */
export type Thoroughness = 'fast' | 'full' | 'deep'

export interface PartitionCheckOptions {
  readonly home: ReadableHome
  readonly tp: TopicPartition
  readonly thoroughness: Thoroughness
  /** Gets the path of each file that a manifest names. */
  readonly named?: HashedNames | undefined
  /** One listing of the archive, not older than this check; undefined to look at each file. */
  readonly listed?: ListedFiles | undefined
  /** Undefined when Elasticsearch is not compared. */
  readonly elasticsearch:
    | { readonly reader: DocumentReader; readonly indexPrefix: string }
    | undefined
  /** Undefined when MySQL is not compared. */
  readonly mysql?: { readonly reader: RowReader; readonly table: string } | undefined
  /** Undefined when Kafka is not compared, `absent` when it does not know the partition. */
  readonly kafka: KafkaPosition | 'absent' | undefined
  /**
   * Kafka's records from an offset on, as `RecordLookup` gives them; undefined when they are not
   * compared.
   */
  readonly records?:
    | ((tp: TopicPartition, offset: number) => Promise<readonly SourceRecord[]>)
    | undefined
  /** The documents of this partition below `end`; for `deep`. */
  readonly scanned?: ScannedDocuments & { readonly end: number }
  readonly onProgress: (progress: { readonly position: number; readonly records: number }) => void
}

/**
 * Proves one topic-partition: its manifests tile the range from the origin on, its files hold what
 * they say, Elasticsearch holds the same offsets up to what the group has committed, and Kafka
 * agrees. Memory does not grow with the archive.
 *
 * Safe beside live workers: Kafka is asked first, then the commit log, then Elasticsearch, so each
 * knows at least what the one before knew.
 */
export async function checkPartition(options: PartitionCheckOptions): Promise<Verdict> {
  const check = new PartitionCheck(options)
  try {
    return await check.run()
  } catch (error) {
    const damage = damageOf(options.tp, error)
    if (damage === undefined) throw error
    return check.unreadable(damage)
  }
}

/** The stores beside the files; undefined for one that is not compared. */
interface Stores {
  readonly documents: ComparedStore | undefined
  readonly rows: ComparedStore | undefined
}

class PartitionCheck {
  readonly #options: PartitionCheckOptions
  readonly #position: KafkaPosition | undefined
  readonly #problems = new Problems()
  readonly #seen = new OffsetBitmap()
  #chain: ChainCheck | undefined
  #files = 0
  #byChecksum = 0
  #bytes = 0
  #records = 0
  #prunedRecords = 0

  constructor(options: PartitionCheckOptions) {
    this.#options = options
    this.#position = knownPosition(options.kafka)
  }

  async run(): Promise<Verdict> {
    const { home, tp, kafka, scanned } = this.#options
    const found = await scopeOf(home, tp, this.#position)
    const scope = scanned === undefined ? found : { ...found, end: scanned.end }
    for (const problem of scope.problems) this.#problems.add(problem)
    const stores = this.#storesOf(scope)
    const compared = Object.values(stores).filter((store) => store !== undefined)
    const content = new ContentComparison(home, scope.log, scope.end)
    await this.#checkManifests(scope, compared, content)
    for (const document of scanned?.misplaced ?? []) this.#reportMisplaced(document)
    const known = kafka === 'absent' ? scope.next : this.#position?.end
    for (const store of compared) {
      await content.compare(store)
      if (scope.origin === undefined) continue
      await store.check.compareOutside(
        scope.origin,
        known === undefined ? undefined : Math.max(known, scope.end),
      )
    }
    if (this.#position !== undefined) checkPosition(tp, this.#position, scope.next, this.#problems)
    return this.#verdict(scope.pruned, {
      origin: scope.origin,
      next: scope.next,
      compared_until: compared.length === 0 ? undefined : scope.end,
      lag: this.#lag(scope),
      same_records: await this.#sameRecords(),
      documents: stores.documents?.records,
      rows: stores.rows?.records,
      ...(await this.#countRejects(scope)),
    })
  }

  /** The verdict on a partition that cannot be read to its end: nothing of it is proven. */
  unreadable(damage: ArchiverError): Verdict {
    this.#problems.add(problemOf(damage))
    return { ...this.#verdict({}, {}), unreadable: true }
  }

  #storesOf({ since, origin, end }: Scope): Stores {
    const { tp, thoroughness, elasticsearch, mysql, scanned } = this.#options
    const common = { tp, problems: this.#problems, since }
    const rows = mysql && new RowsCheck({ ...mysql, ...common })
    const isDeep = thoroughness === 'deep'
    return {
      documents: elasticsearch && {
        check: new DocumentsCheck({ ...elasticsearch, ...common }),
        records: 0,
        sums: scanned && (async () => scanned.sums),
      },
      rows: rows && {
        check: rows,
        records: 0,
        sums: isDeep ? () => rows.sums({ from: origin ?? 0, next: end }) : undefined,
      },
    }
  }

  /** Checks all manifests with their files, and compares stores on the way. */
  async #checkManifests(
    scope: Scope,
    stores: readonly ComparedStore[],
    content: ContentComparison,
  ): Promise<void> {
    const { home, tp, thoroughness, listed, named, onProgress } = this.#options
    const { log, next, since } = scope
    const fast = thoroughness === 'fast'
    // Other stores must hold the same offsets, unless something was pruned.
    const held = since === undefined ? this.#seen : new OffsetBitmap()
    const comparison = new StoreComparison({
      stores,
      held,
      origin: scope.origin ?? 0,
      end: scope.end,
      byNumber: fast,
    })
    await using ahead = new ReadAhead(home)
    const files = new FilesCheck({
      home,
      files: ahead,
      log,
      tp,
      problems: this.#problems,
      listed,
      named,
      fast,
      pruned: scope.pruned.files,
      since,
      ...(stores.some(({ sums }) => sums !== undefined)
        ? { onLines: (lines) => content.add(lines) }
        : {}),
      onRead: async (read) => {
        if (!fast) await comparison.reached(read, read === next)
        // The comparison itself drops what it has compared.
        if (held !== this.#seen || stores.length === 0) this.#seen.dropBelow(read)
        onProgress({ position: read, records: this.#records })
      },
    })
    const chain = new ChainCheck(log, tp, this.#problems)
    this.#chain = chain
    const manifests = expecting(ahead, log.manifests(), (manifest) =>
      fast || 'error' in manifest ? [] : filesInOrder(manifest).map(({ path }) => path),
    )
    for await (const manifest of manifests) {
      if ('error' in manifest) {
        chain.damaged(manifest.error)
        continue
      }
      // It was committed since this check began.
      if (next !== undefined && manifest.from >= next) break
      chain.add(manifest)
      const isLast = manifest.from === scope.last
      const checked = await files.check(manifest, isLast, { seen: this.#seen, compared: held })
      this.#files += checked.files
      this.#byChecksum += checked.byChecksum
      this.#bytes += checked.bytes
      this.#records += checked.records
      this.#prunedRecords += checked.prunedRecords
      if (!fast) continue
      comparison.expect(checked.comparedRecords)
      // How many records of a part were counted before is not known.
      if (manifest.isPart === true) comparison.skipTo(manifest.next)
      else await comparison.reached(manifest.next, manifest.next === next)
    }
    await comparison.done()
  }

  #reportMisplaced({ offset, index, id }: MisplacedDocument): void {
    this.#problems.add({
      kind: 'document-misplaced',
      message: `${id} in ${index} is the record of offset ${offset}, which belongs under another id or into another index`,
      index,
      id,
      offsets: rangeOf(offset),
    })
  }

  async #sameRecords(): Promise<Verdict['same_records']> {
    const { home, tp, records } = this.#options
    if (this.#position === undefined || records === undefined) return undefined
    const read = (offset: number) => records(tp, offset)
    return (await checkIdentity(home, tp, this.#position.start, read, this.#problems))?.verdict
  }

  #lag({ origin }: Scope): number | undefined {
    if (this.#position === undefined) return undefined
    const { committed, start, end } = this.#position
    return end - (committed ?? origin ?? start)
  }

  async #countRejects({ origin, end, since }: Scope): Promise<Partial<Verdict>> {
    if (origin === undefined) return {}
    const { tp, elasticsearch, mysql } = this.#options
    const range = { from: origin, next: end }
    return {
      rejected: await elasticsearch?.reader.rejected(tp, range, since),
      rows_rejected: await mysql?.reader.rejected(tp, range, since),
    }
  }

  get #comparesChecksums(): boolean {
    return this.#options.thoroughness === 'fast' && this.#options.listed !== undefined
  }

  #verdict(pruned: PrunedStores, found: Partial<Verdict>): Verdict {
    const manifests = this.#chain?.manifests ?? 0
    return {
      ...this.#options.tp,
      proven: this.#problems.isEmpty && manifests > 0,
      unreadable: false,
      origin: found.origin,
      next: found.next,
      manifests,
      files: this.#files,
      files_by_checksum: this.#comparesChecksums ? this.#byChecksum : undefined,
      bytes: this.#bytes,
      records: this.#records,
      pruned_records: this.#prunedRecords,
      pruned,
      gaps: this.#chain?.gaps ?? {},
      compared_until: found.compared_until,
      documents: found.documents,
      rejected: found.rejected,
      rows: found.rows,
      rows_rejected: found.rows_rejected,
      committed: this.#position?.committed,
      log_start: this.#position?.start,
      log_end: this.#position?.end,
      lag: found.lag,
      same_records: found.same_records,
      problem_counts: Object.fromEntries(this.#problems.counts),
      problems: this.#problems.kept,
    }
  }
}
