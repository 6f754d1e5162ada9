import { spawn, spawnSync } from 'node:child_process'
import type { TestContext } from 'node:test'
import { s3Bucket } from '../../stack/s3proxy-part.ts'
import { freePort, until } from './servers.ts'

/**
 * moto, a stand-in for Amazon's services. It keeps what the stores here do not have: encryption,
 * keys, tags and classes. It lets everybody in, and knows every key.
 */
export const withMoto = spawnSync('moto_server', ['--help']).status === 0

/** Starts one for the time of a test, with the bucket of the tests. */
export async function startMoto(t: TestContext): Promise<string> {
  const url = new URL(`http://127.0.0.1:${await freePort()}`)
  const child = spawn('moto_server', ['-H', url.hostname, '-p', url.port], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  t.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  await until('moto answers', async () => {
    const response = await fetch(new URL(s3Bucket, url), { method: 'PUT' }).catch(() => undefined)
    await response?.body?.cancel()
    return response?.ok === true
  })
  return url.origin
}
