import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandInput,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { ForeignAnswer } from './answers.ts'
import { checksummedBy, type StoreConnection, storedWith, timeoutOf } from './connection.ts'
import { isMissing, isTaken, statusOf, storeCode, TruncatedBody } from './errors.ts'
import { endlessListing } from './explain.ts'

/** What ends the name of a folder in a key. */
const delimiter = '/'

/** An object as a listing shows it. */
export interface ListedObject {
  readonly key: string
  readonly bytes: number
  readonly etag: string
  /** By the store's clock; undefined if the store does not say. */
  readonly written: Date | undefined
}

/** Where a page of a listing begins. */
export interface PageStart {
  /** Behind this key … */
  readonly after?: string | undefined
  /** … or where the page ended that gave this as its `next`. */
  readonly token?: string | undefined
}

/** A page of a listing. */
export interface Page {
  readonly objects: readonly ListedObject[]
  /** With a slash at their ends; none in a listing of everything below a prefix. */
  readonly folders: readonly string[]
  /** Undefined for the last page. */
  readonly next: string | undefined
}

/** An object as its head shows it. */
export interface ObjectHead {
  readonly bytes: number
  readonly etag: string
  /** Its content, as the writer describes it. */
  readonly sha256: string | undefined
  /** How it is encrypted at rest: `AES256`; undefined if the store does not say. */
  readonly encryption: string | undefined
  /** Undefined for the standard class, on most stores. */
  readonly storageClass: string | undefined
}

/** A piece of an object, and how large the object is. */
export interface ObjectPiece {
  readonly body: Buffer
  readonly bytes: number
}

/**
 * Requests about objects. Keys are whole: with the prefix. Bodies are Buffers: their SHA-256 is
 * signed, and every store verifies it, without the checksum trailers that broke R2, B2, Ceph and
 * others (aws/aws-sdk-js-v3#6810). A stream would go unsigned.
 */
export class Objects {
  readonly #connection: StoreConnection

  constructor(connection: StoreConnection) {
    this.#connection = connection
  }

