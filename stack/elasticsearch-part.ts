import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf, systemCode } from '../src/runtime/errors.ts'
import { fetchElasticsearch } from './fetch.ts'
import { chooseJava, type Java } from './java.ts'
import type { PartDefinition } from './part.ts'
import { type ElasticsearchVersion, mebibyte, type StackSettings } from './settings.ts'
import { otherWay, StackError } from './stack-error.ts'

/** The oldest Java that a version of Elasticsearch starts with. */
export function javaNeeded(version: ElasticsearchVersion): number {
  return version.startsWith('8.') ? 17 : 21
}

/** The newest Elasticsearch that one of these Javas can run. */
export function newestElasticsearch(javas: readonly Java[]): ElasticsearchVersion {
  return javas.length === 0 || javas.some((java) => java.version >= javaNeeded('9.5.3'))
    ? '9.5.3'
    : '8.19.21'
}

/**
 * The configuration of one node that listens on the loopback address alone and fills the disk
 * without complaint.
 */
export function elasticsearchYaml(
  settings: Pick<StackSettings, 'elasticsearchPort' | 'transportPort' | 'security'>,
  folders: { data: string; logs: string },
): string {
  const lines: [string, string | number | boolean][] = [
    ['cluster.name', 'archiver-stack'],
    ['node.name', 'stack'],
    ['discovery.type', 'single-node'],
    ['network.host', '127.0.0.1'],
    ['http.port', settings.elasticsearchPort],
    ['transport.port', settings.transportPort],
    ['path.data', folders.data],
    ['path.logs', folders.logs],
    ['cluster.routing.allocation.disk.threshold_enabled', false],
    ['xpack.security.enabled', settings.security],
  ]
  if (settings.security) {
    lines.push(
      ['xpack.security.http.ssl.enabled', true],
      ['xpack.security.http.ssl.key', 'http.key'],
      ['xpack.security.http.ssl.certificate', 'http.crt'],
      // How soon it sees new users and roles in their files; by default every 5 s.
      ['resource.reload.interval.high', '200ms'],
    )
  }
  return lines
    .map(([key, value]) => `${key}: ${typeof value === 'string' ? JSON.stringify(value) : value}\n`)
    .join('')
}

const log4jProperties = `# Elasticsearch's log of the development stack: one rolling file.
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = \${sys:es.logs.base_path}/server.log
appender.file.filePattern = \${sys:es.logs.base_path}/server.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{ISO8601} %-5p [%c{1}] %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p [%c{1}] %m%n
appender.console.filter.threshold.type = ThresholdFilter
appender.console.filter.threshold.level = error
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
rootLogger.appenderRef.console.ref = console
`

interface User {
  readonly uid: number
  readonly gid: number
}

/**
 * Elasticsearch refuses to run as root; root starts it as `nobody`. Undefined if we are another
 * user already.
 */
function unprivilegedUser(): User | undefined {
  if (process.getuid?.() !== 0) return undefined
  const fields = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((line) => line.startsWith('nobody:'))
    ?.split(':')
  const [uid, gid] = [Number(fields?.[2]), Number(fields?.[3])]
  // Node takes no negative ids, which is how macOS writes them.
  return uid > 0 && gid > 0 ? { uid, gid } : { uid: 65534, gid: 65534 }
}

/**
 * Whether everybody may enter the folder and all above it; of those that do not exist yet, the
 * nearest above that does.
 */
export function isOpenToAll(folder: string): boolean {
  if (existsSync(folder) && (statSync(folder).mode & 0o001) === 0) return false
  return dirname(folder) === folder || isOpenToAll(dirname(folder))
}

function give(folder: string, user: User): void {
  chownSync(folder, user.uid, user.gid)
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    try {
      chownSync(join(folder, name), user.uid, user.gid)
    } catch (error) {
      // An engine that still ends removes files of its index between the listing and this call.
      if (systemCode(error) !== 'ENOENT') throw error
    }
  }
}

/**
 * The folder of Elasticsearch in a stack. If we are root and the stack lies below a folder that
 * only root may enter (a home directory), Elasticsearch's part goes to the system's temporary
 * folder, under a name that belongs to the stack.
 */
export function elasticsearchDir(dir: string): string {
  if (unprivilegedUser() === undefined || isOpenToAll(dir)) return join(dir, 'elasticsearch')
  const name = createHash('sha256').update(dir).digest('hex').slice(0, 12)
  return join(tmpdir(), `archiver-stack-${name}`, 'elasticsearch')
}

/** The certificate that a client of a stack with security trusts; it signs itself. */
export const certificateFile = (dir: string): string =>
  join(elasticsearchDir(dir), 'config', 'http.crt')

