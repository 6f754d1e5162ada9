import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openStack, type Stack } from '../../stack/stack-control.ts'

/** A MariaDB of the test's own, which it may freeze, kill and start again. */
export async function ownMariadb(t: TestContext): Promise<Stack> {
  const dir = await mkdtemp(join(tmpdir(), 'archiver-test-'))
  const stack = openStack({ dir, mariadbPort: await freePort() })
  t.after(async () => {
    // First the server, then the folder, in which its pid is written.
    await stack.mariadb.kill()
    await rm(dir, { recursive: true, force: true })
  })
  await stack.start('mariadb')
  return stack
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
