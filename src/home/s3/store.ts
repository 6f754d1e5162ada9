import type { Logger } from '../../runtime/log.ts'
import { connectStore, type StoreConnection } from './connection.ts'
import { Objects } from './objects.ts'
import type { BucketSettings } from './settings.ts'
import { Uploads } from './uploads.ts'

/** A bucket: the requests that an archive makes of it. */
export class Store {
  readonly objects: Objects
  readonly uploads: Uploads
  readonly #connection: StoreConnection

  private constructor(connection: StoreConnection) {
    this.#connection = connection
    this.objects = new Objects(connection)
    this.uploads = new Uploads(connection, this.objects)
  }

  /** See `connectStore`. */
  static async open(
    settings: BucketSettings,
    log: Logger,
    retries: { readonly patienceMs: number; readonly signal?: AbortSignal },
  ): Promise<Store> {
    return new Store(await connectStore(settings, log, retries))
  }

  get settings(): BucketSettings {
    return this.#connection.settings
  }

  /** From now on a request is sent until it is answered, however long that takes. */
  waitForEver(): void {
    this.#connection.retrier.patienceMs = Number.POSITIVE_INFINITY
  }

  close(): void {
    this.#connection.s3.destroy()
  }
}
