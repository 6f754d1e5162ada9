import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { basename } from 'node:path/posix'
import { ArchiverError, systemCode } from '../../runtime/errors.ts'
import { faultPoint } from '../../runtime/fault.ts'
import {
  type CommitLabel,
  MayBeCreated,
  type StagedFacts,
  type StagedFile,
  type StagedInDirectory,
  type Staging,
  StagingGone,
} from '../home.ts'
import { linkExclusively, removeIfThere, syncPath, writeDurably } from './durable.ts'
import type { KnownDirectories } from './known-directories.ts'
import { removeStaging, requireDirectories } from './no-links.ts'
import { type FilesContext, isThere } from './publish.ts'

const newFile = 'wx'
const presentFile = constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW

/** The staging directory of one writer: its files, and the next manifest. */
export class PosixStaging implements Staging {
  readonly directory: string
  readonly #context: FilesContext
  readonly #known: KnownDirectories

  constructor(directory: string, context: FilesContext, known: KnownDirectories) {
    this.directory = directory
    this.#context = context
    this.#known = known
  }

  scratch(name: string): string {
    return join(this.#context.root, this.directory, name)
  }

  file(name: string): StagedFile {
    return new PosixStagedFile(this.#context.root, `${this.directory}/${name}`)
  }

  async sync(paths: Iterable<string>): Promise<void> {
    const { root, onFile } = this.#context
    const directories = new Set<string>()
    for (const path of paths) directories.add(dirname(path))
    await this.#known.make(directories, onFile)
    const own = join(root, this.directory)
    await orGone(own, () => syncPath(own))
  }

  async create(name: string, content: Iterable<string>, label: CommitLabel): Promise<boolean> {
    const { root } = this.#context
    const beside = this.scratch(basename(name))
    await orGone(beside, () => writeDurably(beside, content))
    faultPoint(`${label}.content-written`)
    await requireDirectories(root, [dirname(name)])
    try {
      const isCreated = await linkExclusively(beside, join(root, name))
      if (isCreated) faultPoint(`${label}.linked`)
      await removeIfThere(beside)
      return isCreated
    } catch (error) {
      throw await this.#explain(error, name, beside)
    }
  }

  /** From the link on, only one error says that nothing was created. */
  async #explain(error: unknown, name: string, beside: string): Promise<Error> {
    if (isNotThere(error)) {
      // A name that does not exist was not linked.
      if (!(await isThere(beside))) return new StagingGone(beside, error)
      this.#known.forget(dirname(name))
    }
    return new MayBeCreated(name, error)
  }

  async remove(): Promise<void> {
    await removeStaging(this.#context.root, this.directory)
  }
}

class PosixStagedFile implements StagedFile {
  readonly #root: string
  /** Relative to the root. */
  readonly #staged: string
  #isBegun = false

  constructor(root: string, staged: string) {
    this.#root = root
    this.#staged = staged
  }

  append(bytes: Buffer | AsyncIterable<Buffer>): Promise<void> {
    return this.#open((handle) => handle.writeFile(bytes))
  }

  async complete(facts: StagedFacts, last?: Buffer): Promise<StagedInDirectory> {
    const isWhole = !this.#isBegun
    await this.#open(async (handle, path) => {
      if (last !== undefined) await handle.writeFile(last)
      faultPoint('staging.written')
      // After a failure the file must be recreated: the result of a second fsync is not reliable.
      await handle.sync()
      if (!isWhole) await checkSize(handle, path, facts.bytes)
    })
    return { staged: this.#staged }
  }

  async #open(task: (handle: FileHandle, path: string) => Promise<void>): Promise<void> {
    const path = join(this.#root, this.#staged)
    // If somebody removed the file, it must not be recreated without its content.
    const flags = this.#isBegun ? presentFile : newFile
    const handle = await orGone(path, () => open(path, flags))
    this.#isBegun = true
    try {
      await task(handle, path)
    } finally {
      await handle.close()
    }
    faultPoint('staging.appended')
  }

  async remove(): Promise<void> {
    await removeIfThere(join(this.#root, this.#staged))
  }
}

async function checkSize(handle: FileHandle, path: string, bytes: number): Promise<void> {
  const { size } = await handle.stat()
  if (size === bytes) return
  throw new ArchiverError(
    'ARCHIVE_UNUSABLE',
    `${path} has ${size} bytes of ${bytes}: somebody changed it`,
  )
}

function isNotThere(error: unknown): error is Error {
  return error instanceof Error && systemCode(error) === 'ENOENT'
}

/** Does something in a staging directory; throws `StagingGone` if that is gone. */
async function orGone<T>(path: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (error) {
    throw isNotThere(error) ? new StagingGone(path, error) : error
  }
}
