import { randomBytes } from 'node:crypto'
import { basename } from 'node:path/posix'
import { ArchiverError, systemCode } from '../../runtime/errors.ts'
import { faultPoint } from '../../runtime/fault.ts'
import {
  type CommitLabel,
  MayBeCreated,
  type StagedAsUpload,
  type StagedFacts,
  type StagedFile,
  type Staging,
  StagingGone,
} from '../home.ts'
import type { Uploader, UploadSource } from './multipart.ts'
import { type Scratch, ScratchFile } from './scratch.ts'
import type { Uploads } from './uploads.ts'

/** What the stagings of a home share. */
export interface StagingContext {
  readonly uploads: Uploads
  readonly uploader: Uploader
  readonly scratch: Scratch
  /** Uploads of this process that are open, by id, with their keys. */
  readonly open: Map<string, string>
  /** The whole key of a name. */
  readonly keyOf: (name: string) => string
  readonly create: (name: string, content: Buffer) => Promise<boolean>
}

/**
 * What one writer stages: files on local scratch, which become open uploads when they are complete.
 * Nothing of it is an object, so no reader sees it, and only this process can remove it.
 */
export class S3Staging implements Staging {
  readonly directory: string
  readonly #context: StagingContext
  /** What its files on scratch begin with: nobody else's do. */
  readonly #writer: string
  readonly #uploads = new Set<string>()

  constructor(directory: string, context: StagingContext) {
    this.directory = directory
    this.#writer = `${basename(directory)}-${randomBytes(4).toString('hex')}`
    this.#context = context
  }

  scratch(name: string): string {
    return this.#context.scratch.path(this.#writer, name)
  }

  file(name: string): StagedFile {
    return new S3StagedFile(this.#context, this.scratch(name), this.#uploads)
  }

  /** Completed files are open uploads, which the store keeps. */
  async sync(): Promise<void> {}

  async create(name: string, content: Iterable<string>, label: CommitLabel): Promise<boolean> {
    const pieces: Buffer[] = []
    for (const piece of content) pieces.push(Buffer.from(piece))
    faultPoint(`${label}.content-written`)
    try {
      return await this.#context.create(name, Buffer.concat(pieces))
    } catch (error) {
      // A request that was given up may arrive yet.
      throw new MayBeCreated(name, error)
    } finally {
      faultPoint(`${label}.linked`)
    }
  }

  async remove(): Promise<void> {
    const { uploads, open } = this.#context
    for (const id of this.#uploads) {
      const key = open.get(id)
      // Published ones are no longer open.
      if (key === undefined) continue
      await uploads.abort(key, id)
      open.delete(id)
    }
    this.#uploads.clear()
    await this.#context.scratch.removeAll(this.#writer)
  }
}

class S3StagedFile implements StagedFile {
  readonly #context: StagingContext
  readonly #scratch: ScratchFile
  /** Of the staging that it belongs to. */
  readonly #uploads: Set<string>
  #upload: { readonly key: string; readonly id: string } | undefined

  constructor(context: StagingContext, path: string, uploads: Set<string>) {
    this.#context = context
    this.#scratch = new ScratchFile(path)
    this.#uploads = uploads
  }

  append(bytes: Buffer | AsyncIterable<Buffer>): Promise<void> {
    return orGone(this.#scratch.path, async () => {
      await this.#scratch.append(bytes)
      faultPoint('staging.appended')
    })
  }

  /** A file whose bytes are all in `last` never touches the disk. */
  async complete(facts: StagedFacts, last: Buffer = Buffer.alloc(0)): Promise<StagedAsUpload> {
    const { uploader, keyOf, open } = this.#context
    const scratched = this.#scratch.bytes
    if (scratched + last.length !== facts.bytes) {
      throw new ArchiverError(
        'INTERNAL',
        `${facts.path} has ${scratched + last.length} bytes of ${facts.bytes}`,
        { path: facts.path },
      )
    }
    faultPoint('staging.written')
    const key = keyOf(facts.path)
    const source = sourceOf(this.#scratch, last)
    const parts = await orGone(this.#scratch.path, () =>
      uploader.upload(key, facts.sha256, source, (id) => {
        this.#upload = { key, id }
        this.#uploads.add(id)
        open.set(id, key)
      }),
    )
    if (scratched > 0) await this.#scratch.remove()
    faultPoint('staging.appended')
    const checksums = parts.flatMap(({ checksum }) => (checksum === undefined ? [] : [checksum]))
    return {
      upload: {
        id: this.#upload!.id,
        parts: parts.map(({ etag }) => etag),
        ...(checksums.length === 0 ? {} : { checksums }),
      },
    }
  }

  async remove(): Promise<void> {
    await this.#scratch.remove()
    if (this.#upload === undefined) return
    const { key, id } = this.#upload
    await this.#context.uploads.abort(key, id)
    this.#context.open.delete(id)
    this.#uploads.delete(id)
  }
}

/** What lies on scratch, then what is still in memory. */
function sourceOf(scratch: ScratchFile, last: Buffer): UploadSource {
  const scratched = scratch.bytes
  return {
    bytes: scratched + last.length,
    read: async (at, length) => {
      if (at >= scratched) return last.subarray(at - scratched, at - scratched + length)
      const piece = Buffer.allocUnsafeSlow(length)
      const fromScratch = Math.min(length, scratched - at)
      await scratch.read(piece.subarray(0, fromScratch), at)
      last.copy(piece, fromScratch, 0, length - fromScratch)
      return piece
    },
  }
}

/** Does something on scratch; says so if somebody removed it. */
async function orGone<T>(path: string, task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (error) {
    if (error instanceof Error && systemCode(error) === 'ENOENT') throw new StagingGone(path, error)
    throw error
  }
}
