import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path/posix'
import type { TopicPartition } from '../../record/record.ts'
import { inLanes } from '../../runtime/lanes.ts'
import type { Logger } from '../../runtime/log.ts'
import { completeCompaction } from '../compact/completion.ts'
import { listLog } from '../log/log-listing.ts'
import {
  type Hashed,
  type Manifest,
  type ManifestFile,
  manifestPieces,
  readManifest,
} from '../log/manifest.ts'
import { compactedName, compactionStaging, manifestDirectory, stagingOf } from '../log/path.ts'
import { isPruned, type Pruned } from '../log/pruned.ts'
import type { EarlyFiles } from './early-files.ts'
import { type FilesContext, isDone, stage } from './files.ts'
import { entryInPlace, linkFor, manifestFor } from './manifests.ts'

/** The target's log is no prefix of the source's; the message goes on behind `its log`. */
export class Apart extends Error {}

interface ReplaceContext extends FilesContext {
  readonly log: Logger
}

/** A partition, and how much of it the target has. */
interface Copied {
  readonly tp: TopicPartition
  readonly position: number
  readonly pruned: Pruned | undefined
  readonly early: EarlyFiles
}

/** What the target has of the range of a manifest. */
interface Present {
  readonly files: ReadonlyMap<string, ManifestFile>
  readonly prev: string | undefined
  /** The highest at this offset; 0 for none. */
  readonly generation: number
}

/**
 * Makes a compacted manifest of the source that begins below the target's position one of the
 * target: a compaction that has read its merged files elsewhere. The target's files that they hold
 * are removed once the manifest is there, as after any compaction.
 *
 * @returns what the next manifest has as `prev`.
 * @throws Apart, Unlike.
 */
export async function replaceWith(
  context: ReplaceContext,
  { tp, position, pruned, early }: Copied,
  read: Hashed<Manifest>,
): Promise<string | undefined> {
  const { target, onFile } = context
  const { content: manifest } = read
  const { from } = manifest
  const present = await presentIn(context, tp, from, position)
  const name = { from, generation: Math.max(manifest.generation ?? 1, present.generation + 1) }
  const unique = `copy-${randomBytes(4).toString('hex')}`
  const staging = await target.stage(`${stagingOf(tp)}/${compactionStaging(name, unique)}`)
  let isCreated = false
  try {
    const entries = new Map<string, ManifestFile>()
    await inLanes(manifest.files, async (file) => {
      const isKept = present.files.has(file.path)
      if (isKept || (await isDone(context, { pruned, early }, file))) {
        const entry = entryInPlace(target.manifestFormat, tp, manifest, file)
        entries.set(file.path, isKept ? entry : { ...entry, replaces: heldBy(file, present) })
        return
      }
      await onFile(async () => {
        const entry = await stage(context, { tp, staging }, file)
        entries.set(file.path, { ...entry, replaces: heldBy(file, present) })
      })
    })
    const files = manifest.files.map(({ path }) => entries.get(path)!)
    requireHeld(files, present, pruned)
    await staging.sync(files.map(({ path }) => path))
    const link = linkFor(target.manifestFormat, present.prev ?? '', read)
    const content = manifestFor(
      target.manifestFormat,
      { ...manifest, generation: name.generation },
      files,
      link,
    )
    const path = `${manifestDirectory(tp)}/${compactedName(name)}`
    if (!(await staging.create(path, manifestPieces(content), 'compaction')))
      throw new Apart(`got a manifest at offset ${from} from somebody else`)
    isCreated = true
    await completeCompaction({ home: target, log: context.log }, tp)
    return link?.head
  } finally {
    if (!isCreated) await staging.remove()
  }
}

async function presentIn(
  { target }: ReplaceContext,
  tp: TopicPartition,
  from: number,
  position: number,
): Promise<Present> {
  const { entries } = await listLog(target, tp)
  const within = entries.filter((entry) => from <= entry.from && entry.from < position)
  const files = new Map<string, ManifestFile>()
  let prev: string | undefined
  await inLanes(within, async (entry) => {
    const manifest = await readManifest(target, tp, entry.from, entry.compacted?.generation)
    if (manifest === undefined) throw new Apart(`changed at offset ${entry.from} meanwhile`)
    if (entry.from === from) prev = manifest.prev
    for (const file of manifest.files) files.set(file.path, file)
  })
  if (within[0]?.from !== from)
    throw new Apart(`has no manifest at offset ${from}, where one of the source begins`)
  return { files, prev, generation: within[0].compacted?.generation ?? 0 }
}

/** The target's files whose records a merged file has. */
function heldBy({ path, first, last }: ManifestFile, { files }: Present): string[] {
  return [...files.values()]
    .filter(
      (file) => dirname(file.path) === dirname(path) && first <= file.first && file.last <= last,
    )
    .map((file) => file.path)
}

/** Every file of the target stays or is held by another one. */
function requireHeld(
  entries: readonly ManifestFile[],
  { files }: Present,
  pruned: Pruned | undefined,
): void {
  const held = new Set(entries.flatMap(({ path, replaces }) => [path, ...(replaces ?? [])]))
  for (const file of files.values()) {
    if (held.has(file.path) || isPruned(pruned, file)) continue
    throw new Apart(`has the file ${file.path}, which no file of the source holds`)
  }
}
