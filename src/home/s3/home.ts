import { ArchiverError, systemCode } from '../../runtime/errors.ts'
import { faultPoint } from '../../runtime/fault.ts'
import { inLanes } from '../../runtime/lanes.ts'
import type { Logger } from '../../runtime/log.ts'
import {
  type CommitLabel,
  type Home,
  type HomeFile,
  MayBeCreated,
  type NameSize,
  type NameStat,
  type Publishable,
  type Removal,
  type StagedAsUpload,
  type Staging,
  StagingGone,
} from '../home.ts'
import { archiveTrouble } from '../posix/trouble.ts'
import { bucketUrl } from './address.ts'
import { closedAbove } from './closed-directories.ts'
import { combinedEtag, comparableEtag } from './etags.ts'
import { explainStore } from './explain.ts'
import { Uploader } from './multipart.ts'
import { ObjectFile } from './object-file.ts'
import { type PageStart, pages } from './objects.ts'
import { probeBeginning, proveStore } from './proof.ts'
import { Scratch } from './scratch.ts'
import type { BucketSettings } from './settings.ts'
import { S3Staging } from './staging.ts'
import { Store } from './store.ts'
import type { OpenUpload, StoredUpload } from './uploads.ts'

/** Keys of one DeleteObjects. */
const removedAtOnce = 1000
/** Behind every name below a directory, in the order in which a store lists. */
const behindAll = '\u{10fffd}'

/** An object that a proof of the store wrote. */
export interface Probed {
  readonly name: string
  /** By the store's clock; undefined if the store does not say. */
  readonly written: Date | undefined
}

/** What a bucket needs beside its settings. */
export interface S3HomeOptions {
  /** The folder on the local disk in which to stage. */
  readonly scratchDir: string
  readonly log: Logger
  /** How long a request that does not get through is sent again, in ms. */
  readonly patienceMs: number
}

/**
 * An archive in a bucket of any store that speaks S3 and honours conditional writes. Names are keys
 * below a prefix; what is staged is an open multipart upload, which nobody sees.
 *
 * A flush is: uploads, the manifest with their ids and ETags by `If-None-Match: *`, completion. So
 * a crash before the manifest leaves nothing that can be seen, and anybody can finish after it.
 */
export class S3Home implements Home {
  readonly manifestFormat = 2
  readonly title: string
  readonly #store: Store
  readonly #prefix: string
  readonly #options: S3HomeOptions
  readonly #uploader: Uploader
  readonly #open = new Map<string, string>()
  #scratch: Promise<Scratch> | undefined

  private constructor(store: Store, options: S3HomeOptions) {
    const { settings } = store
    this.title = bucketUrl(settings)
    this.#store = store
    this.#prefix = settings.prefix === '' ? '' : `${settings.prefix}/`
    this.#options = options
    this.#uploader = new Uploader(store.uploads)
  }

  /** Sends nothing yet. @throws ArchiverError `USAGE` if nothing says which region is meant. */
  static async open(settings: BucketSettings, options: S3HomeOptions): Promise<S3Home> {
    const { log, patienceMs } = options
    return new S3Home(await Store.open(settings, log, patienceMs), options)
  }

  locate(name: string): string {
    return name === '' ? this.title : `${this.title}/${name}`
  }

