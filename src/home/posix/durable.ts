import { constants } from 'node:fs'
import { link, mkdir, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemCode } from '../../runtime/errors.ts'
import { inLanes } from '../../runtime/lanes.ts'
import { requireDirectories } from './no-links.ts'

/**
 * How a file or name survives a power cut on a POSIX file system: the data is fsynced before the
 * name, and a name survives once its directory is fsynced (man 2 fsync: "an explicit fsync() on a
 * file descriptor for the directory is also needed").
 */

/** Fsyncs a file or a directory. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Makes a directory and those above it below `root`, and fsyncs every directory that got a new name
 * in it.
 * @throws ArchiverError `ARCHIVE_UNUSABLE` if one of them is a link; or the file system's error.
 */
export async function makeDirectory(root: string, relative: string): Promise<void> {
  await requireDirectories(root, [relative])
  await makePath(join(root, relative))
}

/**
 * Makes a directory and those above it, which may be links, and fsyncs every directory that got a
 * new name in it.
 */
export async function makePath(wanted: string): Promise<void> {
  const first = await mkdir(wanted, { recursive: true })
  if (first === undefined) return
  for (let made = wanted; ; made = dirname(made)) {
    await syncPath(dirname(made))
    if (made === first) return
  }
}

/**
 * Makes many directories and those above them below `root`, then fsyncs each directory that names
 * one of them, once. It also fsyncs directories that exist already: their creator may not have done
 * so yet.
 */
export async function makeDirectories(
  root: string,
  relatives: readonly string[],
  onFile: (task: () => Promise<void>) => Promise<void>,
): Promise<void> {
  await requireDirectories(root, relatives)
  await inLanes(relatives, (relative) =>
    onFile(async () => {
      await mkdir(join(root, relative), { recursive: true })
    }),
  )
  const above = new Set<string>()
  for (const relative of relatives) {
    for (let path = relative; path !== '.'; ) {
      path = dirname(path)
      above.add(path)
    }
  }
  await inLanes(above, (path) => onFile(() => syncPath(join(root, path))))
}

/** Writes nothing if a link or a FIFO is in the place of the file. */
const writeFlags =
  constants.O_WRONLY |
  constants.O_CREAT |
  constants.O_TRUNC |
  constants.O_NOFOLLOW |
  constants.O_NONBLOCK

/**
 * Writes a whole file, from one piece or several, and fsyncs it; its name is durable only once the
 * directory is fsynced.
 */
export async function writeDurably(
  path: string,
  content: string | Buffer | Iterable<string>,
): Promise<void> {
  const handle = await open(path, writeFlags)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Gives a complete, fsynced file its final name if nothing has that name: an exclusive create that
 * shows the file whole or not at all. Returns false if the name is taken. The directory is fsynced.
 */
export async function linkExclusively(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error
    // NFS may have made the link and lost the answer. The request is then sent again and finds the
    // name taken (man 2 link, "BUGS").
    if (!(await isSameFile(from, to))) return false
  }
  await syncPath(dirname(to))
  return true
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  try {
    const [a, b] = await Promise.all([stat(one), stat(other)])
    return a.ino === b.ino && a.dev === b.dev
  } catch (error) {
    // The process that took the name has given it up since.
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}

/**
 * Renames a file. If the source is missing and the target exists, somebody else did it; returns
 * false.
 */
export async function renameOnce(
  from: string,
  to: string,
  isThere: (path: string) => Promise<boolean>,
): Promise<boolean> {
  try {
    await rename(from, to)
    return true
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && (await isThere(to))) return false
    throw error
  }
}

/** Removes a file that may be gone already. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
}
