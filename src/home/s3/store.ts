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
  static async open(settings: BucketSettings, log: Logger, patienceMs: number): Promise<Store> {
    return new Store(await connectStore(settings, log, patienceMs))
  }

  get settings(): BucketSettings {
    return this.#connection.settings
  }

  /** From now on a request is sent until it is answered, however long that takes. */
  waitForEver(): void {
    this.#connection.retrier.patienceMs = Number.POSITIVE_INFINITY
  }

  /** Ends every request, and lets no other begin: see `Retrier.giveUp`. */
  giveUp(): string | undefined {
    const waiting = this.#connection.retrier.giveUp()
    // Connections of requests on their way would keep the process until these time out.
    this.close()
    return waiting
  }

  close(): void {
    this.#connection.s3.destroy()
  }
}
