import { randomBytes } from 'node:crypto'
import type { Home, ReadableHome } from '../../home/home.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { readJsonFile } from './json-file.ts'
import { archiveMarker, copyNote, manifestsDirectory, stagingDirectory } from './path.ts'

/** Whose archive a home has: `_archive.json`. */
export interface ArchiveIdentity {
  readonly format: number
  readonly cluster_id: string
  readonly group: string
  readonly created: string
}

/** An identity has some 150 bytes. */
const maxIdentityBytes = 2 ** 16

/**
 * Reads `_archive.json`; undefined if there is none.
 * @throws ArchiverError `ARCHIVE_MISMATCH` if it is damaged, `ARCHIVE_UNUSABLE` if it cannot be
 *   read.
 */
export function readIdentity(home: ReadableHome): Promise<ArchiveIdentity | undefined> {
  return readIdentityIn(home, archiveMarker)
}

/** An archive that is being copied to this place, and where it comes from. */
export interface CopyNote extends ArchiveIdentity {
  /** What people call the source. */
  readonly source: string
}

/**
 * Reads `_archive.json.copy`; undefined if no copy is being made here.
 * @throws ArchiverError as `readIdentity`.
 */
export async function readCopyNote(home: ReadableHome): Promise<CopyNote | undefined> {
  return (await readIdentityIn(home, copyNote)) as CopyNote | undefined
}

async function readIdentityIn(
  home: ReadableHome,
  file: string,
): Promise<ArchiveIdentity | undefined> {
  const path = home.locate(file)
  const refuse = (why: string) =>
    new ArchiverError('ARCHIVE_MISMATCH', `${path} cannot be read: ${why}`, { path })
  try {
    const read = await readJsonFile(home, file, { refuse, maxBytes: maxIdentityBytes })
    if (read === undefined) return undefined
    if (!Number.isSafeInteger(read.format)) throw refuse('it has no format')
    for (const name of ['cluster_id', 'group'])
      if (typeof read[name] !== 'string') throw refuse(`it has no ${name}`)
    const identity = read as unknown as ArchiveIdentity
    checkFormat(home, identity)
    return identity
  } catch (error) {
    throw await home.explain(error)
  }
}

/**
 * Half a copy is no archive: nothing reads it and no worker continues it.
 * @throws ArchiverError `ARCHIVE_MISMATCH`
 */
export async function refuseHalfCopy(home: ReadableHome): Promise<void> {
  const note = await readCopyNote(home)
  if (note === undefined) return
  throw new ArchiverError(
    'ARCHIVE_MISMATCH',
    `${home.title} is not yet the whole copy of ${note.source}: run copy again until it ends`,
    { root: home.title },
  )
}

/**
 * Manifests of a directory name staged files; those of a bucket name open uploads. If another
 * program copies one kind of home to the other, its manifests are wrong there.
 */
function checkFormat({ title, manifestFormat }: ReadableHome, { format }: ArchiveIdentity): void {
  if (format === manifestFormat) return
  const kinds: Readonly<Record<number, string>> = { 1: 'a directory', 2: 'a bucket' }
  const why =
    kinds[format] === undefined
      ? `has format ${format}; this version knows ${manifestFormat}`
      : `holds the archive of ${kinds[format]} (format ${format}), and is ${kinds[manifestFormat]}: bring it here with archiver copy`
  throw new ArchiverError('ARCHIVE_MISMATCH', `${title} ${why}`, { root: title })
}

/**
 * Makes a home the archive of this cluster and group, or checks that it is. Before anything is read
 * from Kafka, it also checks that the home keeps its promises.
 *
 * @throws ArchiverError `ARCHIVE_MISMATCH` if it belongs to others or is not an archive,
 *   `ARCHIVE_UNUSABLE` if it cannot be written.
 */
export async function claimArchive(home: Home, clusterId: string, group: string): Promise<void> {
  try {
    const present = await readIdentity(home)
    await refuseHalfCopy(home)
    await home.begin()
    if (present === undefined) await createIdentity(home, clusterId, group)
    check(home, present ?? (await readIdentity(home)), clusterId, group)
    const name = `probe-${randomBytes(6).toString('hex')}`
    await home.prove({
      staged: `${stagingDirectory}/${name}`,
      created: `${manifestsDirectory}/${name}`,
      // Spark, Hive and the archive's own readers skip what begins like this.
      published: `${archiveMarker}.${name}`,
    })
  } catch (error) {
    throw await home.explain(error)
  }
}

/**
 * A root without its marker is the empty mount point of a file system that is not mounted. Nothing
 * may be written there.
 * @throws ArchiverError `ARCHIVE_UNUSABLE`.
 */
export async function checkMarker(home: ReadableHome): Promise<void> {
  if ((await readIdentity(home)) !== undefined) return
  throw new ArchiverError(
    'ARCHIVE_UNUSABLE',
    `${home.title} has no ${archiveMarker} any more: is it mounted?`,
    { root: home.title },
  )
}

async function createIdentity(home: Home, clusterId: string, group: string): Promise<void> {
  const names = await home.list('')
  if (names.some((name) => name !== 'lost+found' && !name.startsWith(`${archiveMarker}.`))) {
    // Another worker began at the same moment and was faster. Its marker appears before anything
    // else.
    if ((await readIdentity(home)) !== undefined) return
    throw new ArchiverError(
      'ARCHIVE_MISMATCH',
      `${home.title} is not empty and has no ${archiveMarker}: name an empty directory with --archive-dir, or the root of an archive`,
      { root: home.title },
    )
  }
  const outer = await home.above(archiveMarker)
  if (outer !== undefined) {
    throw new ArchiverError(
      'ARCHIVE_MISMATCH',
      `${home.title} lies inside the archive ${outer}: name a place beside it with --archive-dir`,
      { root: home.title },
    )
  }
  const identity: ArchiveIdentity = {
    format: home.manifestFormat,
    cluster_id: clusterId,
    group,
    created: new Date().toISOString(),
  }
  // Another worker may be faster. The check that follows reads the file of the one that won.
  await home.create(archiveMarker, `${JSON.stringify(identity, undefined, 1)}\n`)
}

function check(
  { title: root }: ReadableHome,
  identity: ArchiveIdentity | undefined,
  clusterId: string,
  group: string,
): void {
  const refuse = (why: string) => new ArchiverError('ARCHIVE_MISMATCH', `${root} ${why}`, { root })
  if (identity === undefined) throw refuse(`has no ${archiveMarker}`)
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
