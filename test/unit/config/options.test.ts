import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { pruneSet } from '../../../src/config/commands/prune.ts'
import { runSet } from '../../../src/config/commands/run.ts'
import { setupSet } from '../../../src/config/commands/setup.ts'
import { everyOption } from '../../../src/config/commands.ts'
import { elasticsearchGroup } from '../../../src/config/elasticsearch.ts'
import {
  describeOptions,
  flagName,
  integer,
  type Options,
  readOptions,
  related,
  unknownVariables,
  variableName,
} from '../../../src/config/options.ts'
import { typeSource } from '../../../src/config/types.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { maxTimerMs } from '../../../src/runtime/retry.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

const runOptions = runSet.options
const pruneOptions = pruneSet.options

const read = (argv: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  readOptions(runOptions, { argv, env })

/** One line of code `USAGE` that has every one of the texts. */
function isUsage(...texts: readonly string[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ArchiverError, String(error))
    assert.equal(error.code, 'USAGE')
    assert.equal(error.exitCode, 2)
    assert.ok(!error.message.includes('\n'), error.message)
    for (const text of texts)
      assert.ok(error.message.includes(text), `${error.message}: has no "${text}"`)
    return true
  }
}

test('a flag wins over a variable, a variable over the file, the file over the default', async (t) => {
  const file = join(await temporaryDirectory(t), 'archiver.yaml')
  writeFileSync(file, 'group: of-the-file\nflush-interval: 7\ntopics: [a, b]\nfiles: false\n')
  const withFile = ['--config', file]
  assert.equal(read([]).group, 'archiver')
  assert.equal(read(withFile).group, 'of-the-file')
  const env = { ARCHIVER_GROUP: 'of-the-variable', ARCHIVER_CONFIG: file }
  assert.equal(read([], env).group, 'of-the-variable')
  assert.equal(read(['--group', 'of-the-flag'], env).group, 'of-the-flag')
  assert.equal(read(['--group=of-the-flag'], env).group, 'of-the-flag')
  const values = read([], env)
  assert.equal(values.flushInterval, 7)
  assert.deepEqual(values.topics, ['a', 'b'])
  assert.equal(values.files, false)
  assert.equal(read(withFile.concat('--files')).files, true)
})

test('a key of the file that no command has is a mistake, one of another command is not', async (t) => {
  const file = join(await temporaryDirectory(t), 'archiver.yaml')
  const argv = ['--config', file]
  const inFile = { ...runOptions, ...pruneOptions }
  writeFileSync(file, 'older-than: 90d\ngroup: of-the-file\n')
  assert.equal(readOptions(runOptions, { argv, env: {} }, inFile).group, 'of-the-file')
  assert.throws(() => read(argv), isUsage(file, 'older-than is not an option'))
  for (const [content, ...texts] of [
    ['archive_dir: /archive', 'archive_dir is not an option', 'did you mean archive-dir?'],
    ['on-gaps: continue', 'on-gaps is not an option', 'did you mean on-gap?'],
    ['no-files: true', 'no-files is not an option', 'did you mean files?'],
    ['xyzzy: 1', 'xyzzy is not an option'],
  ] as const) {
    writeFileSync(file, content)
    assert.throws(
      () => readOptions(runOptions, { argv, env: {} }, inFile),
      isUsage(file, ...texts),
      content,
    )
  }
})

test('a variable that no command has is named, with the one that was meant', () => {
  const env = {
    PATH: '/bin',
    ARCHIVER_GROUP: 'g',
    ARCHIVER_NO_FILES: 'true',
    ARCHIVER_FAULT: 'files.linked',
    ARCHIVER_TEST_MYSQL: 'mysql://u:secret@h/d',
    ARCHIVER_ARCHIVEDIR: '/archive',
    ARCHIVER_SERVICE_HOST: '10.0.0.1',
  }
  assert.deepEqual(unknownVariables(runOptions, env), [
    'ignoring unknown environment variable ARCHIVER_ARCHIVEDIR; did you mean ARCHIVER_ARCHIVE_DIR?',
    'ignoring unknown environment variable ARCHIVER_SERVICE_HOST',
  ])
})

