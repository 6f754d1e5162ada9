import { type DocumentReader, mostOffsetsAtOnce } from '../elasticsearch/read/reader.ts'
import { CommitLog, hourOfFile, typeOf } from '../files/log/commit-log.ts'
import { damageOf } from '../files/log/damage.ts'
import type { Manifest, ManifestFile } from '../files/log/manifest.ts'
import { originOf } from '../files/log/path.ts'
import type { PrunedStores } from '../files/log/pruned.ts'
import { firstRecords, lastRecords } from '../files/read/edge-records.ts'
import { isGone, readBlocks } from '../files/read/members.ts'
import type { ReadableHome } from '../home/home.ts'
import type { KafkaPosition } from '../kafka/positions.ts'
import type { RowReader } from '../mysql/reader.ts'
import { type Identity, identify } from '../pipeline/recreated.ts'
import { LF } from '../record/ascii.ts'
import { LineHead } from '../record/line/head.ts'
import {
  type OffsetRange,
  rangeOf,
  type SourceRecord,
  type TopicPartition,
} from '../record/record.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { DocumentsCheck } from './documents.ts'
import { type CheckedLines, FilesCheck } from './files.ts'
import { OffsetBitmap } from './offset-bitmap.ts'
import { describeOffsets, type Problem, type ProblemKind, Problems } from './problems.ts'
import { readSoundNotes } from './prune-notes.ts'
import { RowsCheck } from './rows.ts'
import type { ComparedPart, MisplacedDocument, ScannedDocuments } from './scan.ts'
import type { StoreCheck } from './store-check.ts'
import { LineSums } from './sums.ts'

/**
 * `fast`: manifests, sizes and counts. `full`: every line and every offset. `deep`: every document
 * with its line as well.
 */
export type Thoroughness = 'fast' | 'full' | 'deep'

export interface PartitionCheckOptions {
  readonly home: ReadableHome
  readonly tp: TopicPartition
  readonly thoroughness: Thoroughness
  /** Undefined where Elasticsearch is not looked at. */
  readonly elasticsearch:
    | { readonly reader: DocumentReader; readonly indexPrefix: string }
    | undefined
  /** Undefined where MySQL is not looked at. */
  readonly mysql?: { readonly reader: RowReader; readonly table: string } | undefined
  /** Undefined where Kafka is not looked at, `absent` where it does not know the partition. */
  readonly kafka: KafkaPosition | 'absent' | undefined
  /**
   * Kafka's records from an offset on, as `RecordLookup` gives them; undefined if they are not
   * looked at.
   */
  readonly records?:
    | ((tp: TopicPartition, offset: number) => Promise<readonly SourceRecord[]>)
    | undefined
  /** The documents of this partition below `end`; for `deep`. */
  readonly scanned?: ScannedDocuments & { readonly end: number }
  readonly onProgress: (progress: { readonly position: number; readonly records: number }) => void
}

