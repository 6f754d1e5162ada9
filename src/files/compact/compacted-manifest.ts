import type { ReadableHome } from '../../home/home.ts'
import type { Gap, TopicPartition } from '../../record/record.ts'
import { newNonce } from '../log/chain.ts'
import { describeGaps, type Manifest, type ManifestFile } from '../log/manifest.ts'

/** What a compacted manifest says beside its partition, its writer and its time. */
export interface CompactedContent {
  readonly from: number
  readonly next: number
  readonly generation: number
  readonly committed: number | undefined
  readonly closed: boolean
  readonly unmerged: number
  readonly gaps: readonly Gap[]
  readonly omittedGaps: number
  readonly files: readonly ManifestFile[]
  readonly prev: string | undefined
  readonly head: string | undefined
}

/** The lists come last: a reader that needs only the range skips them. */
export function describeCompacted(
  { home, worker }: { readonly home: ReadableHome; readonly worker: string },
  { topic, partition }: TopicPartition,
  content: CompactedContent,
): Manifest {
  const { from, next, generation, committed, closed, unmerged, prev, head } = content
  const files = content.files.toSorted((a, b) => a.first - b.first)
  const { gaps, omitted_gaps = 0 } = describeGaps(content.gaps)
  const omitted = content.omittedGaps + omitted_gaps
  return {
    format: home.manifestFormat,
    topic,
    partition,
    from,
    next,
    generation,
    worker,
    written: new Date().toISOString(),
    // The check of each manifest that was read rejects one without a link.
    ...(home.manifestFormat === 1 ? {} : { nonce: newNonce(), prev: prev!, head: head! }),
    records: files.reduce((sum, { records }) => sum + records, 0),
    ...(committed === undefined ? {} : { committed }),
    ...(closed ? { closed } : {}),
    unmerged,
    ...(omitted === 0 ? {} : { omitted_gaps: omitted }),
    gaps,
    files,
  }
}
