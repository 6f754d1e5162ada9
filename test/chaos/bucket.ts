import { join } from 'node:path'
import { S3Home } from '../../src/home/s3/home.ts'
import { type BucketSettings, usualSettings } from '../../src/home/s3/settings.ts'
import { createLogger } from '../../src/runtime/log.ts'
import {
  s3AccessKey,
  s3Bucket,
  s3Buckets,
  s3Credentials,
  s3SecretKey,
  s3Url,
} from '../../stack/s3proxy-part.ts'
import type { Stack } from '../../stack/stack-control.ts'
import {
  conflict,
  errorInside,
  type Fault,
  FaultyStore,
  slowDown,
} from '../helpers/faulty-store.ts'
import { launchVersitygw, type RunningVersitygw } from '../helpers/versitygw.ts'
import { pause } from './breaker.ts'
import type { StoreAction } from './plan.ts'

export type StoreName = 's3proxy' | 'versitygw'

/** The server of a store, as a run breaks it. */
interface StoreServer {
  start(): Promise<void>
  stop(): Promise<void>
  kill(): Promise<void>
  signal(signal: 'SIGSTOP' | 'SIGCONT'): boolean
}

/** What happens to requests while an action lasts. Every third one of these gets through. */
const requestFaults: Readonly<
  Partial<Record<StoreAction, { readonly fault: Fault; readonly operations?: RegExp }>>
> = {
  'store-503': { fault: slowDown },
  'store-409': { fault: conflict, operations: /^(PutObject|CompleteMultipartUpload)$/ },
  'store-lost-answers': { fault: { kind: 'lost-answer' } },
  'store-resets': { fault: { kind: 'reset' } },
  'store-cut-bodies': { fault: { kind: 'cut-body' } },
  'store-error-inside': { fault: errorInside, operations: /^CompleteMultipartUpload$/ },
  'store-late': { fault: { kind: 'late', ms: 1500 } },
  'store-slow': { fault: { kind: 'delay', ms: 1000 } },
}

const silent = createLogger({ level: 'silent', stream: process.stderr })

/** A bucket as the home of an archive: a store of the run, and an endpoint in front of it. */
export class ChaosBucket implements AsyncDisposable {
  readonly #server: StoreServer
  readonly #proxy: FaultyStore
  /** The folder that has the objects of the archive, as the store keeps them. */
  readonly root: string
  /** How the store itself is reached. */
  readonly settings: BucketSettings
  /** For workers: they reach the store by the endpoint in front of it. */
  readonly arguments: readonly string[]

  private constructor(
    server: StoreServer,
    proxy: FaultyStore,
    at: { readonly root: string; readonly settings: BucketSettings },
  ) {
    this.#server = server
    this.#proxy = proxy
    this.root = at.root
    this.settings = at.settings
    const { bucket, prefix, region } = at.settings
    this.arguments = [
      ...['--archive-dir', `s3://${bucket}/${prefix}`, '--s3-endpoint', proxy.url],
      ...['--s3-path-style', '--s3-region', region!, '--s3-timeout', '5'],
    ]
  }

  /** Starts the store; the archive gets a prefix of its own. */
  static async start(stack: Stack, name: StoreName, prefix: string): Promise<ChaosBucket> {
    Object.assign(process.env, s3Credentials, { AWS_EC2_METADATA_DISABLED: 'true' })
    const { settings } = stack
    const folder = join(settings.dir, 'versitygw')
    const server = name === 's3proxy' ? s3Proxy(stack) : versitygw(folder, settings.s3Port)
    await server.start()
    const proxy = await FaultyStore.start(s3Url(settings))
    proxy.keepsRequests = false
    const objects = name === 's3proxy' ? s3Buckets(settings.dir) : folder
    return new ChaosBucket(server, proxy, {
      root: join(objects, s3Bucket, prefix),
      settings: {
        ...usualSettings,
        ...{ endpoint: s3Url(settings), region: 'us-east-1', pathStyle: true },
        ...{ bucket: s3Bucket, prefix },
      },
    })
  }

  /** @returns false if there was nothing to break. */
  async suffer(action: StoreAction, ms: number): Promise<boolean> {
    switch (action) {
      case 'store-ends-uploads':
        return (await this.#endUploads()) > 0
      case 'store-kill':
      case 'store-restart':
        if (action === 'store-kill') await this.#server.kill()
        else await this.#server.stop()
        await pause(ms)
        await this.#server.start()
        return true
      case 'store-freeze':
        if (!this.#server.signal('SIGSTOP')) return false
        await pause(ms)
        this.#server.signal('SIGCONT')
        return true
      case 'store-forgets-completed':
        this.#proxy.forgetsCompleted = true
        break
      default: {
        const { fault, operations = /./ } = requestFaults[action]!
        let count = 0
        this.#proxy.rule = ({ operation }) =>
          operations.test(operation) && ++count % 3 !== 0 ? fault : undefined
      }
    }
    await pause(ms)
    this.heal()
    return true
  }

  /** Requests reach the store unchanged. */
  heal(): void {
    this.#proxy.rule = () => undefined
    this.#proxy.forgetsCompleted = false
  }

  /** As a lifecycle rule does, and whatever the workers are at. */
  async #endUploads(): Promise<number> {
    await using home = await S3Home.open(this.settings, {
      ...{ scratchDir: '/nonexistent', log: silent, patienceMs: 10_000 },
    })
    let ended = 0
    for await (const upload of home.openUploads()) {
      await home.abortUpload(upload)
      ended++
    }
    return ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy[Symbol.asyncDispose]()
    await this.#server.stop()
  }
}

function s3Proxy(stack: Stack): StoreServer {
  return {
    start: () => stack.start('s3'),
    stop: async () => void (await stack.stop('s3')),
    kill: async () => void (await stack.s3.kill()),
    signal: (signal) => stack.s3.signal(signal),
  }
}

/** It has no shutdown of its own: a stop is a kill. */
function versitygw(root: string, port: number): StoreServer {
  const owner = { accessKeyId: s3AccessKey, secretAccessKey: s3SecretKey }
  let running: RunningVersitygw | undefined
  const end = async () => {
    if (running !== undefined) process.kill(running.pid, 'SIGCONT')
    await running?.stop()
    running = undefined
  }
  return {
    async start() {
      running ??= await launchVersitygw(root, { owner, port })
      if (running === undefined) throw new Error('versitygw cannot be built: there is no Go')
    },
    stop: end,
    kill: end,
    signal: (signal) => running !== undefined && process.kill(running.pid, signal),
  }
}
