import { fileURLToPath } from 'node:url'
import { openStack } from '../../stack/stack-control.ts'

/**
 * The servers of the chaos tests, which are killed and frozen: nobody else may use them. To be
 * imported before `helpers/servers.ts`, which reads from the environment where they are.
 */
export const stack = openStack({
  dir: fileURLToPath(new URL('../../.stack-chaos-test', import.meta.url)),
  kafkaPort: 19_592,
  elasticsearchPort: 19_590,
  mariadbPort: 19_596,
})

process.env.ARCHIVER_BROKERS = stack.brokers
process.env.ARCHIVER_ELASTICSEARCH = stack.elasticsearchUrl
