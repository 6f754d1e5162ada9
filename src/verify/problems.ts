import type { OffsetRange } from '../record/record.ts'

/** Every reason why a proof can fail, and what to do about it. `--json` prints the names. */
export const problemKinds = {
  'manifest-invalid':
    'A manifest cannot be read, or contradicts itself: restore it from a copy of the archive.',
  'manifest-missing':
    'The commit log has a hole, or does not begin at its origin: restore the manifest from a copy.',
  'manifest-overlap': 'Two manifests claim the same offsets: one of them does not belong here.',
  'prune-note-invalid':
    'pruned.json claims days that are not over, or offsets that were never committed: prune did not write it, so it explains nothing that is gone.',
  'origin-missing': 'origin.json is gone: nothing says where archiving began.',
  'file-missing':
    'A committed file is gone: restore it from a copy, or from Elasticsearch and Kafka.',
  'file-unpublished':
    'A committed file is still in staging, as after a crash: the next worker puts it in place.',
  'file-truncated': 'A file is shorter than when it was written.',
  'file-changed': 'A file is not the one that was written: its size or its sha256 differs.',
  'file-unreadable': 'A file or directory cannot be read, or a part of a file not decompressed.',
  'line-invalid':
    'A line does not belong into its file: another topic, partition, type, hour or order.',
  'line-missing': 'Records that no file holds and no gap explains.',
  'line-doubled': 'Records that the files hold more than once.',
  'stray-file': 'A file that no manifest names: a copy, or a leftover; move it out of the archive.',
  'document-missing':
    'Records that the files hold and Elasticsearch does not: restore --to elasticsearch sends them again.',
  'document-hidden':
    "Documents that no search finds by their position: their index was made without the archiver's templates. Delete the index, then restore --to elasticsearch.",
  'document-extra': 'Documents of records that the files do not hold.',
  'document-doubled': 'Records with more than one document.',
  'document-also-rejected':
    'Records in their index and in the rejected one: retry-rejected removes the reject.',
  'document-misplaced':
    'Documents under another _id, or in another index, than their records: they were copied or reindexed. Delete them, then restore --to elasticsearch.',
  'document-changed': 'Documents that are not, byte for byte, the lines of the files.',
  'value-differs':
    'Elasticsearch computes other numbers than the files hold, because of how the index maps the field: restore the day into a new index, see "Numbers" in docs/elasticsearch.md.',
  'row-missing':
    'Records that the files hold and MySQL does not: restore --to mysql sends them again.',
  'row-extra': 'Rows of records that the files do not hold.',
  'row-changed': 'Rows that do not hold, byte for byte, the lines of the files.',
  'row-collision':
    'Another record has the row of this position: the topic was recreated, or two archives share a table.',
  'archive-behind-group': 'The group has committed offsets that the files do not hold.',
  'archive-ahead-of-log':
    "The archive holds offsets that Kafka's log has not reached: the topic was recreated.",
  'topic-recreated':
    "Kafka's record at an archived offset is another one: the topic was recreated. Archive the new topic under another --archive-dir, --group and --index-prefix, or give it another name.",
  'lost-before-archived': 'Kafka removed records (retention) before they were archived.',
  'not-archived': 'Kafka has records of a partition, and the archive holds nothing of it.',
} as const

export type ProblemKind = keyof typeof problemKinds

/** One thing that is wrong, and the file, document or offsets that it concerns. */
export interface Problem {
  readonly kind: ProblemKind
  readonly message: string
  /** Relative to the archive. */
  readonly path?: string
  readonly index?: string
  readonly id?: string
  readonly offsets?: OffsetRange
}

/** What is wrong with one partition. All problems are counted; the first of each kind are kept. */
export class Problems {
  readonly #maxOfKind: number
  readonly #kept: Problem[] = []
  readonly #counts = new Map<ProblemKind, number>()

  constructor(maxOfKind = 20) {
    this.#maxOfKind = maxOfKind
  }

  add(problem: Problem): void {
    const count = (this.#counts.get(problem.kind) ?? 0) + 1
    this.#counts.set(problem.kind, count)
    if (count <= this.#maxOfKind) this.#kept.push({ ...problem, ...plainOffsets(problem) })
  }

  get kept(): readonly Problem[] {
    return this.#kept
  }

  /** How many there are of each kind, including those not kept. */
  get counts(): ReadonlyMap<ProblemKind, number> {
    return this.#counts
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0
  }
}

/** Without what a range may carry beside its offsets: `--json` prints them. */
function plainOffsets({ offsets }: Problem): Pick<Problem, 'offsets'> {
  return offsets === undefined ? {} : { offsets: { from: offsets.from, next: offsets.next } }
}

/** `offset 17`, `offsets 17 to 20`. */
export function describeOffsets({ from, next }: OffsetRange): string {
  return next - from === 1 ? `offset ${from}` : `offsets ${from} to ${next - 1}`
}
