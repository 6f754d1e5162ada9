import { randomBytes } from 'node:crypto'
import { lstat, readdir, realpath, rename, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import PQueue from 'p-queue'
import { type ArchiverError, systemCode } from '../runtime/errors.ts'
import { faultPoint } from '../runtime/fault.ts'
import { inLanes } from '../runtime/lanes.ts'
import type {
  CommitLabel,
  Home,
  HomeFile,
  NameStat,
  Probe,
  Publishable,
  Removal,
  Space,
  Staging,
} from './home.ts'
import {
  linkExclusively,
  makeDirectory,
  makePath,
  removeIfThere,
  syncPath,
  writeDurably,
} from './posix/durable.ts'
import { KnownDirectories } from './posix/known-directories.ts'
import { openRegular, removeStaging, requireDirectories } from './posix/no-links.ts'
import { type FilesContext, publish, stagedPath, syncDirectories } from './posix/publish.ts'
import { PosixStaging } from './posix/staging.ts'
import { archiveTrouble, spaceOf } from './posix/trouble.ts'

/** The max number of files that are open at once, besides staged ones. */
const openFiles = 16

/**
 * An archive in a directory of a file system with `link(2)`, `rename(2)` and an fsync that mean
 * what POSIX says; all workers share it.
 */
export class PosixHome implements Home {
  readonly manifestFormat = 1
  #root: string
  readonly #files = new PQueue({ concurrency: openFiles })
  readonly #known = new KnownDirectories(() => this.#root)

  /** `root`: an absolute path; the last directory need not exist. */
  constructor(root: string) {
    this.#root = root
  }

  get title(): string {
    return this.#root
  }

  get #context(): FilesContext {
    return { root: this.#root, onFile: (task) => this.#files.add(task) }
  }

  locate(name: string): string {
    return join(this.#root, name)
  }

  /**
   * For a data file it also checks the directories. The listing has checked those of a manifest.
   */
  async open(name: string): Promise<HomeFile | undefined> {
    if (!name.startsWith('_')) await this.#require([name])
    try {
      const { handle, bytes } = await openRegular(this.locate(name))
      return {
        bytes,
        read: async (target, at) => (await handle.read(target, 0, target.length, at)).bytesRead,
        close: () => handle.close(),
      }
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  async stat(name: string): Promise<NameStat | undefined> {
    try {
      const stats = await lstat(this.locate(name))
      const { dev, ino, size, mtimeMs, ctimeMs } = stats
      // Something else with a file's name holds nothing.
      return {
        bytes: stats.isFile() ? size : 0,
        stamp: [dev, ino, size, mtimeMs, ctimeMs].join(),
      }
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined
      throw error
    }
  }

  async list(directory: string, beginning = ''): Promise<string[]> {
    if (directory !== '') await requireDirectories(this.#root, [directory])
    let names: string[]
    try {
      names = await readdir(this.locate(directory))
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return []
      throw error
    }
    return beginning === '' ? names : names.filter((name) => name.startsWith(beginning))
  }

  async *walk(directory: string, enters: (directory: string) => boolean): AsyncGenerator<string> {
    yield* this.#below(directory, (await this.#namesIn(directory)) ?? [], enters)
  }

  async *#below(
    directory: string,
    names: readonly string[],
    enters: (directory: string) => boolean,
  ): AsyncGenerator<string> {
    for (const name of names) {
      const path = directory === '' ? name : `${directory}/${name}`
      const below = enters(path) ? await this.#namesIn(path) : undefined
      if (below === undefined) yield path
      else yield* this.#below(path, below, enters)
    }
  }

  /** Sorted; undefined if it is no directory. Opening a file below a link detects the link. */
  async #namesIn(directory: string): Promise<string[] | undefined> {
    try {
      return (await readdir(this.locate(directory))).sort()
    } catch (error) {
      const code = systemCode(error)
      if (code === 'ENOENT') return []
      if (code === 'ENOTDIR') return undefined
      throw error
    }
  }

  /** The file system is asked for each size in any case. */
  sizes(): undefined {}

  async isStaged(file: Publishable): Promise<boolean> {
    return (await this.stat(stagedPath(file))) !== undefined
  }

  explain(error: unknown): Promise<ArchiverError> {
    return archiveTrouble(this.#root, error)
  }

  async begin(): Promise<void> {
    try {
      this.#root = await realpath(this.#root)
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error
      await makePath(this.#root)
      this.#root = await realpath(this.#root)
    }
  }

  async above(name: string): Promise<string | undefined> {
    for (let directory = this.#root; directory !== dirname(directory); ) {
      directory = dirname(directory)
      if (await exists(join(directory, name))) return directory
    }
    return undefined
  }

  /** Does once what every flush does: write in staging, link to the log, rename to the data. */
  async prove({ staged, created, published }: Probe): Promise<void> {
    for (const name of [staged, created]) await makeDirectory(this.#root, dirname(name))
    const [from, link, to] = [staged, created, published].map((name) => this.locate(name))
    try {
      await writeDurably(from!, 'can be written, linked and renamed\n')
      await linkExclusively(from!, link!)
      await rename(from!, to!)
    } finally {
      for (const path of [from!, link!, to!]) await removeIfThere(path)
    }
  }

  async create(name: string, content: string): Promise<boolean> {
    return this.#beside(name, content, (beside) => linkExclusively(beside, this.locate(name)))
  }

  async replace(name: string, content: string): Promise<void> {
    await this.#beside(name, content, async (beside) => {
      await rename(beside, this.locate(name))
      await syncPath(dirname(this.locate(name)))
    })
  }

  async #beside<T>(name: string, content: string, act: (beside: string) => Promise<T>): Promise<T> {
    await this.#require([name])
    const beside = `${this.locate(name)}.${randomBytes(6).toString('hex')}`
    try {
      await writeDurably(beside, content)
      return await act(beside)
    } finally {
      await removeIfThere(beside)
    }
  }

  async confirm(name: string): Promise<void> {
    await syncPath(dirname(this.locate(name)))
  }

  async stage(directory: string): Promise<Staging> {
    await makeDirectory(this.#root, directory)
    return new PosixStaging(directory, this.#context, this.#known)
  }

  publish<T extends Publishable>(
    files: readonly T[],
    label: Exclude<CommitLabel, 'origin'>,
  ): Promise<T[]> {
    return publish(this.#context, files, label)
  }

  async remove(names: readonly string[], { label, emptied }: Removal = {}): Promise<void> {
    await this.#require(names)
    const { onFile } = this.#context
    await inLanes(names, async (name) => {
      await onFile(() => removeIfThere(this.locate(name)))
      if (label !== undefined) faultPoint(`${label}-removed-one`)
    })
    if (emptied === true) await this.#removeEmptied(names)
    else await syncDirectories(this.#context, names)
  }

  async #removeEmptied(names: readonly string[]): Promise<void> {
    for (const lowest of new Set(names.map((name) => dirname(name)))) {
      for (let directory = lowest; directory !== '.'; directory = dirname(directory)) {
        if (!(await removeIfEmpty(this.locate(directory)))) break
      }
    }
  }

  async removeStaging(directories: readonly string[]): Promise<void> {
    for (const directory of directories) await removeStaging(this.#root, directory)
  }

  space(): Promise<Space | undefined> {
    return spaceOf(this.#root)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files.onIdle()
  }

  /** Checks that the directories of these names are directories or do not exist yet. */
  async #require(names: readonly string[]): Promise<void> {
    const directories = new Set(names.map((name) => dirname(name)))
    // The root itself may be a link.
    directories.delete('.')
    await requireDirectories(this.#root, directories)
  }
}

/** Also false for a name that this user may not look at. */
async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path)
    return true
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(systemCode(error) ?? '')) return false
    throw error
  }
}

async function removeIfEmpty(directory: string): Promise<boolean> {
  try {
    await rmdir(directory)
    return true
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false
    if (code === 'ENOENT') return true
    throw error
  }
}
