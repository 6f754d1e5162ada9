import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { openStack, type Stack } from '../../stack/stack-control.ts'
import { freePort } from './servers.ts'

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
