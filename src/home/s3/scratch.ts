import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, rm, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { ArchiverError, errorFields, messageOf, systemCode } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { claimFolder, removeDeadFolders, showLife, signOfLifeMs } from './scratch-folders.ts'

/**
 * Local disk for what waits to be uploaded. Never fsynced: what a machine loses was not committed,
 * and is read from Kafka again.
 */
export class Scratch {
  readonly #root: string
  readonly #log: Logger
  readonly #signs: NodeJS.Timeout

  private constructor(root: string, log: Logger) {
    this.#root = root
    this.#log = log
    this.#signs = setInterval(() => {
      showLife(root).catch((error: unknown) => {
        log.debug({ event: 'scratch_gone', path: root, ...errorFields(error) }, 'scratch is gone')
      })
    }, signOfLifeMs).unref()
  }

  /**
   * Makes its own folder below `parent`, and `parent` if it does not exist. Removes those of dead
   * processes.
   * @throws ArchiverError `ARCHIVE_UNUSABLE`
   */
  static async open(parent: string, log: Logger): Promise<Scratch> {
    const root = join(parent, `archiver-scratch-${process.pid}-${randomBytes(4).toString('hex')}`)
    try {
      await makeFolder(root)
      await removeDeadFolders(parent, log)
    } catch (error) {
      throw new ArchiverError(
        'ARCHIVE_UNUSABLE',
        `${parent} cannot be used to stage files: ${messageOf(error)}; name another folder with --scratch-dir`,
        { path: parent },
        error,
      )
    }
    return new Scratch(root, log)
  }

  /** Makes the folder again if it is gone: this process was frozen, and others took it for dead. */
  async ensure(): Promise<void> {
    await makeFolder(this.#root)
  }

  /** The path of a file of one writer. */
  path(writer: string, name: string): string {
    return join(this.#root, `${writer}.${name}`)
  }

  /** Removes what a writer has left. */
  async removeAll(writer: string): Promise<void> {
    for (const name of await readdir(this.#root))
      if (name.startsWith(`${writer}.`)) await unlinkIfThere(join(this.#root, name))
  }

  /** Removes all of it. What a forbidden or broken disk keeps, the next start removes. */
  async close(): Promise<void> {
    clearInterval(this.#signs)
    try {
      await rm(this.#root, { recursive: true, force: true })
    } catch (error) {
      this.#log.debug(
        { event: 'staging_left', path: this.#root, ...errorFields(error) },
        'leaving own staging behind',
      )
    }
  }
}

async function makeFolder(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: 0o700 })
  if (made !== undefined) await claimFolder(path)
}

/** A file on scratch. Keeps no descriptor open between its calls: thousands are in the making. */
export class ScratchFile {
  readonly path: string
  #bytes = 0

  constructor(path: string) {
    this.path = path
  }

  /** How many bytes were appended. */
  get bytes(): number {
    return this.#bytes
  }

  async append(pieces: Buffer | AsyncIterable<Buffer>): Promise<void> {
    // If somebody removed the file, it must not be recreated without its content.
    const handle = await open(this.path, this.#bytes === 0 ? 'w' : 'r+', 0o600)
    try {
      if (Buffer.isBuffer(pieces)) await this.#write(handle, pieces)
      else for await (const piece of pieces) await this.#write(handle, piece)
    } finally {
      await handle.close()
    }
  }

  async #write(handle: Awaited<ReturnType<typeof open>>, piece: Buffer): Promise<void> {
    for (let written = 0; written < piece.length; ) {
      const rest = piece.length - written
      const { bytesWritten } = await handle.write(piece, written, rest, this.#bytes)
      written += bytesWritten
      this.#bytes += bytesWritten
    }
  }

  /** Fills a buffer from byte `at` on. @throws ArchiverError if the file is shorter by now. */
  async read(target: Buffer, at: number): Promise<void> {
    const handle = await open(this.path, 'r')
    try {
      for (let read = 0; read < target.length; ) {
        const { bytesRead } = await handle.read(target, read, target.length - read, at + read)
        if (bytesRead === 0) {
          throw new ArchiverError(
            'ARCHIVE_UNUSABLE',
            `${this.path} ends at byte ${at + read}: somebody changed it`,
            { path: this.path },
          )
        }
        read += bytesRead
      }
    } finally {
      await handle.close()
    }
  }

  async remove(): Promise<void> {
    this.#bytes = 0
    await unlinkIfThere(this.path)
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
  }
}
