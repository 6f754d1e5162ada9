import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { installTemplates } from '../../src/elasticsearch/templates/install.ts'
import type { BucketSettings } from '../../src/home/s3/settings.ts'
import { ArchiverError, messageOf } from '../../src/runtime/errors.ts'
import { type ChildOptions, type ChildRun, runNode } from './child.ts'
import { type Data, openData, type Profile } from './data.ts'
import { meter, untilQuiet } from './meter.ts'
import { type Run, runOf } from './run.ts'
import { type Servers, silentLog } from './servers.ts'
import { bytesIn, emptyPlace, placeIn } from './store.ts'

/** The directory of the measured program: this working tree, or that of another commit. */
export interface Program {
  readonly name: string
  readonly root: string
}

export const thisProgram: Program = {
  name: 'archiver',
  root: fileURLToPath(new URL('../..', import.meta.url)),
}

/** What `archiver` starts; older commits have no such command. */
export function entryOf({ root }: Program): string {
  const command = join(root, 'bin/archiver.mjs')
  return existsSync(command) ? command : join(root, 'src/cmd/archiver.ts')
}

export interface ContextOptions {
  readonly servers: Servers
  readonly records: number
  readonly rounds: number
  /** This program, and the one to compare with, if there is one. */
  readonly programs: readonly Program[]
  /** The directory for archives; wiped. */
  readonly directory: string
  /** More options for the measured worker. */
  readonly workerOptions: readonly string[]
  readonly inFlight: number
  readonly bodyBytes: number
  readonly say: (line: string) => void
}

/** What sinks a worker is run with. */
export interface Sinks {
  readonly files: boolean
  readonly elasticsearch: boolean
}

/** An archive that a worker made, and what is to be cleaned up of it. */
export interface Archive {
  readonly group: string
  readonly directory: string
  /** In place of the directory. */
  readonly bucket?: BucketSettings
  readonly indexPrefix: string
}

/** What all cases need: unique names, measuring, and leaving nothing behind. */
export class Context {
  readonly options: ContextOptions
  readonly #client: Elasticsearch
  readonly #name = `bench-${randomBytes(3).toString('hex')}`
  readonly #groups = new Set<string>()
  readonly #prefixes = new Set<string>()
  readonly #made = new Map<string, Promise<unknown>>()
  #archives = 0