/** Elasticsearch of one stack. */
export function elasticsearchPart(
  settings: StackSettings,
  javas: () => readonly Java[],
): PartDefinition {
  const version = settings.elasticsearchVersion
  const title = `Elasticsearch ${version}`
  const dir = elasticsearchDir(settings.dir)
  const config = join(dir, 'config')
  // A newer version upgrades its data, and an older one refuses what a newer one wrote.
  const folders = { data: join(dir, `data-${version}`), logs: join(dir, 'logs') }
  const pidFile = join(dir, 'pid')
  const tmp = join(dir, 'tmp')
  const marker = `-Djava.io.tmpdir=${tmp}`
  return {
    name: 'elasticsearch',
    title,
    address: `${settings.security ? 'https' : 'http'}://127.0.0.1:${settings.elasticsearchPort}`,
    ports: [
      { port: settings.elasticsearchPort, flag: '--elasticsearch-port' },
      { port: settings.transportPort, flag: '--transport-port' },
    ],
    memory: settings.elasticsearchHeap + 500 * mebibyte,
    marker,
    pidFile,
    logFile: join(folders.logs, 'server.log'),
    outputFile: join(dir, 'output.log'),
    ask: (signal) => askHealth(settings, signal),
    prepare: async (progress) => {
      const user = unprivilegedUser()
      const java =
        user === undefined
          ? chooseJava(javas(), javaNeeded(version), title)
          : chooseOpenJava(javas(), version)
      const fetched = await fetchElasticsearch(settings.cacheDir, version, java.home, progress)
      const home = user === undefined || isOpenToAll(fetched) ? fetched : copyHome(fetched, dir)
      for (const folder of [
        config,
        join(config, 'jvm.options.d'),
        folders.data,
        folders.logs,
        tmp,
      ]) {
        mkdirSync(folder, { recursive: true })
      }
      rmSync(join(folders.logs, 'server.log'), { force: true })
      writeFileSync(join(config, 'elasticsearch.yml'), elasticsearchYaml(settings, folders))
      writeFileSync(join(config, 'log4j2.properties'), log4jProperties)
      writeFileSync(
        join(config, 'jvm.options'),
        jvmOptions(readFileSync(join(home, 'config', 'jvm.options'), 'utf8')),
      )
      const heap = settings.elasticsearchHeap / mebibyte
      writeFileSync(join(config, 'jvm.options.d', 'heap.options'), `-Xms${heap}m\n-Xmx${heap}m\n`)
      if (user !== undefined) give(dir, user)
      const { JAVA_HOME: _, ...environment } = process.env
      const command = {
        cwd: dir,
        env: { ...environment, ES_JAVA_HOME: java.home, ES_PATH_CONF: config, ES_TMPDIR: tmp },
        ...user,
      }
      if (settings.security) await secure(home, config, settings.elasticPassword, command)
      return {
        ...command,
        program: join(home, 'bin', 'elasticsearch'),
        args: ['-d', '-p', pidFile],
        daemonizes: true,
      }
    },
  }
}

/**
 * The distribution's own options without its garbage collection log: the server may not write to
 * that log's folder.
 */
export function jvmOptions(distribution: string): string {
  return distribution
    .split('\n')
    .filter(
      (line) => line !== '' && !line.startsWith('#') && !/-Xlog:gc|HeapDump|ErrorFile/.test(line),
    )
    .concat('')
    .join('\n')
}

/** Root's Elasticsearch runs as a user who must be able to start that Java. */
function chooseOpenJava(javas: readonly Java[], version: ElasticsearchVersion): Java {
  const chosen = chooseJava(javas, javaNeeded(version), `Elasticsearch ${version}`)
  const open = javas.find((java) => java.version >= javaNeeded(version) && isOpenToAll(java.home))
  if (open !== undefined) return open
  throw new StackError(
    `Elasticsearch refuses to run as root, and the user nobody may not enter ${chosen.home}, the Java it needs. Install a JDK for everybody (below /usr/lib/jvm or /opt), ${otherWay}`,
  )
}

function copyHome(fetched: string, dir: string): string {
  const home = join(dir, '..', fetched.slice(dirname(fetched).length + 1))
  if (existsSync(home)) return home
  const partial = `${home}.partial-${process.pid}`
  cpSync(fetched, partial, { recursive: true })
  renameSync(partial, home)
  return home
}

interface Environment {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly uid?: number
  readonly gid?: number
}

/**
 * A certificate that signs itself, made once, and the password of the user `elastic`, which holds
 * from the first start on.
 */
async function secure(
  home: string,
  config: string,
  password: string,
  environment: Environment,
): Promise<void> {
  const run = promisify(execFile)
  const [key, certificate] = [join(config, 'http.key'), join(config, 'http.crt')]
  if (!existsSync(certificate)) {
    const words = `req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=archiver-stack -addext subjectAltName=DNS:localhost,IP:127.0.0.1`
    try {
      await run('openssl', [...words.split(' '), '-keyout', key, '-out', certificate], environment)
    } catch (error) {
      throw new StackError(
        'The certificate cannot be made: --security needs openssl 1.1.1 or newer on the PATH',
        error,
      )
    }
  }
  try {
    const adding = run(
      join(home, 'bin', 'elasticsearch-keystore'),
      ['add', '-x', '-f', 'bootstrap.password'],
      environment,
    )
    adding.child.stdin?.end(password)
    await adding
  } catch (error) {
    throw new StackError(
      `The password cannot be put into Elasticsearch's keystore: ${messageOf(error)}`,
      error,
    )
  }
}

/** `GET /_cluster/health`: the minimal distribution does not answer `GET /`. */
async function askHealth(settings: StackSettings, signal: AbortSignal): Promise<void> {
  const options = {
    host: '127.0.0.1',
    port: settings.elasticsearchPort,
    path: '/_cluster/health',
    signal,
  }
  await new Promise<void>((resolve, reject) => {
    const request = settings.security
      ? httpsRequest({
          ...options,
          auth: `elastic:${settings.elasticPassword}`,
          ca: readFileSync(certificateFile(settings.dir)),
        })
      : httpRequest(options)
    request.on('error', reject)
    request.on('response', (response) => {
      response.resume()
      if (response.statusCode === 200) resolve()
      else reject(new Error(`status ${response.statusCode}`))
    })
    request.end()
  })
}