  /**
   * Asks for the first key of the bucket. HeadBucket would be enough, but the answer to a HEAD has
   * no body, and the body says why the store rejects a request.
   *
   * @throws ArchiverError that names what is wrong with bucket, region, credentials or network.
   */
  async findBucket(prefix: string): Promise<void> {
    await this.#connection.retrier.send({ operation: 'ListObjectsV2' }, () =>
      this.#connection.s3.send(
        new ListObjectsV2Command({
          ...this.#connection.common,
          Prefix: prefix,
          // A store over a file system may walk all that is below the prefix.
          Delimiter: delimiter,
          MaxKeys: 1,
        }),
      ),
    )
  }

  /**
   * A conditional write. `taken` may be our own object: when the answer was lost, the request that
   * was sent again finds it.
   */
  async putIfAbsent(key: string, body: Buffer): Promise<'created' | 'taken'> {
    try {
      await this.#connection.retrier.send(
        { operation: 'PutObject', key },
        () => this.#put(key, body, { IfNoneMatch: '*' }),
        isTaken,
      )
      return 'created'
    } catch (error) {
      if (isTaken(error)) return 'taken'
      throw error
    }
  }

  /** Writes an object and replaces any other with its key. */
  async put(key: string, body: Buffer): Promise<void> {
    await this.#connection.retrier.send({ operation: 'PutObject', key }, () => this.#put(key, body))
  }

  async #put(key: string, body: Buffer, condition: { IfNoneMatch?: '*' } = {}): Promise<void> {
    await this.#connection.s3.send(
      new PutObjectCommand({
        ...this.#connection.common,
        ...storedWith(this.#connection.settings),
        ...condition,
        Key: key,
        Body: body,
        ContentType: 'application/json',
        ...checksummedBy(this.#connection.settings),
      }),
      timeoutOf(this.#connection.settings, body),
    )
  }

  /** @returns undefined if there is no such object. */
  async head(key: string): Promise<ObjectHead | undefined> {
    return this.#orMissing('HeadObject', key, () => this.headOnce(key))
  }

  /** True if there is such an object, and these credentials may look at it. */
  async isVisible(key: string): Promise<boolean> {
    const isHidden = (error: unknown) => isMissing(error) || statusOf(error) === 403
    const looked = this.#connection.retrier.send(
      { operation: 'HeadObject', key },
      () => this.headOnce(key),
      isHidden,
    )
    return looked.then(
      () => true,
      (error: unknown) => {
        if (isHidden(error)) return false
        throw error
      },
    )
  }

  /** `head`, sent once, for a caller that retries by itself. Any error is thrown as it is. */
  async headOnce(key: string): Promise<ObjectHead> {
    const answer = await this.#connection.s3
      .send(new HeadObjectCommand({ ...this.#connection.common, Key: key }))
      .catch(async (error: unknown) => {
        // The answer to a HEAD has no body. That of a GET says whose it is.
        if (error instanceof ForeignAnswer) await this.#getOnce(key, 'bytes=0-0')
        throw error
      })
    return {
      bytes: answer.ContentLength ?? 0,
      etag: answer.ETag ?? '',
      sha256: answer.Metadata?.sha256,
      encryption: answer.ServerSideEncryption,
      storageClass: answer.StorageClass,
    }
  }

  /**
   * Bytes `[from, next)` of an object, fewer at its end.
   * @returns undefined if there is no such object.
   */
  async get(key: string, from: number, next: number): Promise<ObjectPiece | undefined> {
    return this.#orMissing('GetObject', key, async () => {
      try {
        const { body, total } = await this.#getOnce(key, `bytes=${from}-${next - 1}`)
        // A cache between us and the store may ignore the range.
        if (total === undefined) return { body: body.subarray(from, next), bytes: body.length }
        return { body, bytes: total }
      } catch (error) {
        // The range begins behind the end.
        if (statusOf(error) !== 416) throw error
        return { body: Buffer.alloc(0), bytes: from }
      }
    })
  }

  /** @returns `total`, the size of the object; undefined if the body is the whole of it. */
  async #getOnce(
    key: string,
    range: string,
  ): Promise<{ readonly body: Buffer; readonly total: number | undefined }> {
    const answer = await this.#connection.s3.send(
      new GetObjectCommand({ ...this.#connection.common, Key: key, Range: range }),
    )
    const body = Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
    if (body.length !== (answer.ContentLength ?? body.length))
      throw new TruncatedBody(`${body.length} bytes of ${answer.ContentLength} came`)
    const total = /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1]
    return { body, total: total === undefined ? undefined : Number(total) }
  }

  async #orMissing<T>(
    operation: string,
    key: string,
    request: () => Promise<T>,
  ): Promise<T | undefined> {
    return missingAsUndefined(this.#connection.retrier.send({ operation, key }, request, isMissing))
  }

  /** One page: all objects with a prefix, in the order of their bytes, at most 1000. */
  listPage(prefix: string, { after, token }: PageStart = {}): Promise<Page> {
    return this.#list({
      Prefix: prefix,
      ...(after === undefined ? {} : { StartAfter: after }),
      ...(token === undefined ? {} : { ContinuationToken: token }),
    })
  }

  /**
   * One page of what lies directly in a directory: objects and folders whose keys begin with a
   * prefix. Such listings are what guards a flush (P13).
   */
  listNames(prefix: string, token?: string): Promise<Page> {
    return this.#list({
      Prefix: prefix,
      Delimiter: delimiter,
      ...(token === undefined ? {} : { ContinuationToken: token }),
    })
  }

  async #list(which: Omit<ListObjectsV2CommandInput, 'Bucket'>): Promise<Page> {
    const answer = await this.#connection.retrier.send(
      { operation: 'ListObjectsV2', key: which.Prefix },
      () =>
        this.#connection.s3.send(
          new ListObjectsV2Command({
            ...this.#connection.common,
            ...which,
            EncodingType: 'url',
          }),
        ),
    )
    if (answer.IsTruncated === true && answer.NextContinuationToken === undefined)
      throw endlessListing(this.#connection.settings)
    const decode = keyDecoder(answer.EncodingType)
    return {
      objects: (answer.Contents ?? []).map(({ Key = '', Size, ETag, LastModified }) => ({
        key: decode(Key),
        bytes: Size ?? 0,
        etag: ETag ?? '',
        written: LastModified,
      })),
      folders: (answer.CommonPrefixes ?? []).map(({ Prefix = '' }) => decode(Prefix)),
      next: answer.IsTruncated === true ? answer.NextContinuationToken : undefined,
    }
  }

  /** Removes objects, at most 1000; one that is gone is fine. */
  async remove(keys: readonly string[]): Promise<void> {
    const [first] = keys
    if (first === undefined) return
    if (keys.length === 1) return this.#removeOne(first)
    try {
      const failed = await this.#removeMany(keys)
      // If this concerns only some of them, a request for each says why.
      for (const key of failed) await this.#removeOne(key)
    } catch (error) {
      if (!isWithoutBatches(error)) throw error
      for (const key of keys) await this.#removeOne(key)
    }
  }

  async #removeMany(keys: readonly string[]): Promise<readonly string[]> {
    const answer = await this.#connection.retrier.send(
      { operation: 'DeleteObjects', key: keys[0] },
      () =>
        this.#connection.s3.send(
          new DeleteObjectsCommand({
            ...this.#connection.common,
            Delete: { Objects: keys.map((Key) => ({ Key })), Quiet: true },
          }),
        ),
      isWithoutBatches,
    )
    return (answer.Errors ?? []).flatMap(({ Key }) => (Key === undefined ? [] : [Key]))
  }

  async #removeOne(key: string): Promise<void> {
    await this.#orMissing('DeleteObject', key, () =>
      this.#connection.s3.send(new DeleteObjectCommand({ ...this.#connection.common, Key: key })),
    )
  }
}

/** All pages of a listing, one after another. */
export async function* pages(
  pageAt: (token: string | undefined) => Promise<Page>,
): AsyncGenerator<Page, void, undefined> {
  let token: string | undefined
  do {
    const page = await pageAt(token)
    yield page
    token = page.next
  } while (token !== undefined)
}

/**
 * How keys of a listing are read. XML cannot hold every character, and one foreign key with such a
 * character would spoil the whole page. So each listing asks for keys in URL encoding, in which a
 * plus is a blank, as boto does. Stores that do not know it do not say that they did it.
 */
function keyDecoder(encoding: string | undefined): (key: string) => string {
  if (encoding !== 'url') return (key) => key
  return (key) => {
    try {
      return decodeURIComponent(key.replaceAll('+', ' '))
    } catch (error) {
      // Of bytes that are no text: no name of an archive.
      if (error instanceof URIError) return key
      throw error
    }
  }
}

/** Undefined for a request that finds no such object. */
export async function missingAsUndefined<T>(request: Promise<T>): Promise<T | undefined> {
  try {
    return await request
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** True for a store that does not take several keys in one request, or wants an MD5 for it. */
function isWithoutBatches(error: unknown): boolean {
  const code = storeCode(error) ?? ''
  return ['NotImplemented', 'MissingContentMD5', 'InvalidRequest', 'MethodNotAllowed'].includes(
    code,
  )
}
