import { availableParallelism } from 'node:os'
import { basename, join } from 'node:path'
import { type PartName, usualParts } from '../stack/settings.ts'
import { openStack, type Stack } from '../stack/stack-control.ts'
import { filesOf, quickDirectory, removeDirectory, Steps } from './steps.ts'

/**
 * `npm test`: lint, types, unit and property tests, then integration tests against servers on
 * ports of their own, so that a demo beside them is not disturbed. What takes minutes is in
 * `npm run test:soak`.
 */

const ports = {
  kafkaPort: 19_092,
  elasticsearchPort: 19_200,
  mariadbPort: 19_306,
  s3Port: 19_900,
}
/** Integration tests wait for servers most of the time. */
const sideBySide = availableParallelism() + 1
/** These change how the engine indexes what every other test writes. */
const alone = new Set(['elasticsearch-templates.test.ts', 'index-profile.test.ts'])
/** What depends on how an engine answers, for the older engine that is spoken to. */
const engineTests =
  'test/integration/{elasticsearch-{bulk,retry-rejected,scopes,templates},index-profile,sink-contract}.test.ts'

const steps = new Steps()
const memory = quickDirectory('archiver-test-', 4 * 2 ** 30)
const progress = { update: () => {}, say: (line: string) => console.log(line) }
const stack = openStack({ dir: join(memory, 'stack'), ...ports }, progress)
const olderEngine = openStack(
  {
    ...ports,
    dir: join(memory, 'stack-8'),
    elasticsearchPort: 19_201,
    elasticsearchVersion: '8.19.21',
  },
  progress,
)

const ownServers =
  process.env.ARCHIVER_BROKERS === undefined || process.env.ARCHIVER_ELASTICSEARCH === undefined
const ownMysql = process.env.ARCHIVER_TEST_MYSQL === undefined
const ownS3 = process.env.ARCHIVER_TEST_S3 === undefined
const parts: readonly PartName[] = [
  ...(ownServers ? usualParts : []),
  ...(ownMysql ? (['mariadb'] as const) : []),
  ...(ownS3 ? (['s3'] as const) : []),
]

/** The addresses at which the tests find the servers. */
function serversOf({ elasticsearchUrl }: Stack): Record<string, string> {
  return {
    ...(ownServers
      ? {
          ARCHIVER_BROKERS: stack.brokers,
          ARCHIVER_ELASTICSEARCH: elasticsearchUrl,
          ARCHIVER_TEST_STACK: stack.settings.dir,
        }
      : {}),
    ...(ownMysql
      ? { ARCHIVER_TEST_MYSQL: stack.mysqlUrl, ARCHIVER_TEST_MYSQL_CA: stack.mysqlCertificateFile }
      : {}),
    ...(ownS3 ? { ARCHIVER_TEST_S3: stack.s3Url } : {}),
  }
}

/** Servers that start beside other steps: a start mostly waits, and computes on one core. */
const starting: Promise<unknown>[] = []

function begin(start: Promise<unknown>): Promise<unknown> {
  // The step that waits for it reports a failure.
  start.catch(() => {})
  starting.push(start)
  return start
}

/** Two steps: the files that may share the servers, and those that may not. */
async function integrationTests(
  name: string,
  files: readonly string[],
  env: Record<string, string>,
  beforeAlone: () => void = () => {},
) {
  const isAlone = (file: string) => alone.has(basename(file))
  const together = files.filter((file) => !isAlone(file))
  await steps.tests(name, together, { env, concurrency: sideBySide })
  beforeAlone()
  await steps.tests(`${name}, one by one`, files.filter(isAlone), { env, concurrency: 1 })
}

await steps.run(
  async () => {
    const servers = begin(parts.length === 0 ? Promise.resolve() : stack.start(...parts))
    let older: Promise<unknown> = Promise.resolve()
    await steps.check('lint', 'npm', 'run', '--silent', 'lint')
    await steps.check('types', 'npm', 'run', '--silent', 'types')
    await steps.tests('unit and property tests', filesOf('test/unit/**/*.test.ts'), {
      env: { TMPDIR: memory },
      concurrency: availableParallelism(),
    })
    await steps.step('stack', () => servers.then(() => {}))
    await integrationTests(
      'integration tests',
      [...filesOf('test/integration/**/*.test.ts'), ...filesOf('test/chaos/**/*.test.ts')],
      serversOf(stack),
      () => {
        if (ownServers) older = begin(olderEngine.start('elasticsearch'))
      },
    )
    if (!ownServers) return
    await stack.stop('elasticsearch')
    await steps.step('Elasticsearch 8', () => older.then(() => {}))
    await integrationTests(
      'tests of the engine against Elasticsearch 8',
      filesOf(engineTests),
      serversOf(olderEngine),
    )
  },
  async (isGood) => {
    // What is still starting could not be stopped.
    await Promise.allSettled(starting)
    await Promise.all([stack.stop(), olderEngine.stop()])
    if (isGood) removeDirectory(memory)
    else console.log(`\nThe servers' logs are in ${memory}`)
  },
)
