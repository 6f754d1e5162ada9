import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { s3Bucket } from '../../stack/s3proxy-part.ts'
import { freePort, until } from './servers.ts'

export const versitygwVersion = 'v1.8.0'
const tools = fileURLToPath(new URL('../../.stack/cache/versitygw', import.meta.url))

/** The program, built once; undefined without Go. */
export function versitygwProgram(): string | undefined {
  const program = join(tools, `versitygw-${versitygwVersion}`, 'versitygw')
  if (existsSync(program)) return program
  const go = ['go', '/usr/local/go/bin/go'].find(
    (candidate) => spawnSync(candidate, ['version']).status === 0,
  )
  if (go === undefined) return undefined
  mkdirSync(join(program, '..'), { recursive: true })
  const { status } = spawnSync(
    go,
    [
      'install',
      '-trimpath',
      '-ldflags',
      '-s -w',
      `github.com/versity/versitygw/cmd/versitygw@${versitygwVersion}`,
    ],
    { env: { ...process.env, CGO_ENABLED: '0', GOBIN: join(program, '..') }, stdio: 'inherit' },
  )
  return status === 0 ? program : undefined
}

/** Keys of a user of a store. */
export interface StoreKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** A running versitygw. */
export interface RunningVersitygw {
  /** For `--s3-endpoint`. */
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

/**
 * Starts it over a folder, with the bucket of tests; undefined without Go. With `users`, a folder,
 * it knows more users than its owner. Without a port, it gets a free one.
 */
export async function launchVersitygw(
  root: string,
  {
    owner,
    users,
    port,
  }: {
    readonly owner: StoreKeys
    readonly users?: string | undefined
    readonly port?: number
  },
): Promise<RunningVersitygw | undefined> {
  const program = versitygwProgram()
  if (program === undefined) return undefined
  mkdirSync(join(root, s3Bucket), { recursive: true })
  if (users !== undefined) mkdirSync(users)
  const url = `http://127.0.0.1:${port ?? (await freePort())}`
  const child = spawn(
    program,
    [
      ...['--port', new URL(url).host, '--quiet', '--keep-alive'],
      ...(users === undefined ? [] : ['--iam-dir', users]),
      ...['posix', root],
    ],
    {
      env: {
        ...process.env,
        ROOT_ACCESS_KEY: owner.accessKeyId,
        ROOT_SECRET_KEY: owner.secretAccessKey,
      },
      stdio: 'ignore',
    },
  )
  const ended = new Promise((resolve) => child.once('exit', resolve))
  await until('versitygw answers', async () => {
    const response = await fetch(url).catch(() => undefined)
    await response?.body?.cancel()
    return response !== undefined
  })
  return {
    url,
    pid: child.pid!,
    stop: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}
