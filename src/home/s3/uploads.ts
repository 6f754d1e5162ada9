import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetBucketLifecycleConfigurationCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import {
  checksumAlgorithms,
  checksummedBy,
  type StoreConnection,
  storedWith,
  timeoutOf,
} from './connection.ts'
import { isLostUpload, StillNowhere, statusOf, storeCode } from './errors.ts'
import { endlessListing } from './explain.ts'
import { missingAsUndefined, type ObjectHead, type Objects } from './objects.ts'
import type { ChecksumChoice } from './settings.ts'

/** A part of an upload, as its completion names it. */
export interface UploadedPart {
  readonly etag: string
  /** Base64; absent without `--s3-checksum`. */
  readonly checksum?: string | undefined
}

/** An upload whose parts are all there. */
export interface StoredUpload {
  readonly id: string
  readonly parts: readonly UploadedPart[]
}

/** What an object must be to be the one that was uploaded. */
export interface ObjectFacts {
  readonly bytes: number
  readonly sha256: string
}

/** An upload that was begun and not completed. */
export interface OpenUpload {
  readonly key: string
  readonly id: string
  readonly initiated: Date | undefined
}

/** How often an upload and its object are looked for before they are nowhere: some seconds. */
const maxLooks = 4

/** Requests about multipart uploads: what a flush commits is one until it is completed. */
export class Uploads {
  readonly #connection: StoreConnection
  readonly #objects: Objects

  constructor(connection: StoreConnection, objects: Objects) {
    this.#connection = connection
    this.#objects = objects
  }

  /** Begins an upload of a data file. The object says in its metadata what it will hold. */
  async create(key: string, sha256: string): Promise<string> {
    const { storageClass } = this.#connection.settings
    const answer = await this.#connection.retrier.send(
      { operation: 'CreateMultipartUpload', key },
      () =>
        this.#connection.s3.send(
          new CreateMultipartUploadCommand({
            ...this.#connection.common,
            ...storedWith(this.#connection.settings),
            Key: key,
            // Never Content-Encoding: a client would decompress it under a name that ends in .gz.
            ContentType: 'application/gzip',
            Metadata: { sha256 },
            ...(storageClass === undefined ? {} : { StorageClass: storageClass as 'STANDARD' }),
            ...checksummedBy(this.#connection.settings),
          }),
        ),
    )
    return answer.UploadId ?? ''
  }