test('the archiver holds its file against the options of all commands, and warns of a variable', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'archiver.yaml')
  const program = fileURLToPath(new URL('../../../src/cmd/lib/commands.ts', import.meta.url))
  const ls = (content: string) => {
    writeFileSync(file, content)
    return spawnSync(process.execPath, [program, 'ls', '--config', file], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, ARCHIVER_GRUOP: 'g' },
    })
  }
  const other = ls(`archive-dir: ${directory}\nolder-than: 90d\n`)
  assert.equal(other.status, 1, other.stderr)
  const [warned, said] = other.stderr.split('\n')
  assert.match(
    warned!,
    /^archiver: ignoring unknown environment variable ARCHIVER_GRUOP; did you mean ARCHIVER_GROUP\?$/,
  )
  assert.doesNotMatch(said!, /is not an option/)
  const mistyped = ls(`archive-dirs: ${directory}\n`)
  assert.equal(mistyped.status, 2)
  assert.match(mistyped.stderr, /archive-dirs is not an option; did you mean archive-dir\?\n$/)
})

test('every option has its flag, its variable and a default that its own validation takes', () => {
  for (const [key, option] of Object.entries(runOptions)) {
    assert.match(flagName(key), /^[a-z][a-z0-9-]*$/)
    assert.match(variableName(key), /^ARCHIVER_[A-Z0-9_]+$/)
    assert.ok(
      option.explanation.endsWith('.') || option.explanation.endsWith(').'),
      `${key}: ${option.explanation}`,
    )
    if (option.defaultText !== undefined)
      assert.deepEqual(option.parse(option.defaultText), option.defaultValue)
  }
})

test('switches and their opposites', () => {
  assert.equal(read(['--until-end']).untilEnd, true)
  assert.equal(read(['--until-end=false']).untilEnd, false)
  assert.equal(read(['--no-files']).files, false)
  assert.equal(read([], { ARCHIVER_NO_FILES: '1' }).files, false)
  assert.equal(read([], { ARCHIVER_NO_FILES: 'false' }).files, true)
  assert.equal(read([], { ARCHIVER_FILES: 'false' }).files, false)
  assert.equal(
    read(['--no-elasticsearch'], { ARCHIVER_ELASTICSEARCH: 'http://a:1' }).elasticsearch,
    undefined,
  )
  assert.equal(read([], { ARCHIVER_NO_ELASTICSEARCH: 'true' }).elasticsearch, undefined)
  assert.deepEqual(read([], { ARCHIVER_GROUP: '' }).group, 'archiver')
})

test('values in the units of people', () => {
  assert.equal(read(['--memory-budget', '256MiB']).memoryBudget, 2 ** 28)
  assert.equal(read(['--bulk-bytes', '5MB']).bulkBytes, 5_000_000)
  assert.equal(read(['--bulk-bytes', '1048576']).bulkBytes, 2 ** 20)
  assert.equal(read(['--flush-interval', '0.5']).flushInterval, 0.5)
  assert.deepEqual(read(['--brokers', 'a:1, b:2']).brokers, ['a:1', 'b:2'])
  assert.ok(read(['--topics-regex', '^events\\.']).topicsRegex?.test('events.x'))
})

