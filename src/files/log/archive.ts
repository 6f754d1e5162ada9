import { randomBytes } from 'node:crypto'
import { readdir, realpath, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { ArchiverError } from '../../runtime/errors.ts'
import {
  archiveTrouble,
  linkExclusively,
  makeDirectory,
  makePath,
  removeIfThere,
  writeDurably,
} from '../fs/durable.ts'
import { readJsonFile } from './json-file.ts'
import { archiveMarker, manifestsDirectory, stagingDirectory } from './path.ts'

export const archiveFormat = 1

/** Whose archive a directory is: `_archive.json`. */
export interface ArchiveIdentity {
  readonly format: number
  readonly cluster_id: string
  readonly group: string
  readonly created: string
}

/** An identity has some 150 bytes. */
const maxIdentityBytes = 2 ** 16

/**
 * Reads `_archive.json`; undefined where there is none.
 * @throws ArchiverError `ARCHIVE_MISMATCH` for one that is damaged, `ARCHIVE_UNUSABLE` for one that
 *   cannot be read.
 */
export async function readIdentity(root: string): Promise<ArchiveIdentity | undefined> {
  const path = join(root, archiveMarker)
  const refuse = (why: string) =>
    new ArchiverError('ARCHIVE_MISMATCH', `${path} cannot be read: ${why}`, { path })
  try {
    const read = await readJsonFile(path, { refuse, maxBytes: maxIdentityBytes })
    if (read === undefined) return undefined
    if (!Number.isSafeInteger(read.format)) throw refuse('it has no format')
    for (const name of ['cluster_id', 'group'])
      if (typeof read[name] !== 'string') throw refuse(`it has no ${name}`)
    return read as unknown as ArchiveIdentity
  } catch (error) {
    throw await archiveTrouble(root, error)
  }
}

/**
 * Makes the root an archive of this cluster and group, or checks that it is. Also finds out, before
 * anything is read from Kafka, whether files can be written, linked and fsynced there.
 *
 * @returns where the root really is: a link on the way to it that is changed later changes nothing.
 * @throws ArchiverError `ARCHIVE_MISMATCH` where it belongs to others or is not an archive,
 *   `ARCHIVE_UNUSABLE` where it cannot be written.
 */
export async function claimArchive(
  archiveDir: string,
  clusterId: string,
  group: string,
): Promise<string> {
  let root = archiveDir
  try {
    const present = await readIdentity(root)
    if (present === undefined) await createIdentity(root, clusterId, group)
    root = await realpath(root)
    check(root, present ?? (await readIdentity(root)), clusterId, group)
    await makeDirectory(root, stagingDirectory)
    await makeDirectory(root, manifestsDirectory)
    await probe(root)
    return root
  } catch (error) {
    throw await archiveTrouble(root, error)
  }
}

/**
 * Does once what every flush does: writes in staging, links to the commit log, renames to where the
 * data is.
 */
async function probe(root: string): Promise<void> {
  const name = `probe-${randomBytes(6).toString('hex')}`
  const staged = join(root, stagingDirectory, name)
  const linked = join(root, manifestsDirectory, name)
  // Spark, Hive and the archive's own readers skip what begins like this.
  const renamed = join(root, `${archiveMarker}.${name}`)
  try {
    await writeDurably(staged, 'can be written, linked and renamed\n')
    await linkExclusively(staged, linked)
    await rename(staged, renamed)
  } finally {
    for (const path of [staged, linked, renamed]) await removeIfThere(path)
  }
}

/**
 * A root without its marker is the empty directory below a file system that is not mounted: nothing
 * is to be written there.
 * @throws ArchiverError `ARCHIVE_UNUSABLE`.
 */
export async function checkMarker(root: string): Promise<void> {
  if ((await readIdentity(root)) !== undefined) return
  throw new ArchiverError(
    'ARCHIVE_UNUSABLE',
    `${root} has no ${archiveMarker} any more: is it mounted?`,
    { root },
  )
}

async function createIdentity(root: string, clusterId: string, group: string): Promise<void> {
  await makePath(root)
  const names = await readdir(root)
  if (names.some((name) => name !== 'lost+found' && !name.startsWith(`${archiveMarker}.`))) {
    // Another worker that begins at the same moment was faster: its marker is there before anything
    // else is.
    if ((await readIdentity(root)) !== undefined) return
    throw new ArchiverError(
      'ARCHIVE_MISMATCH',
      `${root} is not empty and has no ${archiveMarker}: name an empty directory with --archive-dir, or the root of an archive`,
      { root },
    )
  }
  const identity: ArchiveIdentity = {
    format: archiveFormat,
    cluster_id: clusterId,
    group,
    created: new Date().toISOString(),
  }
  const beside = join(root, `${archiveMarker}.${randomBytes(6).toString('hex')}`)
  await writeDurably(beside, `${JSON.stringify(identity, undefined, 1)}\n`)
  await linkExclusively(beside, join(root, archiveMarker))
  await removeIfThere(beside)
}

function check(
  root: string,
  identity: ArchiveIdentity | undefined,
  clusterId: string,
  group: string,
): void {
  const refuse = (why: string) => new ArchiverError('ARCHIVE_MISMATCH', `${root} ${why}`, { root })
  if (identity === undefined) throw refuse(`has no ${archiveMarker}`)
  if (identity.format !== archiveFormat) {
    throw refuse(`has format ${identity.format}; this version knows ${archiveFormat}`)
  }
  if (identity.cluster_id !== clusterId) {
    throw refuse(
      `is the archive of Kafka cluster ${identity.cluster_id}, this is ${clusterId}: use another --archive-dir`,
    )
  }
  if (identity.group !== group) {
    throw refuse(
      `is the archive of group ${identity.group}, this is ${group}: use another --archive-dir or that --group`,
    )
  }
}
