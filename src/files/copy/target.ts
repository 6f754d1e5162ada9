import { randomBytes } from 'node:crypto'
import type { Home, ReadableHome } from '../../home/home.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { type ArchiveIdentity, type CopyNote, readCopyNote, readIdentity } from '../log/archive.ts'
import { archiveMarker, copyNote, manifestsDirectory, stagingDirectory } from '../log/path.ts'

/**
 * Makes a place the target of a copy, or finds that it is one. Until `finishCopy` no command reads
 * it and no worker writes to it: the marker of an archive comes last, and the note of the copy
 * stands in for it.
 *
 * @returns what `finishCopy` needs.
 * @throws ArchiverError `ARCHIVE_MISMATCH` if the target is the source, lies inside an archive, is
 *   another archive, or is not empty; `ARCHIVE_UNUSABLE`.
 */
export async function beginCopy(source: ReadableHome, target: Home): Promise<CopyNote> {
  const identity = (await readIdentity(source))!
  const refuse = (why: string) =>
    new ArchiverError('ARCHIVE_MISMATCH', `${target.title} ${why}`, { root: target.title })
  if ((await source.stat(copyNote)) !== undefined && (await target.stat(copyNote)) === undefined) {
    throw new ArchiverError(
      'ARCHIVE_MISMATCH',
      `${source.title} is itself being copied to: let that copy end first`,
      { root: source.title },
    )
  }
  const present = await readIdentity(target)
  if (present !== undefined && !isSame(present, identity)) {
    throw refuse(
      `holds another archive: of group ${present.group} of cluster ${present.cluster_id}, not ${identity.group} of ${identity.cluster_id}`,
    )
  }
  // Before anything is made there; and again by its true path.
  if (present === undefined) await checkOuter(target, refuse)
  await target.begin()
  const noted = await readCopyNote(target)
  if (noted !== undefined && !isSame(noted, identity))
    throw refuse(`is the target of a copy of another archive, ${noted.source}: name an empty place`)
  if (present === undefined && noted === undefined) await checkEmpty(target, refuse)
  const note: CopyNote = { ...identity, format: target.manifestFormat, source: source.title }
  // Two copies at once are safe: each name of the log has one winner.
  if (noted === undefined) await target.create(copyNote, `${JSON.stringify(note, undefined, 1)}\n`)
  // Whatever the two are called: a link, another endpoint of the same store.
  if ((await source.stat(copyNote)) !== undefined) {
    if (noted === undefined) await target.remove([copyNote])
    throw refuse(`is the archive ${source.title} itself: name another place`)
  }
  const probe = `probe-${randomBytes(6).toString('hex')}`
  await target.prove({
    staged: `${stagingDirectory}/${probe}`,
    created: `${manifestsDirectory}/${probe}`,
    published: `${archiveMarker}.${probe}`,
  })
  return note
}

/** One archive, wherever it was copied. */
function isSame(a: ArchiveIdentity, b: ArchiveIdentity): boolean {
  return a.cluster_id === b.cluster_id && a.group === b.group && a.created === b.created
}

async function checkEmpty(target: Home, refuse: (why: string) => ArchiverError): Promise<void> {
  const names = await target.list('')
  if (names.some((name) => name !== 'lost+found'))
    throw refuse('is not empty, and holds no copy that could go on: name an empty place')
  await checkOuter(target, refuse)
}

async function checkOuter(target: Home, refuse: (why: string) => ArchiverError): Promise<void> {
  const outer = await target.above(archiveMarker)
  if (outer !== undefined) throw refuse(`lies inside the archive ${outer}: name a place beside it`)
}

/** Makes the copy an archive: from now on commands read it and workers may continue it. */
export async function finishCopy(
  target: Home,
  { source: _, ...identity }: CopyNote,
): Promise<void> {
  await target.create(archiveMarker, `${JSON.stringify(identity, undefined, 1)}\n`)
  await target.remove([copyNote])
}