  #key(name: string): string {
    return this.#prefix + name
  }

  /** The beginning of the keys below a directory. */
  #below(directory: string): string {
    return directory === '' ? this.#prefix : `${this.#prefix}${directory}/`
  }

  open(name: string, from?: number): Promise<HomeFile | undefined> {
    return ObjectFile.open(this.#store.objects, this.#key(name), from)
  }

  async stat(name: string): Promise<NameStat | undefined> {
    const head = await this.#store.objects.head(this.#key(name))
    return head === undefined ? undefined : { bytes: head.bytes, stamp: head.etag }
  }

  async list(directory: string, beginning = ''): Promise<string[]> {
    const below = this.#below(directory)
    const names: string[] = []
    const { objects } = this.#store
    for await (const page of pages((token) => objects.listNames(below + beginning, token))) {
      // Some consoles make an empty object for a folder.
      for (const { key } of page.objects) if (key !== below) names.push(key.slice(below.length))
      for (const folder of page.folders) names.push(folder.slice(below.length, -1))
    }
    return names
  }

  async *walk(directory: string, enters: (directory: string) => boolean): AsyncGenerator<string> {
    const below = this.#below(directory)
    const entered = new Map<string, boolean>()
    let start: PageStart = {}
    for (;;) {
      const page = await this.#store.objects.listPage(below, start)
      let skipped: string | undefined
      for (const { key } of page.objects) {
        if (key.endsWith('/') || (skipped !== undefined && key.startsWith(skipped))) continue
        skipped = undefined
        const name = key.slice(this.#prefix.length)
        const closed = closedAbove(name, directory, enters, entered)
        if (closed === undefined) yield name
        else {
          yield closed
          skipped = `${this.#key(closed)}/`
        }
      }
      if (page.next === undefined) return
      // A page that ended inside such a directory is followed by what is behind it.
      start = skipped === undefined ? { token: page.next } : { after: skipped + behindAll }
    }
  }

  async *sizes(directory: string, beginning: string): AsyncGenerator<NameSize> {
    const prefix = this.#below(directory) + beginning
    for await (const page of pages((token) => this.#store.objects.listPage(prefix, { token })))
      for (const { key, bytes, etag } of page.objects)
        if (!key.endsWith('/'))
          yield { name: key.slice(this.#prefix.length), bytes, checksum: comparableEtag(etag) }
  }

  storedChecksum(file: Publishable): string | undefined {
    return 'upload' in file ? combinedEtag(file.upload.parts) : undefined
  }

  async isStaged(file: Publishable): Promise<boolean> {
    return 'upload' in file && this.#store.uploads.isOpen(this.#key(file.path), file.upload.id)
  }

  async explain(error: unknown): Promise<ArchiverError> {
    // The only errors of the system that come here are those of scratch.
    if (systemCode(error) !== undefined || error instanceof StagingGone)
      return archiveTrouble(this.#options.scratchDir, error)
    if (error instanceof MayBeCreated) return this.explain(error.cause)
    return explainStore(this.#store.settings, { operation: 'the request' }, error)
  }

  async begin(): Promise<void> {
    await this.#store.objects.findBucket(this.#prefix)
  }

  async above(name: string): Promise<string | undefined> {
    const { settings, objects } = this.#store
    const { prefix } = settings
    for (let end = prefix.length; end > 0; ) {
      end = Math.max(0, prefix.lastIndexOf('/', end - 1))
      const above = prefix.slice(0, end)
      const key = above === '' ? name : `${above}/${name}`
      // Rights that end at the prefix are the rule, and then nothing above it can be seen.
      if (await objects.isVisible(key)) return bucketUrl({ ...settings, prefix: above })
    }
    return undefined
  }

  async prove(): Promise<void> {
    await proveStore(this, this.#store, { prefix: this.#prefix, log: this.#options.log })
    // It works. What goes wrong from here on passes, or is somebody's to mend.
    this.#store.waitForEver()
  }

  create(name: string, content: string): Promise<boolean> {
    return this.#create(name, Buffer.from(content))
  }

  /** Exactly one of all who ever create a name gets true; one whose answer was lost gets it too. */
  async #create(name: string, body: Buffer): Promise<boolean> {
    const key = this.#key(name)
    for (;;) {
      if ((await this.#store.objects.putIfAbsent(key, body)) === 'created') return true
      const present = await this.#store.objects.get(key, 0, body.length + 1)
      // Removed since: the name is free again.
      if (present === undefined) continue
      return present.body.equals(body)
    }
  }

  async replace(name: string, content: string): Promise<void> {
    await this.#store.objects.put(this.#key(name), Buffer.from(content))
  }

  /** A store that shows a name keeps it. */
  async confirm(): Promise<void> {}

  async stage(directory: string): Promise<Staging> {
    const scratch = await this.#openScratch()
    await scratch.ensure()
    return new S3Staging(directory, {
      scratch,
      uploads: this.#store.uploads,
      uploader: this.#uploader,
      open: this.#open,
      keyOf: (name) => this.#key(name),
      create: (name, content) => this.#create(name, content),
    })
  }

  /** Opened once. A disk that was full or forbidden then is tried again. */
  async #openScratch(): Promise<Scratch> {
    const { scratchDir, log } = this.#options
    this.#scratch ??= Scratch.open(scratchDir, log)
    const opening = this.#scratch
    try {
      return await opening
    } catch (error) {
      if (this.#scratch === opening) this.#scratch = undefined
      throw error
    }
  }

  async publish<T extends Publishable>(
    files: readonly T[],
    label: Exclude<CommitLabel, 'origin'>,
  ): Promise<T[]> {
    const missing: T[] = []
    let isFirst = true
    await inLanes(files, async (file) => {
      if (!(await this.#publish(file))) missing.push(file)
      if (isFirst) {
        isFirst = false
        faultPoint(`${label}.renamed-one`)
      }
    })
    faultPoint(`${label}.renamed`)
    faultPoint(`${label}.directories-synced`)
    return missing
  }

  async #publish(file: Publishable): Promise<boolean> {
    const key = this.#key(file.path)
    const upload = uploadOf(file)
    // Of a flush that others committed all files are there, as a rule, and a look is cheap.
    if (!this.#open.has(upload.id) && (await this.#store.uploads.isThere(key, file))) return true
    const isThere = await this.#store.uploads.complete(key, upload, file)
    this.#open.delete(upload.id)
    if (isThere) return true
    // It may be read from Kafka again, so nobody must complete this upload later. Of an end and a
    // completion, a store does one.
    await this.#store.uploads.abort(key, upload.id)
    return this.#store.uploads.isThere(key, file)
  }

  async remove(names: readonly string[], { label }: Removal = {}): Promise<void> {
    for (let at = 0; at < names.length; at += removedAtOnce) {
      const some = names.slice(at, at + removedAtOnce)
      // The chaos tests stop between two of them.
      const first = label === undefined ? [] : some.splice(0, 1)
      await this.#store.objects.remove(first.map((name) => this.#key(name)))
      if (label !== undefined) faultPoint(`${label}-removed-one`)
      await this.#store.objects.remove(some.map((name) => this.#key(name)))
    }
  }

  /** What others staged is no directory: `archiver sweep`, or a rule of the bucket, ends it. */
  async removeStaging(): Promise<void> {}

  /** A bucket has no end. */
  async space(): Promise<undefined> {}

  /** Open uploads of the archive, whoever began them, with names in place of keys. */
  async *openUploads(): AsyncGenerator<OpenUpload> {
    for await (const upload of this.#store.uploads.list(this.#prefix))
      yield { ...upload, key: upload.key.slice(this.#prefix.length) }
  }

  /** The objects that starts left which were killed while they proved the store. */
  async *probes(): AsyncGenerator<Probed> {
    const prefix = this.#key(probeBeginning)
    for await (const page of pages((token) => this.#store.objects.listNames(prefix, token)))
      for (const { key, written } of page.objects)
        yield { name: key.slice(this.#prefix.length), written }
  }

  /** Ends an open upload. The caller knows that no manifest in force names it. */
  async abortUpload({ key, id }: OpenUpload): Promise<void> {
    await this.#store.uploads.abort(this.#key(key), id)
  }

  giveUp(): string | undefined {
    return this.#store.giveUp()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#store.close()
    await (await this.#scratch)?.close()
  }
}

function uploadOf(file: Publishable): StoredUpload {
  if (!('upload' in file))
    throw new ArchiverError(
      'MANIFEST_INVALID',
      `${file.path} is staged in a directory, and this archive is a bucket`,
      { path: file.path },
    )
  const { id, parts, checksums }: StagedAsUpload['upload'] = file.upload
  return {
    id,
    parts: parts.map((etag, i) => ({
      etag,
      ...(checksums?.[i] === undefined ? {} : { checksum: checksums[i] }),
    })),
  }
}