/** The verdict on one partition, as `--json` prints it. */
export interface Verdict extends TopicPartition {
  /** False also if there is nothing to prove: `manifests` is 0 then, and `problems` empty. */
  readonly proven: boolean
  /** Files hold `[origin, next)`. */
  readonly origin: number | undefined
  readonly next: number | undefined
  readonly manifests: number
  readonly files: number
  readonly bytes: number
  readonly records: number
  /** Records of which retention took the file. */
  readonly pruned_records: number
  /**
   * What retention took of the stores, as `pruned.json` says it; nobody can prove that it took no
   * more.
   */
  readonly pruned: PrunedStores
  /** Offsets without a record, by reason. */
  readonly gaps: Readonly<Record<string, number>>
  /**
   * The other stores were held to the files up to here; what lies beyond is not acknowledged yet.
   */
  readonly compared_until: number | undefined
  readonly documents: number | undefined
  readonly rejected: number | undefined
  readonly rows: number | undefined
  /** Rows without the value, or with a value that the server refuses as JSON. */
  readonly rows_rejected: number | undefined
  readonly committed: number | undefined
  readonly log_start: number | undefined
  readonly log_end: number | undefined
  readonly lag: number | undefined
  /**
   * Whether Kafka has the records that are archived, first and last; unknown if it has the last
   * ones no more.
   */
  readonly same_records: Identity['verdict'] | undefined
  readonly problem_counts: Readonly<Partial<Record<ProblemKind, number>>>
  readonly problems: readonly Problem[]
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

/**
 * Up to where, and from when, the documents of a partition are compared with its files. To be asked
 * before documents are read.
 */
export async function comparedPart(
  home: ReadableHome,
  tp: TopicPartition,
  kafka: KafkaPosition | 'absent' | undefined,
): Promise<ComparedPart> {
  const log = await CommitLog.open(home, tp)
  const next = await log.next().catch(() => log.entries.at(-1)?.from)
  const { sound: pruned } = await readSoundNotes(home, tp, next)
  const committed = kafka === undefined || kafka === 'absent' ? undefined : kafka.committed
  return {
    topic: tp.topic,
    partition: tp.partition,
    end: Math.min(next ?? 0, committed ?? Number.POSITIVE_INFINITY),
    since: prunedBefore(pruned),
  }
}

/** A store beside the files, and what was found in it. */
interface ComparedStore {
  readonly check: StoreCheck
  records: number
  /** The lines of its records below the end, added up; for `deep`. */
  readonly sums: (() => Promise<LineSums>) | undefined
}

class PartitionCheck {
  readonly #options: PartitionCheckOptions
  readonly #problems = new Problems()
  readonly #seen = new OffsetBitmap()
  /** What the other stores are held to; the same set unless something was pruned. */
  #held = this.#seen
  readonly #sums = new LineSums()
  readonly #gaps: Record<string, number> = {}
  #manifests = 0
  #files = 0
  #bytes = 0
  #records = 0
  #prunedRecords = 0
  /**
   * The other stores are compared up to here; the comparison of what comes next may be under way.
   */
  #compared = 0
  /** Records of manifests that are not compared yet, where only their number is known. */
  #uncompared = 0
  #comparing: Promise<void> = Promise.resolve()

  constructor(options: PartitionCheckOptions) {
    this.#options = options
  }

