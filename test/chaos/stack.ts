import { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openStack } from '../../stack/stack-control.ts'

/**
 * The servers of tests that reach into them: kill them, freeze them, damage their files. `npm test`
 * names its own in ARCHIVER_TEST_STACK; else they are servers that no other run uses. Import this
 * before `helpers/servers.ts`, which reads their addresses from the environment.
 */
const given = process.env.ARCHIVER_TEST_STACK
export const stack = openStack(
  given === undefined
    ? {
        dir: fileURLToPath(new URL('../../.stack-chaos-test', import.meta.url)),
        kafkaPort: 19_592,
        elasticsearchPort: 19_590,
        mariadbPort: 19_596,
        s3Port: 19_598,
      }
    : { dir: given },
)

process.env.ARCHIVER_BROKERS = stack.brokers
process.env.ARCHIVER_ELASTICSEARCH = stack.elasticsearchUrl

/** Starts the servers for the tests of a file; stops them if no other run uses them. */
export function useStack(): void {
  before(() => stack.start())
  after(async () => {
    if (given === undefined) await stack.stop()
  })
}