  /** @param number from 1. */
  async uploadPart(key: string, id: string, number: number, body: Buffer): Promise<UploadedPart> {
    const answer = await this.#connection.retrier.send({ operation: 'UploadPart', key }, () =>
      this.#connection.s3.send(
        new UploadPartCommand({
          ...this.#connection.common,
          Key: key,
          UploadId: id,
          PartNumber: number,
          Body: body,
          ...checksummedBy(this.#connection.settings),
        }),
        timeoutOf(this.#connection.settings, body),
      ),
    )
    const { ETag, ChecksumCRC32, ChecksumCRC32C, ChecksumSHA256 } = answer
    const checksum = {
      none: undefined,
      crc32: ChecksumCRC32,
      crc32c: ChecksumCRC32C,
      sha256: ChecksumSHA256,
    }[this.#connection.settings.checksum]
    return { etag: ETag ?? '', ...(checksum === undefined ? {} : { checksum }) }
  }

  /**
   * Makes an upload the object. Anybody may call it, at any time, any number of times. After an
   * answer that is no success, it looks at the object. Only the intended object counts
   * (ClickHouse/ClickHouse#113994 counted a foreign one). It sends no `If-None-Match`, on purpose:
   * Amazon answers a conflict with 409 and asks for a new upload, and this one is the only copy.
   *
   * @returns false if it is nowhere: no open upload, and not the object.
   */
  async complete(key: string, upload: StoredUpload, facts: ObjectFacts): Promise<boolean> {
    let looks = 0
    return this.#connection.retrier.send(
      { operation: 'CompleteMultipartUpload', key },
      async () => {
        try {
          await this.#completeOnce(key, upload)
          return true
        } catch (error) {
          // Not by `head`: this request holds a lane already.
          if (isObject(await missingAsUndefined(this.#objects.headOnce(key)), facts)) return true
          if (!isLostUpload(error)) throw error
          // Another completion may be running: a store may forget the upload before it shows the
          // object.
          if (++looks === maxLooks) return false
          throw new StillNowhere(`${key} is neither an upload nor an object`, { cause: error })
        }
      },
    )
  }

  /** True if the object has this size and was written as this content. */
  async isThere(key: string, facts: ObjectFacts): Promise<boolean> {
    return isObject(await this.#objects.head(key), facts)
  }

  async #completeOnce(key: string, { id, parts }: StoredUpload): Promise<void> {
    const { checksum } = this.#connection.settings
    await this.#connection.s3.send(
      new CompleteMultipartUploadCommand({
        ...this.#connection.common,
        Key: key,
        UploadId: id,
        MultipartUpload: {
          Parts: parts.map((part, i) => ({
            PartNumber: i + 1,
            ETag: part.etag,
            ...checksumOf(checksum, part.checksum),
          })),
        },
      }),
    )
  }

  /** Ends an upload; one that is gone, or completed, is fine. */
  async abort(key: string, id: string): Promise<void> {
    const isGone = (error: unknown) =>
      storeCode(error) === 'NoSuchUpload' || statusOf(error) === 404
    try {
      await this.#connection.retrier.send(
        { operation: 'AbortMultipartUpload', key },
        () =>
          this.#connection.s3.send(
            new AbortMultipartUploadCommand({ ...this.#connection.common, Key: key, UploadId: id }),
          ),
        isGone,
      )
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }

  /** True while an upload can be completed. */
  async isOpen(key: string, id: string): Promise<boolean> {
    const isGone = (error: unknown) =>
      storeCode(error) === 'NoSuchUpload' || statusOf(error) === 404
    try {
      const { Parts = [] } = await this.#connection.retrier.send(
        { operation: 'ListMultipartUploadParts', key },
        () =>
          this.#connection.s3.send(
            new ListPartsCommand({
              ...this.#connection.common,
              Key: key,
              UploadId: id,
              MaxParts: 1,
            }),
          ),
        isGone,
      )
      // S3Proxy lists no parts of an upload that is gone, and ours have one at least.
      return Parts.length > 0
    } catch (error) {
      if (isGone(error)) return false
      throw error
    }
  }

  /**
   * The open uploads of the bucket. MinIO lists none for the prefix of a directory. So this asks
   * for all and selects those with the prefix.
   * Keys come as they are: who ends an upload must not guess how a store encoded its key.
   */
  async *list(prefix: string): AsyncGenerator<OpenUpload> {
    let KeyMarker: string | undefined
    let UploadIdMarker: string | undefined
    for (;;) {
      const answer = await this.#connection.retrier.send(
        { operation: 'ListMultipartUploads' },
        () =>
          this.#connection.s3.send(
            new ListMultipartUploadsCommand({
              ...this.#connection.common,
              ...(KeyMarker === undefined ? {} : { KeyMarker }),
              ...(UploadIdMarker === undefined ? {} : { UploadIdMarker }),
            }),
          ),
      )
      for (const { Key = '', UploadId, Initiated } of answer.Uploads ?? []) {
        if (Key.startsWith(prefix) && UploadId !== undefined)
          yield { key: Key, id: UploadId, initiated: Initiated }
      }
      if (answer.IsTruncated !== true) return
      if (answer.NextKeyMarker === undefined) throw endlessListing(this.#connection.settings)
      KeyMarker = answer.NextKeyMarker
      UploadIdMarker = answer.NextUploadIdMarker
    }
  }

  /**
   * After how many days the bucket ends uploads below a prefix: the shortest time of its rules.
   * Undefined if no rule applies, if there are no rules, or if the credentials may not read them.
   */
  async abortAfterDays(prefix: string): Promise<number | undefined> {
    const isAnswer = (error: unknown) => {
      const status = statusOf(error)
      return (
        status !== undefined && (status < 500 || status === 501) && status !== 409 && status !== 429
      )
    }
    try {
      const { Rules = [] } = await this.#connection.retrier.send(
        { operation: 'GetBucketLifecycleConfiguration' },
        () =>
          this.#connection.s3.send(
            new GetBucketLifecycleConfigurationCommand(this.#connection.common),
          ),
        isAnswer,
      )
      const days = Rules.flatMap(({ Status, Filter, Prefix, AbortIncompleteMultipartUpload }) => {
        const begins = Filter?.Prefix ?? Filter?.And?.Prefix ?? Prefix ?? ''
        const isOurs = begins.startsWith(prefix) || prefix.startsWith(begins)
        const after = AbortIncompleteMultipartUpload?.DaysAfterInitiation
        return Status === 'Enabled' && isOurs && after !== undefined ? [after] : []
      })
      return days.length === 0 ? undefined : Math.min(...days)
    } catch (error) {
      if (isAnswer(error)) return undefined
      throw error
    }
  }
}

function isObject(head: ObjectHead | undefined, { bytes, sha256 }: ObjectFacts): boolean {
  return head?.bytes === bytes && head.sha256 === sha256
}

function checksumOf(choice: ChecksumChoice, checksum: string | undefined) {
  if (choice === 'none' || checksum === undefined) return {}
  return { [`Checksum${checksumAlgorithms[choice]}`]: checksum }
}
