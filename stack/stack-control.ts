import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { freemem } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { flagName } from '../src/config/options.ts'
import { messageOf, systemCode } from '../src/runtime/errors.ts'
import {
  certificateFile,
  elasticsearchDir,
  elasticsearchPart,
  newestElasticsearch,
} from './elasticsearch-part.ts'
import type { Progress } from './fetch.ts'
import { findJavas, type Java } from './java.ts'
import { kafkaPart } from './kafka-part.ts'
import { mariadbCertificate, mariadbPart, mariadbUrl } from './mariadb-part.ts'
import { Part, type PartStatus } from './part.ts'
import { readCommandLine } from './process-table.ts'
import { s3Buckets, s3proxyPart, s3Url } from './s3proxy-part.ts'
import {
  mebibyte,
  type PartName,
  partNames,
  readSavedSettings,
  resolveSettings,
  type StackOptions,
  type StackSettings,
  settingsFile,
  usualParts,
} from './settings.ts'
import { otherWay, StackError } from './stack-error.ts'

const silent: Progress = { update: () => {}, say: () => {} }

/**
 * A real Kafka and a real Elasticsearch in one folder; on request also a MariaDB and an object
 * store. Each is a process of its own that outlives the program that started it. Tests start,
 * freeze and kill the parts one by one: `stack.kafka.signal('SIGSTOP')`,
 * `stack.elasticsearch.kill()`, then `stack.start('kafka')`.
 */
export class Stack {
  readonly settings: StackSettings
  readonly kafka: Part
  readonly elasticsearch: Part
  readonly mariadb: Part
  readonly s3: Part
  readonly #progress: Progress

  constructor(settings: StackSettings, javas: () => readonly Java[], progress: Progress) {
    this.settings = settings
    this.kafka = new Part(kafkaPart(settings, javas))
    this.elasticsearch = new Part(elasticsearchPart(settings, javas))
    this.mariadb = new Part(mariadbPart(settings, javas))
    this.s3 = new Part(s3proxyPart(settings, javas))
    this.#progress = progress
  }

  /** For `--brokers`. */
  get brokers(): string {
    return this.kafka.definition.address
  }

  /** For `--elasticsearch`. */
  get elasticsearchUrl(): string {
    return this.elasticsearch.definition.address
  }

  /** For `--mysql`. */
  get mysqlUrl(): string {
    return mariadbUrl(this.settings)
  }

  /** For `--mysql`, with every right. */
  get mysqlRootUrl(): string {
    return mariadbUrl(this.settings, 'root')
  }

  /** For `--mysql-ca`. */
  get mysqlCertificateFile(): string {
    return mariadbCertificate(this.settings.dir)
  }

  /** For `--s3-endpoint`. */
  get s3Url(): string {
    return s3Url(this.settings)
  }

  /** The folder of a bucket of the store, its objects as files. */
  s3BucketFolder(bucket: string): string {
    return join(s3Buckets(this.settings.dir), bucket)
  }

  /** The file that a client of Elasticsearch trusts if security is on. */
  get certificateFile(): string {
    return certificateFile(this.settings.dir)
  }

