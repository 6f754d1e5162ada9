import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { S3Home } from '../../src/home/s3/home.ts'
import { type BucketSettings, usualSettings } from '../../src/home/s3/settings.ts'
import { createLogger, type Logger } from '../../src/runtime/log.ts'
import { s3AccessKey, s3Bucket, s3SecretKey } from '../../stack/s3proxy-part.ts'
import { temporaryDirectory } from './servers.ts'
import { launchVersitygw, type StoreKeys, versitygwProgram } from './versitygw.ts'

/**
 * The object stores that tests use: S3Proxy of the environment, else of the development stack, and
 * versitygw if Go is there to build it.
 */

/** The store that every test run has. */
export const s3Url: string = process.env.ARCHIVER_TEST_S3 ?? 'http://127.0.0.1:9000'
export const s3Title: string = process.env.ARCHIVER_TEST_S3 ?? 'S3Proxy'

// The SDK finds credentials where it finds those of a user.
process.env.AWS_ACCESS_KEY_ID ??= s3AccessKey
process.env.AWS_SECRET_ACCESS_KEY ??= s3SecretKey
// No test asks the machine that it runs on who it is.
process.env.AWS_EC2_METADATA_DISABLED ??= 'true'

const quiet = createLogger({ level: 'silent', stream: process.stderr })

/** A prefix of its own in the bucket of a store. */
export function bucketSettings(
  endpoint: string,
  more: Partial<BucketSettings> = {},
): BucketSettings {
  return {
    ...usualSettings,
    endpoint,
    region: 'us-east-1',
    pathStyle: true,
    bucket: s3Bucket,
    prefix: `test-${randomBytes(6).toString('hex')}`,
    ...more,
  }
}

/** A home in a bucket for the time of a test; scratch and connections go with it. */
export async function openS3Home(
  t: TestContext,
  settings: BucketSettings,
  { patienceMs = 20_000, log = quiet }: { patienceMs?: number; log?: Logger } = {},
): Promise<S3Home> {
  const scratchDir = await temporaryDirectory(t)
  const home = await S3Home.open(settings, { scratchDir, log, patienceMs })
  t.after(() => home[Symbol.asyncDispose]())
  return home
}

/** Those that the environment has: the tests' own. */
export function environmentKeys(): StoreKeys {
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env
  return { accessKeyId: accessKeyId!, secretAccessKey: secretAccessKey! }
}

/**
 * A versitygw for the time of a test: its endpoint; undefined if it cannot be built. With `root`,
 * that one is its owner, and whom the environment has is a user without any right.
 */
export async function startVersitygw(
  t: TestContext,
  root?: StoreKeys,
): Promise<string | undefined> {
  const dir = await mkdtemp(join(tmpdir(), 'archiver-test-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const owner = root ?? environmentKeys()
  const users = root === undefined ? undefined : join(dir, 'users')
  const running = await launchVersitygw(join(dir, 'root'), { owner, users })
  if (running === undefined) return undefined
  t.after(() => running.stop())
  if (root !== undefined) await addUser(versitygwProgram()!, running.url, root, environmentKeys())
  return running.url
}

async function addUser(program: string, url: string, root: StoreKeys, user: StoreKeys) {
  await promisify(execFile)(program, [
    ...['admin', '--endpoint-url', url],
    ...['--access', root.accessKeyId, '--secret', root.secretAccessKey],
    ...['create-user', '--role', 'user'],
    ...['--access', user.accessKeyId, '--secret', user.secretAccessKey],
  ])
}