test('a mistake is one line that names the option, the value and what is allowed', async (t) => {
  const wrong: readonly (readonly [readonly string[], readonly string[]])[] = [
    [
      ['--gzip-level', '12'],
      ['--gzip-level', '"12"', '1 to 9'],
    ],
    [
      ['--gzip-level', '6.5'],
      ['--gzip-level', '"6.5"', 'whole number'],
    ],
    [
      ['--flush-interval', 'soon'],
      ['--flush-interval', '"soon"', 'a number'],
    ],
    [
      ['--memory-budget', '1MiB'],
      ['--memory-budget', '"1MiB"', 'bytes or more'],
    ],
    [
      ['--bulk-bytes', '5XB'],
      ['--bulk-bytes', '"5XB"', '5MB'],
    ],
    [
      ['--log-level', 'loud'],
      ['--log-level', '"loud"', 'info'],
    ],
    [
      ['--topics-regex', '('],
      ['--topics-regex', '"("', 'regular expression'],
    ],
    [
      ['--topics', ','],
      ['--topics', 'one or more'],
    ],
    [
      ['--brokers', 'a:1, b:2,'],
      ['--brokers', '"a:1, b:2,"', 'host:port'],
    ],
    [['--until-end=maybe'], ['--until-end', '"maybe"', 'true or false']],
    [
      ['--on-gap', 'ignore'],
      ['--on-gap', '"ignore"', 'stop, continue'],
    ],
    [
      ['--group', ''],
      ['--group', 'not empty'],
    ],
    [
      ['--broker', 'a:1'],
      ['--broker is not an option', 'did you mean --brokers?'],
    ],
    [['--xyzzy'], ['--xyzzy is not an option', '--help']],
    [['topic'], ['"topic" is not an option']],
    [['--group'], ['--group needs a value']],
    [['--group', 'a', '--group', 'b'], ['--group is given twice']],
    [['--no-files=1'], ['--no-files takes no value']],
    [
      ['--config', '/does/not/exist'],
      ['--config /does/not/exist', 'ENOENT'],
    ],
  ]
  for (const [argv, texts] of wrong)
    assert.throws(() => read(argv), isUsage(...texts), argv.join(' '))
  assert.throws(
    () => read([], { ARCHIVER_GZIP_LEVEL: 'x' }),
    isUsage('ARCHIVER_GZIP_LEVEL', '"x"', '1 to 9'),
  )
  assert.throws(
    () => read([], { ARCHIVER_NO_FILES: 'yes' }),
    isUsage('ARCHIVER_NO_FILES', '"yes"', 'true or false'),
  )

  const file = join(await temporaryDirectory(t), 'archiver.yaml')
  const wrongFiles: Readonly<Record<string, readonly string[]>> = {
    'gzip-level: 12': ['gzip-level', '"12"', '1 to 9'],
    'group: {a: 1}': ['group', '<text>'],
    '- a': ['mapping of option names'],
    'a: [': ['cannot be read as YAML'],
  }
  for (const [content, texts] of Object.entries(wrongFiles)) {
    writeFileSync(file, content)
    assert.throws(() => read(['--config', file]), isUsage(file, ...texts), content)
  }
})

test('no text at all makes anything but values or a clear line', () => {
  const word = fc.oneof(
    fc.constantFrom(
      ...Object.keys(runOptions).map((key) => `--${flagName(key)}`),
      '--no-files',
      '--',
      '--=',
      '-x',
    ),
    fc.string(),
  )
  const clear = fc.property(fc.array(word, { maxLength: 4 }), (argv) => {
    try {
      read(argv.filter((one) => !one.startsWith('--config')))
    } catch (error) {
      isUsage()(error)
    }
  })
  fc.assert(clear, { numRuns: 500 })
})

test('what no single option can check', () => {
  const check = (...argv: readonly string[]) => typeSource(related(runSet, read(argv)))
  check('--topics', 'a')
  assert.throws(() => check(), isUsage('--topics or --topics-regex'))
  assert.throws(() => check('--topics', 'a', '--topics-regex', 'b'), isUsage('exclude each other'))
  for (const [without, needs] of [
    ['--no-files', '--learn needs --files'],
    ['--no-elasticsearch', '--learn needs --elasticsearch'],
  ] as const)
    assert.throws(() => check('--topics', 'a', '--learn', without), isUsage(needs))
  assert.throws(
    () => check('--topics', 'a', '--no-files', '--no-elasticsearch'),
    isUsage('--files, --elasticsearch or --mysql is needed'),
  )
  assert.throws(
    () => check('--topics', 'a', '--elasticsearch', 'localhost'),
    isUsage('--elasticsearch: "localhost"', 'http://'),
  )
  assert.throws(
    () => check('--topics', 'a', '--index-prefix', 'Archive-'),
    isUsage('--index-prefix', '"Archive-"', 'archive-'),
  )
  assert.throws(
    () => check('--topics', 'a', '--type-path', 'a..b'),
    isUsage('--type-path', '"a..b"', 'meta.type'),
  )
})

