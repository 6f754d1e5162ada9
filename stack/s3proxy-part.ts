import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fetchS3Proxy, s3proxyVersion } from './fetch.ts'
import { chooseJava, type Java } from './java.ts'
import type { PartDefinition } from './part.ts'
import { mebibyte, type StackSettings } from './settings.ts'
import { StackError } from './stack-error.ts'

/** Whom the development store, which listens on the loopback address alone, lets in. */
export const s3AccessKey = 'archiver'
export const s3SecretKey = 'archiver-secret'
/** The bucket that is there at every start. */
export const s3Bucket = 'archive'

const heap = 128 * mebibyte

/** For `--s3-endpoint`. */
export function s3Url({ s3Port }: Pick<StackSettings, 's3Port'>): string {
  return `http://127.0.0.1:${s3Port}`
}

/** What the environment of a program needs so that it may use the store of this stack. */
export const s3Credentials: Readonly<Record<string, string>> = {
  AWS_ACCESS_KEY_ID: s3AccessKey,
  AWS_SECRET_ACCESS_KEY: s3SecretKey,
}

/** The folder that holds one folder for each bucket. */
export const s3Buckets = (dir: string): string => join(dir, 's3', 'data')

/** S3Proxy over a folder: an object store that needs only Java, for development and tests. */
export function s3proxyPart(settings: StackSettings, javas: () => readonly Java[]): PartDefinition {
  const title = `S3Proxy ${s3proxyVersion()}`
  const dir = join(settings.dir, 's3')
  const data = s3Buckets(settings.dir)
  const configuration = join(dir, 's3proxy.properties')
  const logging = join(dir, 'logback.xml')
  const logFile = join(dir, 'server.log')
  const url = s3Url(settings)
  return {
    name: 's3',
    title,
    address: url,
    ports: [{ port: settings.s3Port, flag: '--s3-port' }],
    memory: heap + 120 * mebibyte,
    marker: `--properties ${configuration}`,
    pidFile: join(dir, 'pid'),
    logFile,
    outputFile: join(dir, 'output.log'),
    ask: async (signal) => {
      // It answers 403 to unsigned requests; any answer means that it is up.
      const response = await fetch(url, { signal })
      await response.body?.cancel()
      if (response.status >= 500) throw new StackError(`${title} answers ${response.status}`)
    },
    prepare: async (progress) => {
      const java = chooseJava(javas(), 17, title)
      const jars = join(await fetchS3Proxy(settings.cacheDir, java.home, progress), '*')
      // A bucket of this back end is a folder.
      mkdirSync(join(data, s3Bucket), { recursive: true })
      writeFileSync(configuration, s3proxyProperties(url, data), { mode: 0o600 })
      writeFileSync(logging, logback(logFile))
      rmSync(logFile, { force: true })
      return {
        program: join(java.home, 'bin', 'java'),
        args: [
          // It lives for minutes: the second compiler costs more than it gives.
          '-XX:TieredStopAtLevel=1',
          `-Xmx${heap / mebibyte}m`,
          '-XX:+ExitOnOutOfMemoryError',
          `-Dlogback.configurationFile=${logging}`,
          '-cp',
          jars,
          'org.gaul.s3proxy.Main',
          '--properties',
          configuration,
        ],
        cwd: dir,
        // Java names files in the character set of the locale: without one, `ö` is no name.
        env: { ...process.env, LC_ALL: 'C.UTF-8' },
        daemonizes: false,
      }
    },
  }
}

function s3proxyProperties(url: string, data: string): string {
  return Object.entries({
    's3proxy.endpoint': url,
    's3proxy.authorization': 'aws-v2-or-v4',
    's3proxy.identity': s3AccessKey,
    's3proxy.credential': s3SecretKey,
    'jclouds.provider': 'filesystem-nio2',
    'jclouds.filesystem.basedir': data,
  })
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}

/** Its own configuration logs at DEBUG. */
function logback(file: string): string {
  return `<configuration>
  <appender name="FILE" class="ch.qos.logback.core.FileAppender">
    <file>${file}</file>
    <encoder><pattern>%d %-5level %logger{20} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="FILE"/></root>
</configuration>
`
}
