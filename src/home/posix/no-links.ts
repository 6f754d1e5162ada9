import { constants, type Stats } from 'node:fs'
import { type FileHandle, lstat, open, readdir, rmdir, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { ArchiverError, systemCode } from '../../runtime/errors.ts'
import { inLanes } from '../../runtime/lanes.ts'
import { NotRegular } from '../home.ts'

/**
 * Others may share the root of an archive. They may replace a directory or file by a symbolic link,
 * a FIFO or a device. No link below the root is followed: writes, renames and removals would happen
 * outside. The root itself may be a link: its owner chose it.
 */

/**
 * Checks that directories below the root, relative to it, are directories or do not exist yet. No
 * component may be a link.
 * @throws ArchiverError `ARCHIVE_UNUSABLE` that names the first one that is something else.
 */
export async function requireDirectories(root: string, relatives: Iterable<string>): Promise<void> {
  const looks = new Map<string, Promise<boolean>>()
  const look = (directory: string): Promise<boolean> => {
    let isThere = looks.get(directory)
    if (isThere === undefined) {
      isThere = lookAt(directory)
      looks.set(directory, isThere)
    }
    return isThere
  }
  const lookAt = async (directory: string): Promise<boolean> => {
    const above = dirname(directory)
    return (above === '.' || (await look(above))) && isDirectory(join(root, directory))
  }
  await inLanes(new Set(relatives), async (directory) => {
    await look(directory)
  })
}

/**
 * False if nothing is there. @throws ArchiverError `ARCHIVE_UNUSABLE` if something else is there.
 */
async function isDirectory(path: string): Promise<boolean> {
  const stats = await statsOf(path)
  if (stats === undefined) return false
  if (stats.isDirectory()) return true
  throw new ArchiverError(
    'ARCHIVE_UNUSABLE',
    `${path} is ${kindOf(stats)} and should be a directory; nothing below the root of an archive is followed. Find out who put it there, and remove it`,
    { path },
  )
}

async function statsOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function kindOf(stats: Stats): string {
  if (stats.isSymbolicLink()) return 'a symbolic link'
  if (stats.isFIFO()) return 'a FIFO'
  if (stats.isSocket()) return 'a socket'
  if (stats.isDirectory()) return 'a directory'
  return stats.isFile() ? 'a file' : 'a device'
}

/**
 * Opens a regular file to read it, and returns its size. Follows no link, and never waits for the
 * writer of a FIFO.
 * @throws NotRegular, or the file system's error.
 */
export async function openRegular(
  path: string,
): Promise<{ readonly handle: FileHandle; readonly bytes: number }> {
  let handle: FileHandle
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    // A link gives ELOOP (EMLINK on FreeBSD), a socket ENXIO.
    if (['ELOOP', 'EMLINK', 'ENXIO'].includes(systemCode(error) ?? '')) throw await notRegular(path)
    throw error
  }
  const stats = await handle.stat()
  if (stats.isFile()) return { handle, bytes: stats.size }
  await handle.close()
  throw new NotRegular(`it is ${kindOf(stats)}, not a regular file`)
}

async function notRegular(path: string): Promise<NotRegular> {
  const stats = await statsOf(path)
  return new NotRegular(
    stats === undefined ? 'it is not a regular file' : `it is ${kindOf(stats)}, not a regular file`,
  )
}

/** A worker's or a compaction's own directory of staging: `<worker>-<6 hex>`. */
const stagingName = /.-[0-9a-f]{6}$/
const stagedFile = /^[^/]+\.(?:part|spill|json)$/

/**
 * Removes a staging directory, relative to the root, file by file. It removes only names that this
 * program gives. Anything else stays, and so does the directory.
 * @throws ArchiverError `ARCHIVE_UNUSABLE`, or the file system's error.
 */
export async function removeStaging(root: string, directory: string): Promise<void> {
  if (!stagingName.test(basename(directory))) return
  await requireDirectories(root, [dirname(directory)])
  const path = join(root, directory)
  if ((await statsOf(path))?.isDirectory() !== true) return
  try {
    for (const name of await readdir(path)) {
      if (stagedFile.test(name)) await removeFile(join(path, name))
    }
    await rmdir(path)
  } catch (error) {
    // Somebody else removed it, or something is in it that is not ours.
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(systemCode(error) ?? '')) throw error
  }
}

/** Removes a name that may be gone already; a directory of that name stays. */
async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    // For a directory, Linux gives EISDIR and POSIX gives EPERM.
    const code = systemCode(error)
    const isLeft =
      code === 'ENOENT' ||
      code === 'EISDIR' ||
      (code === 'EPERM' && (await statsOf(path))?.isDirectory())
    if (!isLeft) throw error
  }
}