  constructor(options: ContextOptions) {
    this.options = options
    this.#client = new Elasticsearch({
      nodes: [options.servers.elasticsearch],
      compression: false,
      requestTimeoutMs: 120_000,
    })
  }

  get servers(): Servers {
    return this.options.servers
  }

  say(line: string): void {
    this.options.say(line)
  }

  /** Makes something once for all cases. */
  once<T>(name: string, make: () => Promise<T>): Promise<T> {
    if (!this.#made.has(name)) this.#made.set(name, make())
    return this.#made.get(name) as Promise<T>
  }

  data(profile: Profile, records = this.options.records): Promise<Data> {
    return openData(this.servers.kafka, profile, records, this.options.say)
  }

  /** A name for a group that is deleted at the end. */
  group(): string {
    const group = `${this.#name}-${++this.#archives}`
    this.#groups.add(group)
    return group
  }

  /**
   * An archive that does not exist yet. Of the same `stem`, index names are as long in every round.
   */
  archive(stem: string): Archive {
    const group = this.group()
    const indexPrefix = `${this.#name}-${stem}-`
    this.#prefixes.add(indexPrefix)
    return { group, directory: join(this.options.directory, group), indexPrefix }
  }

  /** The same in the bucket of the object store. */
  bucketArchive(stem: string): Archive {
    const archive = this.archive(stem)
    const bucket = placeIn(this.servers.store!, archive.group)
    return { ...archive, directory: `s3://${bucket.bucket}/${bucket.prefix}`, bucket }
  }

  /** The prefix of indices that another program than a worker fills; installs the templates. */
  async templatesFor(stem: string): Promise<string> {
    const { indexPrefix } = this.archive(stem)
    await this.#client.detect()
    await installTemplates(this.#client, indexPrefix, silentLog)
    return indexPrefix
  }

  /** Waits until the servers are quiet, runs a process, and measures it and them. */
  async measure(
    start: () => Promise<ChildRun>,
    made: (
      child: ChildRun,
    ) => Promise<{ records: number; fileBytes?: number; indexBytes?: number }>,
  ): Promise<Run> {
    const { pids } = this.servers
    await untilQuiet([pids.kafka, pids.elasticsearch, pids.store])
    const end = meter(pids)
    const child = await start()
    const metered = end(child.usage.cpuSeconds)
    return runOf(child, metered, await made(child))
  }

  /** The words of a worker that archives a topic to its present end. */
  workerWords(
    archive: Archive,
    topic: string,
    sinks: Sinks,
    more: readonly string[] = [],
  ): string[] {
    const words = [
      'run',
      '--brokers',
      this.servers.brokers,
      '--topics',
      topic,
      '--group',
      archive.group,
    ]
    if (sinks.files) words.push(...archiveWords(archive))
    else words.push('--no-files')
    if (sinks.elasticsearch)
      words.push(
        '--elasticsearch',
        this.servers.elasticsearch,
        '--index-prefix',
        archive.indexPrefix,
      )
    else words.push('--no-elasticsearch')
    return [...words, ...this.options.workerOptions, ...more]
  }

  /** Runs a worker from an empty group until all is acknowledged; the archive stays. */
  async work(program: Program, data: Data, sinks: Sinks, archive: Archive): Promise<Run> {
    if (sinks.files) await mkdir(this.options.directory, { recursive: true })
    const words = this.workerWords(archive, data.topic, sinks, ['--until-end'])
    return await this.measure(
      () => this.runArchiver(program, words, { begins: 'joined the group' }),
      async ({ output }) => {
        checkAccount(output, data.records)
        return {
          records: data.records,
          ...(sinks.files ? { fileBytes: await this.fileBytes(archive) } : {}),
          ...(sinks.elasticsearch
            ? { indexBytes: await this.indexBytes(archive.indexPrefix, data.records) }
            : {}),
        }
      },
    )
  }

  runArchiver(
    program: Program,
    words: readonly string[],
    options: Pick<ChildOptions, 'begins' | 'discards'> = {},
  ): Promise<ChildRun> {
    return runNode(entryOf(program), words, {
      ...options,
      cwd: program.root,
    })
  }

  /** Bytes of all data files. */
  async fileBytes({ directory, bucket }: Archive): Promise<number> {
    if (bucket !== undefined) return bytesIn(bucket)
    let bytes = 0
    for (const path of await dataFiles(directory)) bytes += (await stat(path)).size
    return bytes
  }

  /** Bytes of the primary shards; throws if they do not hold this number of documents. */
  async indexBytes(indexPrefix: string, documents: number): Promise<number> {
    await this.#client.request('POST', [`${indexPrefix}*`, '_refresh'])
    // The figures of `_stats` count each nested object as a document.
    const found = await this.#client.request<{ count: number }>('GET', [
      `${indexPrefix}*`,
      '_count',
    ])
    if (found.body.count !== documents) {
      throw new ArchiverError(
        'INTERNAL',
        `${indexPrefix}* holds ${found.body.count} documents instead of ${documents}`,
      )
    }
    const { body } = await this.#client.request<{
      _all: { primaries: { store: { size_in_bytes: number } } }
    }>('GET', [`${indexPrefix}*`, '_stats', 'store'])
    return body._all.primaries.store.size_in_bytes
  }

  /** By name: clusters refuse to delete by a pattern. */
  async deleteIndices(indexPrefix: string): Promise<void> {
    const { body } = await this.#client.request<Record<string, unknown>>(
      'GET',
      [`${indexPrefix}*`, '_settings'],
      {
        query: { filter_path: '*.settings.index.uuid' },
        ignore: [404],
      },
    )
    for (const index of Object.keys(body ?? {})) {
      if (index.startsWith(indexPrefix)) await this.#client.request('DELETE', [index])
    }
  }

  async deleteArchive(archive: Archive, sinks: Sinks): Promise<void> {
    if (archive.bucket !== undefined) await emptyPlace(archive.bucket)
    else if (sinks.files) await rm(archive.directory, { recursive: true, force: true })
    if (sinks.elasticsearch) await this.deleteIndices(archive.indexPrefix)
  }

  /** Deletes whatever was made, also after a failure. */
  async close(): Promise<void> {
    await rm(this.options.directory, { recursive: true, force: true })
    if (this.servers.usesElasticsearch) {
      for (const prefix of this.#prefixes) {
        await this.deleteIndices(prefix)
        await this.#deleteTemplates(prefix)
      }
    }
    await this.#client.close()
    const admin = this.servers.kafka.admin()
    await admin.connect()
    try {
      const known = new Set((await admin.listGroups()).groups.map(({ groupId }) => groupId))
      const groups = [...this.#groups].filter((group) => known.has(group))
      if (groups.length > 0) await admin.deleteGroups(groups)
    } catch (error) {
      this.say(`groups ${this.#name}-* are left: ${messageOf(error)}`)
    } finally {
      await admin.disconnect()
    }
  }

  async #deleteTemplates(prefix: string): Promise<void> {
    const { body } = await this.#client.request<{ index_templates?: { name: string }[] }>(
      'GET',
      ['_index_template', `${prefix}*`],
      { ignore: [404] },
    )
    for (const { name } of body.index_templates ?? []) {
      if (name.startsWith(prefix)) await this.#client.request('DELETE', ['_index_template', name])
    }
  }
}

/** The options that name an archive. */
export function archiveWords({ directory, bucket }: Archive): string[] {
  const words = ['--archive-dir', directory]
  if (bucket !== undefined) words.push('--s3-endpoint', bucket.endpoint!, '--s3-path-style')
  return words
}

/** What readers see: the data files below the directories of types. */
export async function dataFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.jsonl.gz'))
    .map((entry) => join(entry.parentPath, entry.name))
}

/** The worker's own account at its end must name every record. */
function checkAccount(output: string, records: number): void {
  const line = output
    .split('\n')
    .find(
      (candidate) =>
        candidate.includes('"acknowledged"') && /"worker_stopped"|stopped after/.test(candidate),
    )
  const account =
    line === undefined ? undefined : (JSON.parse(line) as { acknowledged: Record<string, number> })
  const counts = Object.values(account?.acknowledged ?? {})
  if (counts.length === 0 || counts.some((count) => count !== records)) {
    throw new ArchiverError(
      'INTERNAL',
      `the worker did not acknowledge ${records} records: ${output.trimEnd().split('\n').slice(-5).join(' | ')}`,
    )
  }
}