  #parts(names: readonly PartName[]): readonly Part[] {
    return names.map((name) => this[name])
  }

  /**
   * Starts what does not run yet, and returns when all of it answers. Harmless if it already
   * runs. Without names: Kafka and Elasticsearch.
   *
   * @throws StackError one sentence with what to do: a port that is taken, no fitting Java, no
   *   Maven, too little memory, a start that failed, other settings than those it runs with.
   */
  async start(...names: readonly PartName[]): Promise<void> {
    const parts = this.#parts(names.length === 0 ? usualParts : names)
    makeFolder(this.settings.dir)
    await using _ = await lock(this.settings.dir, this.#progress)
    this.#refuseOtherSettings()
    const missing = parts.filter((part) => part.pid === undefined)
    checkMemory(missing, availableMemory())
    for (const part of missing) await part.checkPorts()
    this.#save()
    const results = await Promise.allSettled(parts.map((part) => part.start(this.#progress)))
    const failures = results.flatMap((result) =>
      result.status === 'rejected' ? [result.reason as unknown] : [],
    )
    if (failures.length > 0) throw failures[0]
  }

  /** Stops cleanly; returns the parts that ran. */
  async stop(...names: readonly PartName[]): Promise<readonly PartName[]> {
    const parts = this.#parts(names.length === 0 ? partNames : names)
    const stopped = await Promise.all(parts.map((part) => part.stop(this.#progress)))
    return parts.filter((_, index) => stopped[index]).map((part) => part.definition.name)
  }

  /** Of the usual parts, and of others that run. */
  async status(): Promise<readonly PartStatus[]> {
    const parts = this.#parts(partNames).filter(
      ({ definition, pid }) => usualParts.includes(definition.name) || pid !== undefined,
    )
    return await Promise.all(parts.map((part) => part.status()))
  }

  /**
   * Stops, and deletes the data, the logs and the settings; the downloads stay unless they are
   * asked for too.
   */
  async wipe(options: { downloads?: boolean } = {}): Promise<void> {
    await this.stop()
    const { dir, cacheDir } = this.settings
    const elasticsearch = elasticsearchDir(dir)
    const moved = dirname(elasticsearch) === dir ? [] : [dirname(elasticsearch)]
    for (const path of [
      join(dir, 'kafka'),
      join(dir, 'mariadb'),
      join(dir, 's3'),
      elasticsearch,
      ...moved,
      settingsFile(dir),
    ]) {
      rmSync(path, { recursive: true, force: true })
    }
    if (options.downloads === true) rmSync(cacheDir, { recursive: true, force: true })
    if (existsSync(dir) && readdirSync(dir).length === 0) rmdirSync(dir)
  }

  /**
   * A part that runs keeps the ports and versions it began with; asking for others is a mistake
   * worth a word.
   */
  #refuseOtherSettings(): void {
    const saved = readSavedSettings(this.settings.dir)
    if (this.#parts(partNames).every(({ pid }) => pid === undefined)) return
    for (const [key, value] of Object.entries(saved)) {
      const asked = this.settings[key as keyof StackSettings]
      if (asked === value || asked === undefined) continue
      const name = `--${flagName(key)}`
      const difference =
        key === 'elasticPassword' ? `another ${name}` : `${name} ${value}, not ${asked}`
      throw new StackError(
        `The stack in ${this.settings.dir} runs with ${difference}; stop it first with "npm run stack -- down --dir ${this.settings.dir}"`,
      )
    }
  }

  #save(): void {
    const { dir, cacheDir: _, ...saved } = this.settings
    writeFileSync(settingsFile(dir), `${JSON.stringify(saved, undefined, 2)}\n`, { mode: 0o600 })
  }
}

/** The stack in a folder, running or not; nothing is started or written yet. */
export function openStack(options: StackOptions = {}, progress: Progress = silent): Stack {
  const dir = resolve(options.dir ?? fileURLToPath(new URL('../.stack', import.meta.url)))
  let found: readonly Java[] | undefined
  const javas = () => {
    found ??= findJavas()
    return found
  }
  const settings = resolveSettings({ ...options, dir }, readSavedSettings(dir), () =>
    newestElasticsearch(javas()),
  )
  return new Stack(settings, javas, progress)
}

/**
 * Bytes that new processes can have: what the machine has left, within the limit of the container.
 */
function availableMemory(): number {
  // On Linux this is MemAvailable; elsewhere the free pages, which say little if the rest is
  // cache that can go.
  const machine = process.platform === 'linux' ? freemem() : Number.POSITIVE_INFINITY
  const limit = process.constrainedMemory()
  return limit > 0 ? Math.min(machine, limit) : machine
}

/** @throws StackError if the parts to start need more than there is. */
export function checkMemory(parts: readonly Pick<Part, 'definition'>[], available: number): void {
  const needed = parts.reduce((sum, part) => sum + part.definition.memory, 0)
  if (needed <= available) return
  const inMebibytes = (bytes: number) => `${Math.floor(bytes / mebibyte)} MiB`
  throw new StackError(
    `Too little memory: ${parts.map((part) => part.definition.title).join(' and ')} need about ${inMebibytes(needed)}, ${inMebibytes(available)} are available. Close something, choose a smaller --kafka-heap or --elasticsearch-heap, ${otherWay}`,
  )
}

function makeFolder(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true })
  } catch (error) {
    throw new StackError(
      `${dir} cannot be made (${messageOf(error)}). Choose another folder with --dir, ${otherWay}`,
      error,
    )
  }
}

const lockExpiryMs = 300_000

/**
 * Holds the folder for one `start` at a time; a lock whose holder is dead, or that is older than
 * any start, is taken over.
 */
async function lock(dir: string, progress: Progress): Promise<AsyncDisposable> {
  const path = join(dir, 'lock')
  for (;;) {
    try {
      const file = openSync(path, 'wx')
      writeSync(file, String(process.pid))
      closeSync(file)
      return {
        [Symbol.asyncDispose]: async () => rmSync(path, { force: true }),
      }
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') {
        throw new StackError(
          `${dir} cannot be written. Choose another folder with --dir, ${otherWay}`,
          error,
        )
      }
    }
    if (isAbandoned(path)) rmSync(path, { force: true })
    progress.update('Waiting for another start of this stack')
    await sleep(200)
  }
}

function isAbandoned(path: string): boolean {
  try {
    const holder = Number(readFileSync(path, 'utf8'))
    const dead = holder > 0 && readCommandLine(holder) === ''
    return dead || Date.now() - statSync(path).mtimeMs > lockExpiryMs
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false // Its holder has just let go.
    throw error
  }
}
