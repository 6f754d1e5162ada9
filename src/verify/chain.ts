import type { CommitLog } from '../files/log/commit-log.ts'
import { damageOf } from '../files/log/damage.ts'
import type { Manifest } from '../files/log/manifest.ts'
import { originOf } from '../files/log/path.ts'
import type { TopicPartition } from '../record/record.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import { describeOffsets, type Problem, type Problems } from './problems.ts'

/** Checks that manifests tile the range from the origin on, and counts their gaps. */
export class ChainCheck {
  readonly #tp: TopicPartition
  readonly #problems: Problems
  /** Where the next manifest must begin; undefined behind one that cannot be read. */
  #expected: number | undefined
  /** Offsets without a record, by reason. */
  readonly gaps: Record<string, number> = {}
  manifests = 0

  constructor(log: CommitLog, tp: TopicPartition, problems: Problems) {
    this.#tp = tp
    this.#problems = problems
    this.#expected = log.origin
    if (log.originError !== undefined) {
      problems.add({ kind: 'manifest-invalid', message: log.originError.message })
    } else if (log.origin === undefined) {
      const path = originOf(tp)
      problems.add({ kind: 'origin-missing', message: `${path} is gone`, path })
    }
  }

  /** A manifest that cannot be read: nothing says where the next one must begin. */
  damaged(error: unknown): void {
    this.#problems.add(problemOf(damageOf(this.#tp, error) ?? error))
    this.#expected = undefined
  }

  /** The next manifest, or a part of one. */
  add(manifest: Manifest): void {
    this.manifests++
    this.#countGaps(manifest)
    const expected = this.#expected
    this.#expected = manifest.next
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
      this.#count(gap.reason, gap.next - gap.from)
      listed += gap.next - gap.from
    }
    if (omitted_gaps !== undefined) this.#count('not-delivered', next - from - records - listed)
  }

  #count(reason: string, offsets: number): void {
    this.gaps[reason] = (this.gaps[reason] ?? 0) + offsets
  }
}

/** A manifest with wrong content, or a file that its user may not read, or that gives an error. */
export function problemOf(error: unknown): Problem {
  const isUnreadable = error instanceof ArchiverError && error.code !== 'MANIFEST_INVALID'
  return {
    kind: isUnreadable ? 'file-unreadable' : 'manifest-invalid',
    message: messageOf(error),
  }
}
