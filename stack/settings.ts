import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { messageOf, systemCode } from '../src/runtime/errors.ts'
import { StackError } from './stack-error.ts'

export const elasticsearchVersions = ['9.5.3', '8.19.21'] as const
export type ElasticsearchVersion = (typeof elasticsearchVersions)[number]

export const partNames = ['kafka', 'elasticsearch', 'mariadb', 's3'] as const
export type PartName = (typeof partNames)[number]
/** What a start without names starts; the others are for those who ask. */
export const usualParts: readonly PartName[] = ['kafka', 'elasticsearch']

/**
 * What a caller may choose; what is left out is what this folder's stack used last, else the
 * default.
 */
export interface StackOptions {
  /** Folder of the data, logs and pid files; relative to the working directory. */
  readonly dir?: string | undefined
  /** Folder of the downloads, shared by all stacks of this repository. */
  readonly cacheDir?: string | undefined
  readonly kafkaPort?: number | undefined
  readonly controllerPort?: number | undefined
  readonly elasticsearchPort?: number | undefined
  readonly transportPort?: number | undefined
  readonly mariadbPort?: number | undefined
  readonly s3Port?: number | undefined
  readonly elasticsearchVersion?: ElasticsearchVersion | undefined
  /** Bytes. */
  readonly kafkaHeap?: number | undefined
  /** Bytes. */
  readonly elasticsearchHeap?: number | undefined
  /** TLS and basic authentication (user `elastic`) on Elasticsearch. */
  readonly security?: boolean | undefined
  readonly elasticPassword?: string | undefined
}

export interface StackSettings {
  /** Absolute. */
  readonly dir: string
  /** Absolute. */
  readonly cacheDir: string
  readonly kafkaPort: number
  readonly controllerPort: number
  readonly elasticsearchPort: number
  readonly transportPort: number
  readonly mariadbPort: number
  readonly s3Port: number
  readonly elasticsearchVersion: ElasticsearchVersion
  readonly kafkaHeap: number
  readonly elasticsearchHeap: number
  readonly security: boolean
  readonly elasticPassword: string
}

/**
 * The settings that are remembered in the folder of the stack, so that `status` and `down` need no
 * options.
 */
export type SavedSettings = Partial<Omit<StackSettings, 'dir' | 'cacheDir'>>

const repository = fileURLToPath(new URL('..', import.meta.url))
/** The folder of the downloads, shared by all stacks of this repository. */
export const defaultCacheDir = join(repository, '.stack', 'cache')
export const mebibyte = 2 ** 20

/** The file that remembers the settings of a stack. */
export const settingsFile = (dir: string): string => join(dir, 'stack.json')

/** @throws StackError if the file is there but not readable as JSON. */
export function readSavedSettings(dir: string): SavedSettings {
  const path = settingsFile(dir)
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as SavedSettings
  } catch (error) {
    if (/^(ENOENT|ENOTDIR)$/.test(systemCode(error) ?? '')) return {}
    throw new StackError(
      `${path} cannot be read (${messageOf(error)}); delete it and try again`,
      error,
    )
  }
}

/**
 * Merges what was asked for, what the folder remembers and the defaults, in that order. The
 * controller listens one port above Kafka and Elasticsearch's transport a hundred above its HTTP
 * port, so that choosing two ports is enough.
 */
export function resolveSettings(
  options: StackOptions,
  saved: SavedSettings,
  defaultVersion: () => ElasticsearchVersion,
): StackSettings {
  const kafkaPort = options.kafkaPort ?? saved.kafkaPort ?? 9092
  const elasticsearchPort = options.elasticsearchPort ?? saved.elasticsearchPort ?? 9200
  return {
    dir: resolve(options.dir ?? join(repository, '.stack')),
    cacheDir: resolve(options.cacheDir ?? defaultCacheDir),
    kafkaPort,
    controllerPort:
      options.controllerPort ??
      (kafkaPort === saved.kafkaPort ? saved.controllerPort : undefined) ??
      kafkaPort + 1,
    elasticsearchPort,
    transportPort:
      options.transportPort ??
      (elasticsearchPort === saved.elasticsearchPort ? saved.transportPort : undefined) ??
      elasticsearchPort + 100,
    mariadbPort: options.mariadbPort ?? saved.mariadbPort ?? 3306,
    s3Port: options.s3Port ?? saved.s3Port ?? 9000,
    elasticsearchVersion:
      options.elasticsearchVersion ?? saved.elasticsearchVersion ?? defaultVersion(),
    kafkaHeap: options.kafkaHeap ?? saved.kafkaHeap ?? 512 * mebibyte,
    elasticsearchHeap: options.elasticsearchHeap ?? saved.elasticsearchHeap ?? 1024 * mebibyte,
    security: options.security ?? saved.security ?? false,
    elasticPassword: options.elasticPassword ?? saved.elasticPassword ?? 'changeme',
  }
}

/**
 * Whether the environment points both the archiver's Kafka and its Elasticsearch at servers other
 * than this stack's, so that starting one would be of no use.
 */
export function pointsElsewhere(
  env: Readonly<Record<string, string | undefined>>,
  settings: Pick<StackSettings, 'kafkaPort' | 'elasticsearchPort'>,
): boolean {
  const { ARCHIVER_BROKERS: brokers, ARCHIVER_ELASTICSEARCH: elasticsearch } = env
  if (!brokers || !elasticsearch) return false
  const own = (address: string, port: number) =>
    new RegExp(`^(https?://)?([^/@]*@)?(localhost|127\\.0\\.0\\.1|\\[::1\\]):${port}/?$`).test(
      address.trim(),
    )
  return (
    !brokers.split(',').some((broker) => own(broker, settings.kafkaPort)) &&
    !own(elasticsearch, settings.elasticsearchPort)
  )
}
