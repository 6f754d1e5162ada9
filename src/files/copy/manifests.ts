import type { Home, Staged } from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import { wasMerged } from '../compact/plan.ts'
import { type ChainLink, newNonce } from '../log/chain.ts'
import type { Hashed, Manifest, ManifestFile, Origin } from '../log/manifest.ts'
import { compactionStaging, stagedName, stagingOf } from '../log/path.ts'

/** The log of a target says the same as that of the source, in the format of the target's home. */

type Format = Home['manifestFormat']

/** The origin for a target; its chain begins there. */
export function originFor(format: Format, { nonce: _, ...origin }: Origin): Origin {
  return { ...origin, format, ...(format === 1 ? {} : { nonce: newNonce() }) }
}

/** A manifest for a target, with its files as they are there. */
export function manifestFor(
  format: Format,
  { nonce: _, prev: _p, head: _h, gaps, files: _f, ...rest }: Manifest,
  files: readonly ManifestFile[],
  link: ChainLink | undefined,
): Manifest {
  // The lists come last: see `readCompactedHead`.
  return { ...rest, format, ...link, gaps, files }
}

/**
 * The link of a copied manifest in the target's own chain: other places of the files make other
 * bytes, so the hashes of the source do not hold there. The `head` of a compacted manifest stays
 * what it is at the source; one of format 1 has none, and its own hash commits to the same content.
 */
export function linkFor(
  format: Format,
  prev: string,
  { content, sha256 }: Hashed<Manifest>,
): ChainLink | undefined {
  if (format === 1) return undefined
  const link = { nonce: newNonce(), prev }
  return content.generation === undefined ? link : { ...link, head: content.head ?? sha256 }
}

/** The entry of a file without what only holds at its source. */
export function factsOf(file: ManifestFile): Omit<ManifestFile, keyof Staged | 'replaces'> {
  const {
    staged: _s,
    upload: _u,
    replaces: _r,
    ...facts
  } = file as ManifestFile & {
    readonly staged?: string
    readonly upload?: unknown
  }
  return facts
}

/** The entry of a file that is in place at the target. It keeps whether a merge has made it. */
export function entryInPlace(
  format: Format,
  tp: TopicPartition,
  { from, generation = 1 }: Manifest,
  file: ManifestFile,
  upload: { readonly id: string; readonly parts: readonly string[] } = copiedBefore,
): ManifestFile {
  const facts = factsOf(file)
  const isMerged = wasMerged(file)
  if (format === 2) return { ...facts, upload, ...(isMerged ? { replaces: [] } : {}) }
  const writer = isMerged ? compactionStaging({ from, generation }, 'copy') : 'copy'
  return { ...facts, staged: `${stagingOf(tp)}/${writer}/${stagedName(file.first)}` }
}

/** Its upload is completed, and nobody needs to know which one it was. */
const copiedBefore = { id: 'copied', parts: ['copied'] }