  async run(): Promise<Verdict> {
    const { home, tp, thoroughness, elasticsearch, mysql, kafka, scanned } = this.#options
    const position = kafka === undefined || kafka === 'absent' ? undefined : kafka
    const log = await CommitLog.open(home, tp)
    const last = log.entries.at(-1)?.from
    // A last manifest that cannot be read is told below; what is before it is proven all the same.
    const next = await log.next().catch(() => last)
    const { sound: pruned, problems } = await readSoundNotes(home, tp, next)
    for (const problem of problems) this.#problems.add(problem)
    const since = prunedBefore(pruned)
    if (since !== undefined) this.#held = new OffsetBitmap()
    const origin = log.origin ?? log.entries[0]?.from
    const end = scanned?.end ?? Math.min(next ?? 0, position?.committed ?? Number.POSITIVE_INFINITY)
    const common = { tp, problems: this.#problems, since }
    const documents: ComparedStore | undefined = elasticsearch && {
      check: new DocumentsCheck({ ...elasticsearch, ...common }),
      records: 0,
      sums: scanned && (async () => scanned.sums),
    }
    const rowsCheck = mysql && new RowsCheck({ ...mysql, ...common })
    const rows: ComparedStore | undefined = rowsCheck && {
      check: rowsCheck,
      records: 0,
      sums:
        thoroughness === 'deep'
          ? () => rowsCheck.sums({ from: origin ?? 0, next: end })
          : undefined,
    }
    const stores = [documents, rows].filter((store) => store !== undefined)
    const files = new FilesCheck({
      home,
      log,
      tp,
      problems: this.#problems,
      fast: thoroughness === 'fast',
      pruned: pruned.files,
      since,
      ...(stores.some(({ sums }) => sums !== undefined)
        ? { onLines: (lines) => this.#addUp(lines, end) }
        : {}),
      onSettled: async (settled) => {
        if (stores.length > 0 && thoroughness !== 'fast')
          await this.#compare(stores, settled, end, settled === next)
        this.#forget(settled, stores)
        this.#options.onProgress({ position: settled, records: this.#records })
      },
    })
    if (log.originError !== undefined) {
      this.#problems.add({ kind: 'manifest-invalid', message: log.originError.message })
    } else if (log.origin === undefined) {
      const path = originOf(tp)
      this.#problems.add({ kind: 'origin-missing', message: `${path} is gone`, path })
    }

    this.#compared = origin ?? 0
    let expected: number | undefined = log.origin
    for await (const manifest of log.manifests()) {
      if ('error' in manifest) {
        this.#problems.add({ kind: 'manifest-invalid', message: messageOf(manifest.error) })
        expected = undefined
        continue
      }
      // Committed since this began.
      if (next !== undefined && manifest.from >= next) break
      this.#checkChain(manifest, expected)
      expected = manifest.next
      const checked = await files.check(manifest, manifest.from === last, {
        seen: this.#seen,
        compared: this.#held,
      })
      this.#manifests++
      this.#files += checked.files
      this.#bytes += checked.bytes
      this.#records += checked.records
      this.#prunedRecords += checked.prunedRecords
      this.#countGaps(manifest)
      this.#uncompared += checked.comparedRecords
      if (manifest.isPart === true && thoroughness === 'fast') {
        // How many of its records were counted before is not known.
        this.#compared = manifest.next
        this.#uncompared = 0
      } else if (stores.length > 0 && thoroughness === 'fast') {
        await this.#compare(stores, manifest.next, end, manifest.next === next)
      }
    }
    await this.#comparing
    for (const document of scanned?.misplaced ?? []) this.#tellMisplaced(document)
    const known = kafka === 'absent' ? next : position?.end
    for (const store of stores) {
      await this.#compareContent(store, log, end)
      if (origin === undefined) continue
      await store.check.compareOutside(
        origin,
        known === undefined ? undefined : Math.max(known, end),
      )
    }
    this.#checkKafka(next)
    const identity = await this.#checkIdentity(position)
    const range = { from: origin ?? 0, next: end }
    const isEmpty = origin === undefined
    const rejected = isEmpty ? undefined : await elasticsearch?.reader.rejected(tp, range, since)
    const rowsRejected = isEmpty ? undefined : await mysql?.reader.rejected(tp, range, since)
    return {
      ...tp,
      proven: this.#problems.isEmpty && this.#manifests > 0,
      origin,
      next,
      manifests: this.#manifests,
      files: this.#files,
      bytes: this.#bytes,
      records: this.#records,
      pruned_records: this.#prunedRecords,
      pruned,
      gaps: this.#gaps,
      compared_until: stores.length === 0 ? undefined : end,
      documents: documents?.records,
      rejected,
      rows: rows?.records,
      rows_rejected: rowsRejected,
      committed: position?.committed,
      log_start: position?.start,
      log_end: position?.end,
      lag:
        position === undefined
          ? undefined
          : position.end - (position.committed ?? origin ?? position.start),
      same_records: identity?.verdict,
      problem_counts: Object.fromEntries(this.#problems.counts),
      problems: this.#problems.kept,
    }
  }

  /** The verdict on a partition whose commit log cannot be listed: nothing of it is proven. */
  unreadable(damage: ArchiverError): Verdict {
    const { tp, kafka } = this.#options
    const position = kafka === undefined || kafka === 'absent' ? undefined : kafka
    this.#problems.add({ kind: 'manifest-invalid', message: damage.message })
    return {
      ...tp,
      proven: false,
      origin: undefined,
      next: undefined,
      manifests: this.#manifests,
      files: this.#files,
      bytes: this.#bytes,
      records: this.#records,
      pruned_records: this.#prunedRecords,
      pruned: {},
      gaps: this.#gaps,
      compared_until: undefined,
      documents: undefined,
      rejected: undefined,
      rows: undefined,
      rows_rejected: undefined,
      committed: position?.committed,
      log_start: position?.start,
      log_end: position?.end,
      lag: undefined,
      same_records: undefined,
      problem_counts: Object.fromEntries(this.#problems.counts),
      problems: this.#problems.kept,
    }
  }

  #tellMisplaced({ offset, index, id }: MisplacedDocument): void {
    this.#problems.add({
      kind: 'document-misplaced',
      message: `${id} in ${index} is the record of offset ${offset}, which belongs under another id or into another index`,
      index,
      id,
      offsets: rangeOf(offset),
    })
  }

  #addUp({ text, offsets, starts }: CheckedLines, end: number): void {
    for (const [i, offset] of offsets.entries()) {
      if (offset >= end) return
      this.#sums.add(offset, text.subarray(starts[i]!, text.indexOf(LF, starts[i]!)))
    }
  }