test('a URL with a password that is not percent-encoded is refused, and no part of it is shown', () => {
  const login = ['--sasl-username', 'u', '--sasl-password', 'p', '--sasl-mechanism', 'oauthbearer']
  const check = {
    '--elasticsearch': (password: string) =>
      read(['--topics', 'a', '--elasticsearch', `http://user:${password}@host:9200`]),
    '--mysql': (password: string) =>
      read(['--topics', 'a', '--mysql', `mysql://user:${password}@host/db`]),
    '--kibana': (password: string) =>
      readOptions(setupSet.options, {
        argv: [`--kibana=http://user:${password}@host:5601`],
        env: {},
      }),
    '--sasl-token-url': (password: string) =>
      read([...login, '--sasl-token-url', `https://user:${password}@host/token`]),
  }
  // Behind each sign that ends the password, or the URL, too early; `1` may be taken for a port.
  const everywhere = [
    'sec/canary',
    'sec?canary',
    'sec#canary',
    'sec%canary',
    'sec@canary/sec',
    '1/canary',
    '1?canary',
  ]
  const wrong = {
    '--elasticsearch': [...everywhere, 'sec,canary', '1,canary', 'sec\\canary'],
    '--mysql': everywhere,
    '--kibana': [...everywhere, 'sec\\canary'],
    '--sasl-token-url': [...everywhere, 'canary'],
  }
  for (const option of Object.keys(wrong) as (keyof typeof wrong)[]) {
    for (const password of wrong[option]) {
      const isRefused = (error: unknown) =>
        isUsage(
          option,
          'not allowed',
          option === '--sasl-token-url' ? 'expected' : 'percent-encoded',
        )(error) && !/sec|canary/.test((error as Error).message)
      assert.throws(() => check[option](password), isRefused, `${option} ${password}`)
    }
  }
  for (const option of ['--elasticsearch', '--mysql', '--kibana'] as const)
    check[option]('p%2Fa%2Cs%25s%3F%40%23')
})

test('where types come from', () => {
  assert.deepEqual(typeSource(read(['--type-path', 'a.b'])), { from: 'value', path: ['a', 'b'] })
  assert.deepEqual(typeSource(read(['--type-from', 'header', '--type-header', 'k'])), {
    from: 'header',
    header: 'k',
  })
  assert.deepEqual(typeSource(read(['--type-from', 'topic'])), { from: 'topic' })
})

/**
 * The help is kept next to this file, so that a changed option is seen in review. Run with
 * UPDATE_SNAPSHOTS=1 to accept a change.
 */
test('the options of run, as --help tells them', () => {
  const path = fileURLToPath(new URL('run-options.txt', import.meta.url))
  const help = `${describeOptions(runSet)}\n`
  if (process.env.UPDATE_SNAPSHOTS === '1') writeFileSync(path, help)
  assert.equal(
    help,
    readFileSync(path, 'utf8'),
    'the options changed: look at it, then run with UPDATE_SNAPSHOTS=1',
  )
  assert.ok(help.split('\n').every((line) => line.length <= 120))
  for (const key of Object.keys(elasticsearchGroup.options))
    assert.ok(help.includes(`${flagName(key)}`), key)
})

const timerWords = ['ms', 's', 'minutes']

