import assert from 'node:assert/strict'
import type { Staged } from '../../src/home/home.ts'
import { PosixHome } from '../../src/home/posix.ts'

/** The home in a directory, as the commands open it. */
export function homeAt(root: string): PosixHome {
  return new PosixHome(root)
}

/** Where a home in a directory staged a file, relative to the root. */
export function stagedAt(file: Staged): string {
  assert.ok('staged' in file)
  return file.staged
}
