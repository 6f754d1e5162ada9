import { lstat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ArchiverError, messageOf, systemCode } from '../../runtime/errors.ts'
import { pathIn, wordsOf } from '../../runtime/file-errors.ts'
import { MayBeCreated, type Space } from '../home.ts'

/** The troubles that free space says something about. */
const ofSpace = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO'])

/** An error of the file system for people: what, in which path, and how much space is free. */
async function describeTrouble(root: string, error: unknown): Promise<string> {
  const code = systemCode(error)
  const words = wordsOf(code) ?? messageOf(error)
  const named = pathIn(error)
  if (code === 'ENOTDIR') return `${words}: ${await fileAbove(named ?? root)}`
  const path = named === undefined ? '' : ` (${named})`
  const free = code !== undefined && ofSpace.has(code) ? (await spaceOf(root))?.free : undefined
  return `${words} in ${root}${path}${free === undefined ? '' : `, ${Math.floor(free / 2 ** 20)} MiB free`}`
}

/** The file in the place of a directory: the last part of the path that is there. */
async function fileAbove(path: string): Promise<string> {
  for (let above = path; above !== dirname(above); above = dirname(above)) {
    const is = await lstat(above).catch(() => undefined)
    if (is?.isFile() === true) return above
  }
  return path
}

/** The space of the file system of a path; undefined if it does not say. */
export async function spaceOf(path: string): Promise<Space | undefined> {
  try {
    const { bavail, blocks, bsize } = await statfs(path)
    return { free: bavail * bsize, total: blocks * bsize }
  } catch {
    // Some file systems do not answer; then a write finds out.
    return undefined
  }
}

/** An `ArchiverError` of any error of the file system. */
export async function archiveTrouble(root: string, error: unknown): Promise<ArchiverError> {
  if (error instanceof ArchiverError) return error
  if (error instanceof MayBeCreated) return archiveTrouble(root, error.cause)
  return new ArchiverError('ARCHIVE_UNUSABLE', await describeTrouble(root, error), { root }, error)
}
