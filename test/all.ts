import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type PartName, usualParts } from '../stack/settings.ts'
import { openStack } from '../stack/stack-control.ts'

/**
 * `npm test`: lint, types, unit and property tests, then integration and chaos tests against a
 * Kafka, an Elasticsearch, a MariaDB and an object store of their own ports, so that a demo beside
 * them is not disturbed. A step that ran no test has failed.
 */

const root = fileURLToPath(new URL('..', import.meta.url))
const ports = { kafkaPort: 19_092, elasticsearchPort: 19_200, mariadbPort: 19_306, s3Port: 19_900 }

let passed = 0
let failed = 0

/** Runs a command; what it prints is passed on, and returned. */
async function sh(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; output: string }> {
  const [command, ...argv] = words
  const child = spawn(command!, argv, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    process.stdout.write(text)
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
  return { code, output }
}

async function step(name: string, work: () => Promise<boolean>): Promise<void> {
  const startedAt = performance.now()
  console.log(`\n── ${name}`)
  const good = await work()
  console.log(
    `── ${name}: ${good ? 'good' : 'FAILED'} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
  )
  if (!good) {
    failed = Math.max(failed, 1)
    throw new StepFailed(name)
  }
}

class StepFailed extends Error {}

const check =
  (...words: string[]) =>
  async () =>
    (await sh(words)).code === 0

/** Node's test runner over some files, one after another where they share servers. */
function tests(pattern: string, env: Readonly<Record<string, string>> = {}, concurrency?: number) {
  return async () => {
    const files = globSync(pattern, { cwd: root }).sort()
    const { code, output } = await sh(
      [
        process.execPath,
        '--import',
        'tsx',
        '--test',
        '--test-reporter=spec',
        ...(concurrency === undefined ? [] : [`--test-concurrency=${concurrency}`]),
        ...files,
      ],
      env,
    )
    const count = (word: string) =>
      Number(new RegExp(`^ℹ ${word} (\\d+)$`, 'm').exec(output)?.[1] ?? 0)
    passed += count('pass')
    failed += count('fail') + count('cancelled')
    if (count('tests') === 0) console.log(`no test ran for ${pattern}: that is a failure`)
    return code === 0 && files.length > 0 && count('pass') > 0
  }
}

const ownServers =
  process.env.ARCHIVER_BROKERS === undefined || process.env.ARCHIVER_ELASTICSEARCH === undefined
const stack = openStack(
  { dir: '.stack-test', ...ports },
  { update: () => {}, say: (line) => console.log(line) },
)
const ownMysql = process.env.ARCHIVER_TEST_MYSQL === undefined
const ownS3 = process.env.ARCHIVER_TEST_S3 === undefined
const parts: readonly PartName[] = [
  ...(ownServers ? usualParts : []),
  ...(ownMysql ? (['mariadb'] as const) : []),
  ...(ownS3 ? (['s3'] as const) : []),
]
/** The older engine that is spoken to, with what depends on how an engine answers. */
const olderEngine = openStack(
  { ...ports, dir: '.stack-test-8', elasticsearchPort: 19_201, elasticsearchVersion: '8.19.21' },
  { update: () => {}, say: (line) => console.log(line) },
)
const engineTests =
  'test/integration/{elasticsearch-{bulk,retry-rejected,scopes,templates},index-profile,sink-contract}.test.ts'
const servers = {
  ...(ownServers
    ? { ARCHIVER_BROKERS: stack.brokers, ARCHIVER_ELASTICSEARCH: stack.elasticsearchUrl }
    : {}),
  ...(ownMysql
    ? { ARCHIVER_TEST_MYSQL: stack.mysqlUrl, ARCHIVER_TEST_MYSQL_CA: stack.mysqlCertificateFile }
    : {}),
  ...(ownS3 ? { ARCHIVER_TEST_S3: stack.s3Url } : {}),
}

try {
  await step('lint', check('npx', 'biome', 'ci', '--colors=off', '.'))
  await step('types', check('npx', 'tsc', '-p', '.'))
  await step('unit and property tests', tests('test/unit/**/*.test.ts'))
  if (parts.length > 0) await step('stack', () => stack.start(...parts).then(() => true))
  await step('integration tests', tests('test/integration/**/*.test.ts', servers, 1))
  if (ownServers) {
    await stack.stop('elasticsearch')
    await step('Elasticsearch 8', () => olderEngine.start('elasticsearch').then(() => true))
    const older = { ...servers, ARCHIVER_ELASTICSEARCH: olderEngine.elasticsearchUrl }
    await step('tests of the engine against Elasticsearch 8', tests(engineTests, older, 1))
    await olderEngine.stop()
  }
  await stack.stop()
  if (globSync('test/chaos/**/*.test.ts', { cwd: root }).length > 0) {
    await step('chaos tests', tests('test/chaos/**/*.test.ts', {}, 1))
  }
} catch (error) {
  if (!(error instanceof StepFailed)) throw error
  process.exitCode = 1
} finally {
  await stack.stop()
  await olderEngine.stop()
}
console.log(`\n${passed} passed, ${failed} failed`)
if (failed > 0 || passed === 0) process.exitCode = 1
