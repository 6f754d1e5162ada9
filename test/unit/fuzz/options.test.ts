import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { runSet } from '../../../src/config/commands/run.ts'
import { elasticsearchConnection } from '../../../src/config/elasticsearch.ts'
import { kafkaConnection } from '../../../src/config/kafka.ts'
import { mysqlConnection } from '../../../src/config/mysql.ts'
import {
  flagName,
  readOptions,
  related,
  unknownVariables,
  variableName,
} from '../../../src/config/options.ts'
import { typeSource } from '../../../src/config/types.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { noProxies } from '../../../src/runtime/proxies.ts'
import { damagedBytes, fuzz } from '../../helpers/fuzz.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

const runOptions = runSet.options
const keys = Object.keys(runOptions)
const secret = 'S3cr3tW0rd'

function isUsage(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof ArchiverError)) throw error
    assert.equal(error.code, 'USAGE')
    assert.ok(error.message.length < 10_000, `${error.message.length} characters`)
    assert.ok(!error.message.includes(secret), error.message)
  }
}

function checkAll(given: ReturnType<typeof readOptions<typeof runOptions>>): void {
  isUsage(() => {
    const options = related(runSet, given)
    typeSource(options)
    kafkaConnection(options, noProxies)
    elasticsearchConnection(options, noProxies)
    mysqlConnection(options)
  })
}

const yamlTexts = [
  `group: g\nbrokers: [a:9092, b:9092]\nelasticsearch-password: ${secret}\nfiles: false\nflush-interval: 7\n`,
  `sasl-password: "${secret}"\nsasl-username: u\nsasl-mechanism: plain\ntopics:\n  - a\n  - b\n`,
  `a: &x [1, 2]\nb: *x\n? [c]\n: |\n  text\n--- \nd: !!binary aGk=\n`,
]

test('fuzz: any YAML: options, or one line without a secret', async (t) => {
  const file = join(await temporaryDirectory(t), 'archiver.yaml')
  const text = damagedBytes(fc.constantFrom(...yamlTexts.map((yaml) => Buffer.from(yaml))))
  await fuzz(t, 300, text, (bytes) => {
    // What is damaged may put the secret in the place of a name, which a message may say.
    const isInPlace =
      /password: "?S3cr3tW0rd"?\n/.test(bytes.toString('latin1')) || !bytes.includes(secret)
    if (!isInPlace) return
    writeFileSync(file, bytes)
    isUsage(() => checkAll(readOptions(runOptions, { argv: ['--config', file], env: {} })))
  })
})

test('a name of a megabyte is compared with no option', async (t) => {
  const file = join(await temporaryDirectory(t), 'archiver.yaml')
  writeFileSync(file, `${'x'.repeat(2 ** 20)}: 1\n`)
  const read = (argv: readonly string[]) => () => readOptions(runOptions, { argv, env: {} })
  assert.throws(read(['--config', file]), { code: 'USAGE' })
  assert.throws(read([`--${'y'.repeat(2 ** 20)}`]), { code: 'USAGE' })
})

test('fuzz: any flags and variables: options, or one line that says what is allowed', async (t) => {
  const odd = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom(
      '',
      '0',
      '-1',
      '1e9',
      '9'.repeat(400),
      'NaN',
      '0x10',
      '1kb',
      '1 d',
      ',',
      'http://',
      'https://u:p@[::1',
      'mysql://',
      '\u0000',
      'a=b',
      '[[',
      '../..',
    ),
  )
  const given = fc.array(
    fc.tuple(fc.constantFrom(...keys.filter((key) => key !== 'config')), odd),
    { maxLength: 4 },
  )
  await fuzz(t, 1000, fc.tuple(given, given), ([flags, variables]) => {
    const argv = flags.map(([key, value]) => `--${flagName(key)}=${value}`)
    const env = Object.fromEntries(variables.map(([key, value]) => [variableName(key), value]))
    unknownVariables(runOptions, env)
    isUsage(() => checkAll(readOptions(runOptions, { argv, env })))
  })
})
