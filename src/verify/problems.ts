import type { OffsetRange } from '../record/record.ts'

/**
 * Everything that a proof can fail of, and what a person does about it. The names are what `--json`
 * gives.
 */
export const problemKinds = {
  'manifest-invalid':
    'A manifest cannot be read, or names what does not follow from it: restore it from a copy of the archive.',
  'manifest-missing':
    'The commit log has a hole, or does not begin at its origin: restore the manifest from a copy.',
  'manifest-overlap': 'Two manifests claim the same offsets: one of them does not belong here.',
  'prune-note-invalid':
    'pruned.json claims days that are not over, or offsets that nobody committed: it was not written by prune, and explains nothing that is gone.',
  'origin-missing': 'origin.json is gone: where archiving began is not known.',
  'file-missing':
    'A committed file is gone: restore it from a copy, or from Elasticsearch and Kafka.',
  'file-unpublished':
    'A committed file still lies in staging, as after a crash: the next worker puts it in place.',
  'file-truncated': 'A file is shorter than it was written.',
  'file-changed': 'A file is not the one that was written: its size or its sha256 differs.',
  'file-unreadable': 'A part of a file cannot be decompressed.',
  'line-invalid': 'A line is not one of this file: another topic, partition, type, hour or order.',
  'line-missing': 'Records that no file holds and no gap explains.',
  'line-doubled': 'Records that the files hold more than once.',
  'stray-file': 'A file that no manifest names: a copy, or a leftover; move it out of the archive.',
  'document-missing':
    'Records that the files hold and Elasticsearch does not: restore --to elasticsearch sends them again.',
  'document-extra': 'Documents of records that the files do not hold.',
  'document-doubled': 'Records with more than one document.',
  'document-also-rejected':
    'Records in their index and in the rejected one: retry-rejected removes the reject.',
  'document-misplaced':
    'Documents under another _id, or in another index, than their records have: somebody copied or reindexed them. Delete them, then restore --to elasticsearch.',
  'document-changed': 'Documents that are not, byte for byte, the lines of the files.',
  'value-differs':
    'Elasticsearch computes other numbers than the files hold, because of how the index maps the field: restore the day into a new index, see "Numbers" in docs/elasticsearch.md.',
  'row-missing':
    'Records that the files hold and MySQL does not: restore --to mysql sends them again.',
  'row-extra': 'Rows of records that the files do not hold.',
  'row-changed': 'Rows that do not hold, byte for byte, the lines of the files.',
  'row-collision':
    'Another record has the row of this position: the topic was made anew, or two archives share a table.',
  'archive-behind-group': 'The group has committed offsets that the files do not hold.',
  'archive-ahead-of-log':
    "The archive holds offsets that Kafka's log has not reached: the topic was made anew.",
  'topic-recreated':
    "Kafka's record at an archived offset is another one: the topic was deleted and made again. Archive the new one under another --archive-dir, --group and --index-prefix, or give it another name.",
  'lost-before-archived': 'Kafka removed records (retention) before they were archived.',
  'not-archived': 'Kafka has records of a partition of which the archive holds nothing.',
} as const

export type ProblemKind = keyof typeof problemKinds

/** One thing that is wrong, with the name of what it is wrong with. */
export interface Problem {
  readonly kind: ProblemKind
  readonly message: string
  /** Relative to the archive. */
  readonly path?: string
  readonly index?: string
  readonly id?: string
  /** The offsets it is about. */
  readonly offsets?: OffsetRange
}

/** What is wrong with one partition. All are counted; of each kind only the first are kept. */
export class Problems {
  readonly #mostOfKind: number
  readonly #kept: Problem[] = []
  readonly #counts = new Map<ProblemKind, number>()

  constructor(mostOfKind = 20) {
    this.#mostOfKind = mostOfKind
  }

  add(problem: Problem): void {
    const count = (this.#counts.get(problem.kind) ?? 0) + 1
    this.#counts.set(problem.kind, count)
    if (count <= this.#mostOfKind) this.#kept.push(problem)
  }

  get kept(): readonly Problem[] {
    return this.#kept
  }

  /** How many there are of each kind, also of those not kept. */
  get counts(): ReadonlyMap<ProblemKind, number> {
    return this.#counts
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0
  }
}

/** `offset 17`, `offsets 17 to 20`. */
export function describeOffsets({ from, next }: OffsetRange): string {
  return next - from === 1 ? `offset ${from}` : `offsets ${from} to ${next - 1}`
}