  /** Finds the records that are not their lines, where the sums say that there are some. */
  async #compareContent(
    { check, sums }: ComparedStore,
    log: CommitLog,
    end: number,
  ): Promise<void> {
    if (sums === undefined) return
    for (const chunk of this.#sums.differing(await sums())) {
      await log.refresh()
      for (let position = chunk.from; position < chunk.next; ) {
        const manifest = await log.covering(position).catch(() => undefined)
        if (manifest === undefined) {
          position = log.entries.find(({ from }) => from > position)?.from ?? chunk.next
          continue
        }
        for (const file of manifest.files) {
          if (file.last < chunk.from || file.first >= chunk.next) continue
          await this.#compareFile(check, log, file, chunk, end)
        }
        position = manifest.next
      }
    }
  }

  async #compareFile(
    check: StoreCheck,
    log: CommitLog,
    file: ManifestFile,
    chunk: OffsetRange,
    end: number,
  ): Promise<void> {
    const head = new LineHead()
    try {
      for await (const text of readBlocks(this.#options.home, file.path)) {
        const offsets: number[] = []
        const starts: number[] = []
        for (let start = 0; start < text.length; start = text.indexOf(LF, start) + 1) {
          if (!head.read(text, start) || head.offset < chunk.from || head.offset >= chunk.next)
            continue
          offsets.push(head.offset)
          starts.push(start)
        }
        await check.compareContent(
          { type: typeOf(file), hour: hourOfFile(file), text, offsets, starts },
          end,
        )
      }
    } catch (error) {
      const replacement = isGone(error) ? await log.replacementOf(file) : undefined
      if (replacement !== undefined) return this.#compareFile(check, log, replacement, chunk, end)
      // A file that cannot be read, or was pruned meanwhile, was told of where it was read first.
      if (!(error instanceof ArchiverError) || error.code !== 'DAMAGED') throw error
    }
  }

  #checkChain(manifest: Manifest, expected: number | undefined): void {
    if (expected === undefined || manifest.from === expected) return
    const isHole = manifest.from > expected
    this.#problems.add({
      kind: isHole ? 'manifest-missing' : 'manifest-overlap',
      message: isHole
        ? `no manifest covers ${describeOffsets({ from: expected, next: manifest.from })}`
        : `the manifest at ${manifest.from} claims offsets below ${expected}, which the one before it has`,
      offsets: isHole
        ? { from: expected, next: manifest.from }
        : { from: manifest.from, next: expected },
    })
  }

  #countGaps({ gaps, from, next, records, omitted_gaps }: Manifest): void {
    let listed = 0
    for (const gap of gaps) {
      this.#gaps[gap.reason] = (this.#gaps[gap.reason] ?? 0) + gap.next - gap.from
      listed += gap.next - gap.from
    }
    if (omitted_gaps === undefined) return
    this.#gaps['not-delivered'] =
      (this.#gaps['not-delivered'] ?? 0) + next - from - records - listed
  }

  /**
   * Compares what has gathered since the last comparison, once it is worth a request; one
   * comparison at a time, beside the reading.
   */
  async #compare(
    stores: readonly ComparedStore[],
    next: number,
    end: number,
    isLast: boolean,
  ): Promise<void> {
    const from = this.#compared
    const to = Math.min(next, end)
    if (to <= from || (to - from < mostOffsetsAtOnce && !isLast && to !== end)) return
    this.#compared = to
    const records = this.#uncompared
    this.#uncompared = 0
    await this.#comparing
    const range = { from, next: to }
    // A range that ends inside a manifest cannot be counted by its records alone.
    if (this.#options.thoroughness === 'fast' && to !== next) return
    const isFast = this.#options.thoroughness === 'fast'
    const compared = stores.map(async (store) => {
      store.records += await (isFast
        ? store.check.compareNumber(range, records)
        : store.check.compare(range, this.#held))
    })
    this.#comparing = Promise.all(compared).then(() => this.#held.dropBelow(to))
    // Awaited before the next one; until then nobody else looks.
    this.#comparing.catch(() => {})
  }

  /** Offsets that neither the next manifest nor the next comparison asks for. */
  #forget(next: number, stores: readonly ComparedStore[]): void {
    if (this.#held !== this.#seen || stores.length === 0) this.#seen.dropBelow(next)
  }

  /**
   * Offsets and counts agree when a topic was deleted and made again, and has grown past the
   * archive. Its records do not. The first ones that Kafka still has are held to the archive as
   * well: a worker that was at work meanwhile, or whose group was given an offset, went on into the
   * new topic, and then the last ones agree.
   */
  async #checkIdentity(position: KafkaPosition | undefined): Promise<Identity | undefined> {
    const { home, tp, records } = this.#options
    if (position === undefined || records === undefined) return undefined
    const read = (offset: number) => records(tp, offset)
    const last = await lastRecords(home, tp)
    if (last.length === 0) return undefined
    let identity = await identify(last, position.start, read)
    if (identity.verdict === 'same') {
      const first = await firstRecords(home, tp, position.start)
      const before = await identify(first, position.start, read)
      if (before.verdict === 'different') identity = before
    }
    if (identity.verdict === 'different') {
      const { offset } = identity
      this.#problems.add({
        kind: 'topic-recreated',
        message: `Kafka's record at offset ${offset} is not the one that is archived`,
        offsets: rangeOf(offset),
      })
    }
    return identity
  }

  #checkKafka(next: number | undefined): void {
    const { kafka, tp } = this.#options
    if (kafka === undefined || kafka === 'absent') return
    const { committed, start, end } = kafka
    if (next === undefined) {
      if (end > start) {
        this.#problems.add({
          kind: 'not-archived',
          message: `Kafka has ${describeOffsets({ from: start, next: end })} of ${tp.topic}/${tp.partition}, the archive has nothing of it`,
          offsets: { from: start, next: end },
        })
      }
      return
    }
    if (committed !== undefined && committed > next) {
      this.#problems.add({
        kind: 'archive-behind-group',
        message: `the group has committed ${committed}, the files end at ${next}`,
        offsets: { from: next, next: committed },
      })
    }
    if (start > next) {
      this.#problems.add({
        kind: 'lost-before-archived',
        message: `the files end at ${next}, Kafka's log begins at ${start}`,
        offsets: { from: next, next: start },
      })
    }
    if (end < next) {
      this.#problems.add({
        kind: 'archive-ahead-of-log',
        message: `the files end at ${next}, Kafka's log at ${end}`,
        offsets: { from: end, next },
      })
    }
  }
}

