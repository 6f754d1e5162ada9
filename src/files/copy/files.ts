import type { Home, ReadableHome, Staging } from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { merge, Unlike } from '../compact/merge.ts'
import type { Manifest, ManifestFile } from '../log/manifest.ts'
import { isPruned, type Pruned } from '../log/pruned.ts'
import { isGone } from '../read/members.ts'
import type { EarlyFiles } from './early-files.ts'
import { entryInPlace } from './manifests.ts'

/** What the copies of all partitions of an archive share. */
export interface FilesContext {
  readonly source: ReadableHome
  readonly target: Home
  /** Runs the copy of one file: some at once, over all partitions. */
  readonly onFile: (task: () => Promise<void>) => Promise<void>
  readonly signal?: AbortSignal | undefined
  /** Hears of each file that was copied. */
  readonly copied: (bytes: number) => void
}

/** Whose files are copied, and what is known of them. */
export interface FilesOfPartition {
  readonly tp: TopicPartition
  readonly staging: Staging
  readonly pruned: Pruned | undefined
  readonly early: EarlyFiles
}

/** Files that are published together: what a copy that is killed repeats, at most. */
const filesInGroup = 64

/** True if a file of the source is not there. It may have been merged or pruned meanwhile. */
export function isFileGone(error: unknown): boolean {
  return (error instanceof Unlike && error.isGone) || isGone(error)
}

/**
 * Copies the files of a flush to where they are staged. Returns their entries for the target.
 * @throws Unlike for a file that is not as the manifest says; then nothing is staged.
 */
export async function stageFiles(
  context: FilesContext,
  of: FilesOfPartition,
  manifest: Manifest,
): Promise<ManifestFile[]> {
  const { staged, failure } = await stageGroup(context, of, manifest.files)
  if (failure !== undefined) {
    // The next try stages them again under the same names.
    await of.staging.remove()
    throw failure.reason
  }
  await of.staging.sync(staged.keys())
  return manifest.files.map(
    (file) =>
      staged.get(file.path) ?? entryInPlace(context.target.manifestFormat, of.tp, manifest, file),
  )
}

/**
 * Copies the files of a compacted manifest to their final names, a group at a time. Returns their
 * entries for the target.
 * @throws Unlike for a file that is not as the manifest says; what was copied before stays.
 */
export async function publishFiles(
  context: FilesContext,
  of: FilesOfPartition,
  manifest: Manifest,
): Promise<ManifestFile[]> {
  const { target } = context
  await of.early.announce(manifest)
  const entries: ManifestFile[] = []
  for (let at = 0; at < manifest.files.length; at += filesInGroup) {
    const group = manifest.files.slice(at, at + filesInGroup)
    const { staged, failure } = await stageGroup(context, of, group)
    await of.staging.sync(staged.keys())
    await requirePublished(target, [...staged.values()], undefined)
    if (failure !== undefined) throw failure.reason
    for (const file of group) {
      const copy = staged.get(file.path)
      const upload = copy !== undefined && 'upload' in copy ? copy.upload : undefined
      entries.push(entryInPlace(target.manifestFormat, of.tp, manifest, file, upload))
    }
  }
  return entries
}

/** Stages those files that are not there yet, several at once. */
async function stageGroup(
  context: FilesContext,
  of: FilesOfPartition,
  files: readonly ManifestFile[],
): Promise<{
  readonly staged: ReadonlyMap<string, ManifestFile>
  readonly failure: { readonly reason: unknown } | undefined
}> {
  const staged = new Map<string, ManifestFile>()
  let failure: { readonly reason: unknown } | undefined
  await Promise.all(
    files.map((file) =>
      context
        .onFile(async () => {
          if (failure !== undefined || (await isDone(context, of, file))) return
          const { replaces: _, ...entry } = await stage(context, of, file)
          staged.set(file.path, entry)
        })
        .catch((reason: unknown) => {
          failure ??= { reason }
        }),
    ),
  )
  return { staged, failure }
}

/** Nothing is left to copy: retention took it, or an earlier run copied it. */
export async function isDone(
  { source, target }: FilesContext,
  { pruned, early }: Pick<FilesOfPartition, 'pruned' | 'early'>,
  file: ManifestFile,
): Promise<boolean> {
  if (isPruned(pruned, file) && (await source.stat(file.path)) === undefined) return true
  return early.has(file.path) && (await target.stat(file.path))?.bytes === file.bytes
}

/** Copies one file to where it is staged; its bytes are compared with the sha256 of its entry. */
export async function stage(
  { source, signal, copied }: FilesContext,
  { tp, staging }: Pick<FilesOfPartition, 'tp' | 'staging'>,
  file: ManifestFile,
): Promise<ManifestFile> {
  const entry = await merge(source, tp, staging, [file], signal)
  copied(file.bytes)
  return entry
}

/** Publishes what was staged. */
export async function requirePublished(
  target: Home,
  files: readonly ManifestFile[],
  pruned: Pruned | undefined,
): Promise<void> {
  const lost = (
    await target.publish(
      files.filter((file) => !isPruned(pruned, file)),
      'files',
    )
  )[0]
  if (lost === undefined) return
  throw new ArchiverError(
    'ARCHIVE_UNUSABLE',
    `${target.locate(lost.path)} was copied and is not there: does somebody else write to ${target.title}?`,
    { path: lost.path },
  )
}