test('no value of an option gives a timer more than it can wait', () => {
  // As `producer` has it.
  const interval = integer({
    min: 1,
    unit: 'ms',
    default: '1000',
    explanation: 'Time between two messages.',
  })
  const options: Options = { ...everyOption, interval }
  const times = Object.entries(options).filter(([, { waitUnitMs }]) => waitUnitMs !== undefined)
  const names = times.map(([key]) => flagName(key))
  for (const name of [
    'shutdown-timeout',
    'status-interval',
    'topics-refresh',
    'elasticsearch-timeout',
    'interval',
  ]) {
    assert.ok(names.includes(name), name)
  }
  for (const name of [
    'mysql-timeout',
    'flush-interval',
    'compact-after',
    'session-timeout',
    'commit-interval',
  ]) {
    assert.ok(names.includes(name), name)
  }
  for (const name of ['reject-hold', 'bulk-linger', 'mysql-linger', 'kibana-wait'])
    assert.ok(names.includes(name), name)
  // None has a unit of time without the bound that comes with it.
  for (const [key, { placeholder, waitUnitMs }] of Object.entries(options)) {
    assert.equal(
      timerWords.includes(placeholder.slice(1, -1)) && waitUnitMs === undefined,
      false,
      key,
    )
  }

  const number = fc.oneof(
    fc.double({ min: 0, max: 1e12, noNaN: true }).map(String),
    fc.nat({ max: 2 ** 31 - 1 }).map(String),
    fc.bigInt({ min: 0n, max: 10n ** 18n }).map(String),
    fc
      .integer({ min: -2, max: 2 })
      .chain((d) =>
        fc.constantFrom(1, 1000, 60_000).map((ms) => String(d + Math.floor(maxTimerMs / ms))),
      ),
  )
  const value = fc
    .tuple(number, fc.constantFrom('', '', '', 'ms', 's', 'm', 'h', 'd'))
    .map(([digits, unit]) => digits + unit)
  let accepted = 0
  fc.assert(
    fc.property(fc.constantFrom(...times), value, ([key, { parse, waitUnitMs }], text) => {
      let parsed: unknown
      try {
        parsed = parse(text)
      } catch {
        return
      }
      accepted++
      const ms = Number(parsed) * waitUnitMs!
      assert.ok(ms >= 0 && ms <= maxTimerMs, `--${flagName(key)} ${text}: ${ms} ms`)
    }),
    { numRuns: 5000 },
  )
  assert.ok(accepted > 100, String(accepted))
})

test('a time that no timer can wait is refused with what is allowed', () => {
  const tooLong: readonly (readonly [string, string, string])[] = [
    ['--shutdown-timeout', '2592000', 'a whole number from 1 to 2147483 (s)'],
    ['--status-interval', '3000000', 'a whole number from 1 to 2147483 (s)'],
    ['--topics-refresh', '2147484', 'a whole number from 1 to 2147483 (s)'],
    ['--elasticsearch-timeout', '9007199254740991', 'a whole number from 1 to 2147483 (s)'],
    ['--reject-hold', '35792', 'a number from 0 to 35791 (minutes)'],
    ['--compact-after', '25d', 'a time span up to 24d'],
    ['--compact-after', '99999999999999999999d', 'a time span up to 24d'],
  ]
  for (const [flag, value, allowed] of tooLong) {
    assert.throws(() => read([flag, value]), isUsage(flag, `"${value}" is not allowed`, allowed))
  }
  assert.equal(read(['--shutdown-timeout', '2147483']).shutdownTimeout, 2_147_483)
  assert.equal(read(['--compact-after', '24d']).compactAfter, 24 * 86_400_000)
  const prune = (value: string) =>
    readOptions(pruneOptions, { argv: ['--older-than', value], env: {} }).olderThan
  assert.equal(prune('3650d'), 3650 * 86_400_000)
  assert.throws(() => prune('36501d'), isUsage('--older-than', 'a time span up to 36500d'))
})

test('a unit of bytes is one of those that are named', () => {
  for (const unit of ['constructor', 'toString', 'valueOf', 'hasOwnProperty', 'kb', 'TB']) {
    assert.throws(
      () => read(['--flush-bytes', `5${unit}`]),
      isUsage('--flush-bytes', 'a number of bytes such as'),
    )
  }
})