/** Records of before this were taken from one of the stores, in ms. */
function prunedBefore({ files, elasticsearch, mysql }: PrunedStores): number | undefined {
  const befores = [files, elasticsearch, mysql].flatMap((pruned) =>
    pruned === undefined ? [] : [pruned.before],
  )
  return befores.length === 0 ? undefined : Math.max(...befores)
}

/** True if there is no manifest, and nothing that says that there should be one. */
export function isNothing({ manifests, problems }: Verdict): boolean {
  return manifests === 0 && problems.length === 0
}

/**
 * @throws ArchiverError `DAMAGED` if any verdict is not a proof, or if there is nothing to prove at
 * all
 */
export function throwUnlessProven(verdicts: readonly Verdict[], strays: number, values = 0): void {
  const failed = verdicts.filter((verdict) => !verdict.proven && !isNothing(verdict)).length
  if (failed === 0 && strays === 0 && values === 0) {
    if (verdicts.some(({ proven }) => proven)) return
    throw new ArchiverError(
      'DAMAGED',
      'nothing to prove: no partition has a manifest. Nothing is archived yet, or _manifests was removed',
    )
  }
  const what = [
    ...(failed === 0 ? [] : [`${failed} of ${verdicts.length} partitions`]),
    ...(strays === 0 ? [] : [`${strays} stray files`]),
    ...(values === 0 ? [] : [`the numbers of ${values} ${values === 1 ? 'field' : 'fields'}`]),
  ]
  throw new ArchiverError('DAMAGED', `not proven: ${what.join(', ')}; see above`)
}
