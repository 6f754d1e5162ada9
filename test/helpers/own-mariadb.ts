import { createServer } from 'node:net'
import type { TestContext } from 'node:test'
import { openStack, type Stack } from '../../stack/stack-control.ts'
import { temporaryDirectory } from './servers.ts'

/** A MariaDB of the test's own, which it may freeze, kill and start again. */
export async function ownMariadb(t: TestContext): Promise<Stack> {
  const stack = openStack({ dir: await temporaryDirectory(t), mariadbPort: await freePort() })
  t.after(() => stack.mariadb.kill())
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
