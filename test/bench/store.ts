import { join } from 'node:path'
import type { BucketSettings } from '../../src/home/s3/settings.ts'
import { Store } from '../../src/home/s3/store.ts'
import { inLanes } from '../../src/runtime/lanes.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { bucketSettings, environmentKeys } from '../helpers/object-stores.ts'
import { launchVersitygw } from '../helpers/versitygw.ts'

/** The object store that archives in buckets are measured on. */
export interface BenchStore {
  readonly url: string
  /** Undefined if it is to be found by its port. */
  readonly pid: number | undefined
  stop(): Promise<void>
}

/** @param address an endpoint, or `versitygw` for one of its own over `directory`. */
export async function openStore(address: string, directory: string): Promise<BenchStore> {
  if (address !== 'versitygw') return { url: address, pid: undefined, stop: async () => {} }
  const running = await launchVersitygw(join(directory, 'versitygw'), {
    owner: environmentKeys(),
  })
  if (running === undefined) throw new Error('versitygw needs go, which is not installed')
  return running
}

const silent = createLogger({ level: 'silent', stream: process.stderr })

/** Does something with the objects of one archive. */
export async function withBucket<T>(
  settings: BucketSettings,
  task: (store: Store) => Promise<T>,
): Promise<T> {
  const store = await Store.open(settings, silent, 60_000)
  try {
    return await task(store)
  } finally {
    store.close()
  }
}

/** A place of its own in the bucket of a store. */
export function placeIn({ url }: BenchStore, prefix: string): BucketSettings {
  return bucketSettings(url, { prefix })
}

/** Bytes of all data files below a place. */
export async function bytesIn(settings: BucketSettings): Promise<number> {
  let bytes = 0
  for await (const object of objectsIn(settings))
    if (object.key.endsWith('.jsonl.gz')) bytes += object.bytes
  return bytes
}

/** Removes everything below a place. */
export async function emptyPlace(settings: BucketSettings): Promise<void> {
  const keys: string[] = []
  for await (const { key } of objectsIn(settings)) keys.push(key)
  await withBucket(settings, ({ objects }) =>
    inLanes(inPages(keys), (page) => objects.remove(page)),
  )
}

/** As many keys at a time as one request removes. */
export function* inPages(keys: readonly string[]): Generator<readonly string[]> {
  for (let at = 0; at < keys.length; at += 1000) yield keys.slice(at, at + 1000)
}

async function* objectsIn(settings: BucketSettings) {
  const store = await Store.open(settings, silent, 60_000)
  try {
    let token: string | undefined
    do {
      const page = await store.objects.listPage(`${settings.prefix}/`, { token })
      yield* page.objects
      token = page.next
    } while (token !== undefined)
  } finally {
    store.close()
  }
}
