import type { PrunedStores } from '../files/log/pruned.ts'
import type { Identity } from '../pipeline/recreated.ts'
import type { TopicPartition } from '../record/record.ts'
import { ArchiverError } from '../runtime/errors.ts'
import type { Problem, ProblemKind } from './problems.ts'

/** The verdict on one partition, as `--json` prints it. */
export interface Verdict extends TopicPartition {
  /** False also if there is nothing to prove: then `manifests` is 0 and `problems` is empty. */
  readonly proven: boolean
  /** Reading stopped at a file or directory that cannot be read; the rest is not checked. */
  readonly unreadable: boolean
  /** Files hold `[origin, next)`. */
  readonly origin: number | undefined
  readonly next: number | undefined
  readonly manifests: number
  readonly files: number
  /** Those whose checksum in the store is that of their parts; undefined if the files were
   * read, or looked at one by one. */
  readonly files_by_checksum: number | undefined
  readonly bytes: number
  readonly records: number
  /** Records whose file retention took. */
  readonly pruned_records: number
  /**
   * What retention took from the stores, as `pruned.json` says. Nothing can prove that it took no
   * more.
   */
  readonly pruned: PrunedStores
  /** Offsets without a record, by reason. */
  readonly gaps: Readonly<Record<string, number>>
  /** The other stores were compared up to here; what lies beyond is not acknowledged yet. */
  readonly compared_until: number | undefined
  readonly documents: number | undefined
  readonly rejected: number | undefined
  readonly rows: number | undefined
  /** Rows without the value, or with a value that the server rejects as JSON. */
  readonly rows_rejected: number | undefined
  readonly committed: number | undefined
  readonly log_start: number | undefined
  readonly log_end: number | undefined
  readonly lag: number | undefined
  /**
   * Whether Kafka has the records that are archived, first and last; `unknown` when it no longer
   * has the last ones.
   */
  readonly same_records: Identity['verdict'] | undefined
  readonly problem_counts: Readonly<Partial<Record<ProblemKind, number>>>
  readonly problems: readonly Problem[]
}

/** True if there is no manifest, and nothing says that there should be one. */
export function isNothing({ manifests, problems }: Verdict): boolean {
  return manifests === 0 && problems.length === 0
}

/**
 * @throws ArchiverError `DAMAGED` if any verdict is not a proof, or if there is nothing to prove at
 *   all.
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
