import { resolve } from 'node:path'
import type { Home } from './home.ts'
import { PosixHome } from './posix.ts'

/**
 * The home that `--archive-dir` names. Nothing is looked at yet: that it is no archive, or cannot
 * be used, comes of the first call.
 */
export async function openHome(archiveDir: string): Promise<Home> {
  return new PosixHome(resolve(archiveDir))
}
