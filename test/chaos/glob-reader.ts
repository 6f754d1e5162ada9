import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import type { BucketSettings } from '../../src/home/s3/settings.ts'
import { pause } from './breaker.ts'

/** What the name of a data file says. */
interface Seen {
  readonly key: string
  /** The directory, topic and partition. */
  readonly group: string
  readonly topic: string
  readonly partition: string
  readonly first: number
  readonly last: number
}

/** How long a look may find something wrong before it counts, in ms: what it listed was moving. */
const confirmMs = 1000
const looks = 4

/**
 * Lists the files of an archive in a bucket all the while, as DuckDB or Spark do. Two files of one
 * type, hour and partition must not have offsets in common, except for a merged file beside those
 * that it replaces. A file that was there must stay, or a merged file must have its offsets.
 */
export class GlobReader {
  readonly #s3: S3Client
  readonly #settings: BucketSettings
  readonly #problems: string[]
  #reading = true
  #running: Promise<void> = Promise.resolve()
  #before: readonly Seen[] = []
  listings = 0

  constructor({ settings }: { readonly settings: BucketSettings }, problems: string[]) {
    this.#settings = settings
    this.#problems = problems
    this.#s3 = new S3Client({
      ...{ endpoint: settings.endpoint!, region: settings.region!, forcePathStyle: true },
      maxAttempts: 1,
    })
  }

  start(): void {
    this.#running = (async () => {
      while (this.#reading) {
        await this.#look().catch(() => {}) // The store is away, on purpose.
        await pause(300)
      }
    })()
  }

  /** Looks a last time: now nothing is moving. */
  async stop(): Promise<void> {
    this.#reading = false
    await this.#running
    await this.#look()
    if (this.listings < 5) this.#problems.push(`the bucket was listed ${this.listings} times only`)
    this.#s3.destroy()
  }

  async #look(): Promise<void> {
    let files = await this.#list()
    let wrong = await this.#wrongWith(files)
    for (let look = 1; wrong.length > 0 && look < looks; look++) {
      await pause(confirmMs / looks)
      files = await this.#list()
      const still = new Set(await this.#wrongWith(files))
      wrong = wrong.filter((one) => still.has(one))
    }
    this.#problems.push(...wrong)
    this.#before = files
    this.listings++
  }

  async #list(): Promise<readonly Seen[]> {
    const { bucket, prefix } = this.#settings
    const files: Seen[] = []
    let token: string | undefined
    do {
      const page = await this.#s3.send(
        new ListObjectsV2Command({
          ...{ Bucket: bucket, Prefix: `${prefix}/type=` },
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      )
      for (const { Key } of page.Contents ?? []) {
        const match = /^(.+)\/([^/]+)\+(\d+)\+(\d{20})-(\d{20})\.jsonl\.gz$/.exec(Key!)
        if (match === null) continue
        const [key, directory, topic, partition, first, last] = match
        files.push({
          ...{ key: key!, topic: topic!, partition: partition! },
          group: `${directory}/${topic}/${partition}`,
          ...{ first: Number(first), last: Number(last) },
        })
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined
    } while (token !== undefined)
    return files
  }

  async #wrongWith(files: readonly Seen[]): Promise<string[]> {
    const wrong: string[] = []
    const groups = Map.groupBy(files, ({ group }) => group)
    for (const group of groups.values()) {
      const sorted = group.toSorted((a, b) => a.first - b.first || b.last - a.last)
      let widest: Seen | undefined
      for (const file of sorted) {
        if (widest !== undefined && file.first <= widest.last) {
          const isMerged = file.last <= widest.last && (await this.#replaces(widest, file))
          if (!isMerged) wrong.push(`a reader saw ${widest.key} beside ${file.key}`)
        }
        if (widest === undefined || file.last > widest.last) widest = file
      }
    }
    const present = new Set(files.map(({ key }) => key))
    for (const { key, group, first, last } of this.#before) {
      if (present.has(key)) continue
      const isReplaced = groups
        .get(group)
        ?.some((other) => other.first <= first && last <= other.last)
      if (isReplaced !== true) wrong.push(`a reader saw ${key} vanish, and nothing has its offsets`)
    }
    return wrong
  }

  /** True if a compacted manifest says that a file was merged into another one. */
  async #replaces(larger: Seen, smaller: Seen): Promise<boolean> {
    const { bucket, prefix } = this.#settings
    const path = (key: string) => key.slice(prefix.length + 1)
    const directory = `${prefix}/_manifests/${larger.topic}/${larger.partition}/`
    const page = await this.#s3.send(
      new ListObjectsV2Command({ Bucket: bucket, Prefix: `${directory}compacted-` }),
    )
    for (const { Key } of page.Contents ?? []) {
      const got = await this.#s3
        .send(new GetObjectCommand({ Bucket: bucket, Key }))
        .catch(() => undefined)
      if (got === undefined) continue
      const { files } = JSON.parse(await got.Body!.transformToString()) as {
        files: readonly { readonly path: string; readonly replaces?: readonly string[] }[]
      }
      const merged = files.find((file) => file.path === path(larger.key))
      if (merged?.replaces?.includes(path(smaller.key)) === true) return true
    }
    return false
  }
}
