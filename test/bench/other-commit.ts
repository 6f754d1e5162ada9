import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ArchiverError } from '../../src/runtime/errors.ts'
import { type Program, thisProgram } from './context.ts'

function git(...words: string[]): string {
  return execFileSync('git', words, {
    cwd: thisProgram.root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim()
}

/** This tree's commit, and whether it has changes that are not committed. */
export function describeCommit(): string {
  try {
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--', 'src') === '' ? '' : ' with changes'}`
  } catch {
    return 'unknown' // No repository, such as in an unpacked archive.
  }
}

/**
 * The program as another commit has it, in a work tree of its own; `remove` takes it away. Its
 * dependencies are ours if both lock the same ones, else they are installed.
 *
 * @throws ArchiverError `USAGE` if there is no such commit.
 */
export function checkOut(
  commit: string,
  say: (line: string) => void,
): { readonly program: Program; readonly remove: () => void } {
  let hash: string
  try {
    hash = git('rev-parse', '--verify', '--quiet', `${commit}^{commit}`)
  } catch {
    throw new ArchiverError('USAGE', `"${commit}" is no commit of this repository`)
  }
  const directory = mkdtempSync(join(tmpdir(), 'archiver-bench-'))
  const root = join(directory, 'tree')
  const remove = () => {
    if (existsSync(root)) git('worktree', 'remove', '--force', root)
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    git('worktree', 'add', '--detach', root, hash)
    const lock = (tree: string) => readFileSync(join(tree, 'package-lock.json'), 'utf8')
    if (lock(root) === lock(thisProgram.root)) {
      symlinkSync(join(thisProgram.root, 'node_modules'), join(root, 'node_modules'))
    } else {
      say(`installing the dependencies of ${hash.slice(0, 10)}`)
      execFileSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
        cwd: root,
        stdio: 'inherit',
      })
    }
  } catch (error) {
    remove()
    throw error
  }
  return { program: { name: hash.slice(0, 10), root }, remove }
}
