import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { restoreSet } from '../../../src/config/commands/restore.ts'
import { runSet } from '../../../src/config/commands/run.ts'
import { setupSet } from '../../../src/config/commands/setup.ts'
import { everyOption } from '../../../src/config/commands.ts'
import { elasticsearchConnection } from '../../../src/config/elasticsearch.ts'
import { kibanaConnection } from '../../../src/config/kibana.ts'
import {
  exposedSecrets,
  flagName,
  type Options,
  readOptions,
  related,
  splitElements,
  variableName,
} from '../../../src/config/options.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { noProxies } from '../../../src/runtime/proxies.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

/** The same text means the same, whichever way an option is given. */

const runOptions = runSet.options

let file: string

const inEveryTest = async (t: TestContext) => {
  file = join(await temporaryDirectory(t), 'archiver.yaml')
}

/** What an option became, or the message without the name of its origin. */
function outcome(
  key: string,
  sources: { argv?: readonly string[]; env?: Record<string, string>; yaml?: string },
) {
  const { argv = [], env = {}, yaml } = sources
  // `config` itself cannot come from a file.
  const { config, ...others } = everyOption
  const declared: Options = {
    [key]: everyOption[key]!,
    ...(yaml === undefined ? {} : { config: config! }),
  }
  if (yaml !== undefined) writeFileSync(file, yaml)
  try {
    const files = yaml === undefined ? [] : ['--config', file]
    const values = readOptions(
      declared,
      { argv: [...argv, ...files], env },
      { ...others, ...declared },
    )
    return { value: values[key] }
  } catch (error) {
    assert.ok(error instanceof ArchiverError && error.code === 'USAGE', String(error))
    return { refused: error.message.slice(error.message.indexOf(' is not allowed; expected')) }
  }
}

const flagOf = (key: string, text: string) => ({ argv: [`--${flagName(key)}=${text}`] })
const variableOf = (key: string, text: string) => ({ env: { [variableName(key)]: text } })
const quotedOf = (key: string, text: string) => ({
  yaml: `${flagName(key)}: ${JSON.stringify(text)}\n`,
})
const singleOf = (key: string, text: string) => ({
  yaml: `${flagName(key)}: '${text.replaceAll("'", "''")}'\n`,
})
const plainOf = (key: string, text: string) => ({ yaml: `${flagName(key)}: ${text}\n` })

const dollar = '$'

/** Words that YAML, a shell or `Number` would take for something else than their characters. */
const odd = [
  '0200',
  '1e3',
  '1_000',
  '0x10',
  '0o17',
  '0b1',
  '+5',
  '-0',
  '5.0',
  '.5',
  '5.',
  '٣',
  '５',
  '1,000',
  'Infinity',
  '.inf',
  'NaN',
  'yes',
  'no',
  'on',
  'off',
  'true',
  'True',
  'TRUE',
  'false',
  'null',
  'Null',
  '~',
  'y',
  'n',
  '12:30:00',
  '2026-11-01',
  '2026-11-01T06:00:00Z',
  '2001-12-14t21:59:43.10-05:00',
  '5MB',
  '5 MB',
  '5MB ',
  ' 5',
  '5 ',
  '12h',
  '12 h',
  'a',
  'a b',
  'a:1',
  '[::1]:9092',
  '123456789012345678901234567890',
  '<<',
  '=',
  '_untyped',
  'standard',
  'info',
  'http://a:1',
  './x',
]

const plainSafe = (text: string) =>
  /^[A-Za-z0-9_.~+=</٣５-][^\n\r]*$/.test(text) &&
  text.trim() === text &&
  !/: |:$| #|^(-|\?|---|\.\.\.)( |$)/.test(text)

const keys = Object.keys(everyOption).filter((key) => key !== 'config')
/** One of each kind. */
const kinds = [
  ...new Map(
    keys.map((key) => {
      const { placeholder, isSwitch, isSecret, elements, negated, defaultText } = everyOption[key]!
      return [
        JSON.stringify([
          placeholder,
          isSwitch,
          isSecret,
          elements === undefined,
          negated,
          defaultText,
        ]),
        key,
      ]
    }),
  ).values(),
]

describe('one text, three ways', () => {
  test('odd words mean the same as a flag, a variable, and in the file with and without quotes', async (t) => {
    await inEveryTest(t)
    let accepted = 0
    for (const key of kinds) {
      for (const text of odd) {
        const flag = outcome(key, flagOf(key, text))
        assert.deepEqual(outcome(key, variableOf(key, text)), flag, `${key} ${text} as a variable`)
        assert.deepEqual(outcome(key, singleOf(key, text)), flag, `${key} '${text}'`)
        if (plainSafe(text))
          assert.deepEqual(outcome(key, plainOf(key, text)), flag, `${key} ${text} plain`)
        if ('value' in flag) accepted++
      }
    }
    assert.ok(accepted > 500, String(accepted))
  })

  test('any text means the same as a flag, a variable and in the file', async (t) => {
    await inEveryTest(t)
    const piece = fc.oneof(
      fc.constantFrom(...odd, ',', '\\,', '\\', '#', ' #', '*', '&', '"', "'", '\t', ' ', ': '),
      fc.string({ unit: 'grapheme' }),
    )
    const text = fc
      .array(piece, { minLength: 1, maxLength: 4 })
      .map((pieces) => pieces.join(''))
      .filter((joined) => joined !== '' && !joined.includes('\0') && joined.isWellFormed())
    const same = fc.property(fc.constantFrom(...keys), text, (key, text) => {
      const flag = outcome(key, flagOf(key, text))
      assert.deepEqual(outcome(key, variableOf(key, text)), flag)
      assert.deepEqual(outcome(key, quotedOf(key, text)), flag)
    })
    fc.assert(same, { numRuns: 1500 })
  })

  test('the elements of a list are the same as one text, as several flags and as a list in the file', async (t) => {
    await inEveryTest(t)
    const written = (element: string) => element.replace(/[\\,]/g, '\\$&')
    const element = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((text) => !text.includes('\0') && text.isWellFormed())
    const same = fc.property(fc.array(element, { minLength: 1, maxLength: 4 }), (elements) => {
      assert.deepEqual(splitElements(elements.map(written).join(',')), elements)
      for (const key of ['type', 'elasticsearchHeaders']) {
        const name = flagName(key)
        const expected = { value: elements }
        assert.deepEqual(outcome(key, flagOf(key, elements.map(written).join(','))), expected)
        assert.deepEqual(
          outcome(key, { argv: elements.flatMap((one) => [`--${name}`, written(one)]) }),
          expected,
        )
        assert.deepEqual(outcome(key, variableOf(key, elements.map(written).join(','))), expected)
        assert.deepEqual(outcome(key, { yaml: `${name}: ${JSON.stringify(elements)}` }), expected)
      }
    })
    fc.assert(same, { numRuns: 300 })
  })

  test('the type that a dashboard is for is one text, the types of a selection are a list', async (t) => {
    await inEveryTest(t)
    const types = (argv: readonly string[]) =>
      readOptions(restoreSet.options, { argv, env: {} }).type
    assert.deepEqual(types(['--type', 'order\\,created']), ['order,created'])
    assert.deepEqual(types(['--type', 'order,created']), ['order', 'created'])
    assert.deepEqual(types(['--type', 'order ', '--type', ' a, b']), ['order ', ' a', ' b'])
    assert.deepEqual(types(['--type', 'a\\b', '--type=a\\\\\\,b']), ['a\\b', 'a\\,b'])
    assert.deepEqual(
      readOptions(runOptions, { argv: ['--topics', 'a', '--topics= b , c'], env: {} }).topics,
      ['a', 'b', 'c'],
    )
  })

  test('a header may have commas', () => {
    const headers = (...argv: readonly string[]) =>
      elasticsearchConnection(
        readOptions(runOptions, {
          argv: argv.map((header) => `--elasticsearch-headers=${header}`),
          env: {},
        }),
        noProxies,
      )?.headers
    assert.deepEqual(headers('X-Scopes: read\\, write', 'X-B: 1, X-C: 2'), {
      'x-scopes': 'read, write',
      'x-b': '1',
      'x-c': '2',
    })
    assert.throws(
      () => headers('Authorization: Digest a="b", c="canary"'),
      (error: Error) =>
        /number 2 is not allowed; expected name: value, with each comma in a value written \\,/.test(
          error.message,
        ) && !error.message.includes('canary'),
    )
  })
})

describe('numbers', () => {
  test('are digits, with a point at most', () => {
    const read = (argv: readonly string[]) => readOptions(runOptions, { argv, env: {} })
    for (const text of [
      '0x10',
      '1e1',
      ' 5',
      '5 ',
      '+5',
      '٣',
      '５',
      '1_0',
      '5.',
      '.5',
      'Infinity',
    ]) {
      for (const flag of ['--gzip-level', '--flush-interval', '--bulk-bytes', '--compact-after']) {
        assert.throws(() => read([`${flag}=${text}`]), ArchiverError, `${flag} "${text}"`)
      }
    }
    assert.equal(read(['--gzip-level=05']).gzipLevel, 5)
    assert.equal(read(['--bulk-bytes', '5 MB']).bulkBytes, 5_000_000)
  })
})

describe('a file that YAML reads otherwise than people do', () => {
  const secret = 'S3cr3tCanary'
  const read = (content: string, argv: readonly string[] = []) => {
    writeFileSync(file, content)
    return readOptions(runOptions, { argv: ['--config', file, ...argv], env: {} }, everyOption)
  }

  test('no message has anything of a value', async (t) => {
    await inEveryTest(t)
    const wrong = [
      `elasticsearch-password: &${secret}*x: y`,
      `elasticsearch-password: &${secret} x`,
      `elasticsearch-password: *${secret}`,
      `elasticsearch-password: !${secret} x`,
      `elasticsearch-password: !!${secret} x`,
      `elasticsearch-password: @${secret}`,
      `elasticsearch-password: %${secret}`,
      `elasticsearch-password: \`${secret}`,
      `elasticsearch-password: |${secret}`,
      `elasticsearch-password: >${secret}`,
      `elasticsearch-password: "${secret}`,
      `elasticsearch-password: '${secret}`,
      `elasticsearch-password: "\\S${secret}"`,
      `elasticsearch-password: "a" ${secret}`,
      `elasticsearch-password: [${secret}`,
      `elasticsearch-password: {${secret}`,
      `elasticsearch-password: {${secret}: x}`,
      `elasticsearch-password: [${secret}]`,
      `elasticsearch-password: a: ${secret}`,
      `elasticsearch-password: ab #${secret}`,
      `elasticsearch-password: "ab" # ${secret}`,
      `elasticsearch-password: - ${secret}`,
      `elasticsearch-password: a\nelasticsearch-password: ${secret}`,
      `elasticsearch-headers: [[${secret}]]`,
      `elasticsearch-headers: ["a: b", *${secret}]`,
      `elasticsearch: [http://a:${secret}@b, &${secret} x]`,
      `a: 1\n---\nb: ${secret}`,
      `? [${secret}]\n: 1`,
      `elasticsearch-password: ab\n\t${secret}: x`,
    ]
    const written: string[] = []
    t.mock.method(process, 'emitWarning', (warning: unknown) => written.push(String(warning)))
    for (const content of wrong) {
      const check = (error: unknown) => {
        assert.ok(error instanceof ArchiverError && error.exitCode === 2, content)
        assert.ok(
          error.message.includes(file) &&
            !/canary/i.test(error.message) &&
            !error.message.includes('\n'),
          error.message,
        )
        return true
      }
      assert.throws(() => read(content), check, content)
    }
    assert.deepEqual(written, [])
  })

  test('quotes keep every character of a password', async (t) => {
    await inEveryTest(t)
    const password = (content: string) =>
      read(`elasticsearch-password: ${content}`).elasticsearchPassword
    for (const text of [
      'a #b',
      '*a',
      '&a',
      ' a ',
      '"a"',
      "'a'",
      '007',
      '1e3',
      'null',
      '~',
      '#',
      'a: b',
      '\\n',
      '!a',
      '%a',
      'yes',
    ]) {
      assert.equal(password(JSON.stringify(text)), text)
      assert.equal(password(`'${text.replaceAll("'", "''")}'`), text)
    }
    for (const text of [
      'a#b',
      'a*b',
      'a&b',
      '007',
      '1_000',
      '0x10',
      'null',
      'yes',
      '2026-11-01',
      'a"b',
    ])
      assert.equal(password(text), text)
  })

  test('what is neither a text nor a list of texts names the option and its line', async (t) => {
    await inEveryTest(t)
    for (const content of [
      'topics: [[a]]',
      'topics: [a, {b: c}]',
      'topics: {a: b}',
      '\ngroup: [a, b]',
      'files: [a]',
    ]) {
      assert.throws(
        () => read(content),
        /archiver\.yaml: (topics|group|files): line [12]: expected (<.*>|true or false)/,
        content,
      )
    }
    assert.throws(
      () => read('group:'),
      /group: "" is not allowed; expected a text that is not empty/,
    )
    assert.throws(() => read('topics: []'), /topics: "" is not allowed; expected one or more/)
    writeFileSync(file, Buffer.from([0x67, 0x3a, 0x20, 0xff]))
    assert.throws(
      () => readOptions(runOptions, { argv: ['--config', file], env: {} }),
      /is not UTF-8/,
    )
  })

  test('secrets in a file that all users may read are named, not shown', async (t) => {
    await inEveryTest(t)
    writeFileSync(
      file,
      'elasticsearch-password: canary\nelasticsearch: http://a:1\nmysql: mysql://u:p@h/d\ngroup: a\n',
    )
    chmodSync(file, 0o644)
    assert.deepEqual(exposedSecrets(everyOption, file), ['elasticsearch-password', 'mysql'])
    chmodSync(file, 0o640)
    assert.deepEqual(exposedSecrets(everyOption, file), [])
    chmodSync(file, 0o644)
    writeFileSync(file, 'elasticsearch-password-file: /run/secrets/a\nkibana: http://k:5601\n')
    assert.deepEqual(exposedSecrets(everyOption, file), [])
  })
})

describe('paths', () => {
  const pathKeys = keys.filter((key) =>
    ['<file>', '<directory>'].includes(everyOption[key]!.placeholder),
  )

  test('are taken as they are written; a URL and what only a shell expands are refused', async (t) => {
    await inEveryTest(t)
    assert.ok(pathKeys.length >= 14, pathKeys.join())
    const urls = [
      's3://bucket/a',
      'gs://b/a',
      'hdfs://nn:8020/a',
      'file:///tmp/a',
      'file:/tmp/a',
      'S3A://b',
      'abfs+x://a',
    ]
    const shell = [
      '~',
      '~/archive',
      '~user/archive',
      '$HOME/archive',
      `${dollar}{HOME}/archive`,
      '/data/$ENV/a',
      `/a/${dollar}{B:-c}`,
      '$(pwd)/a',
    ]
    for (const key of [...pathKeys, 'config']) {
      const read = (text: string) =>
        readOptions({ [key]: everyOption[key]! }, { argv: [`--${flagName(key)}`, text], env: {} })
      for (const text of [...urls, ...shell, '']) {
        assert.throws(() => read(text), {
          code: 'USAGE',
          message: new RegExp(`^--${flagName(key)}: ".*" is not allowed; expected`),
        })
      }
    }
    for (const key of pathKeys) {
      for (const text of [...urls, ...shell]) {
        const flag = outcome(key, flagOf(key, text))
        assert.ok('refused' in flag)
        assert.deepEqual(outcome(key, variableOf(key, text)), flag)
        assert.deepEqual(outcome(key, quotedOf(key, text)), flag)
      }
      for (const text of [
        './~',
        './archive',
        'a b',
        '/a/~/b',
        'a~',
        'a$',
        '$',
        '/a$1',
        '[x]*?',
        'ü',
        'C:\\x',
        '\'q"',
        ' a ',
      ]) {
        assert.deepEqual(outcome(key, flagOf(key, text)), { value: text })
        assert.deepEqual(outcome(key, quotedOf(key, text)), { value: text })
      }
    }
    assert.throws(
      () => readOptions(runOptions, { argv: ['--archive-dir', 'gs://bucket/a'], env: {} }),
      /the path of a directory in a mounted file system, without gs:\/\/|s3:\/\/bucket/,
    )
    assert.throws(
      () => readOptions(runOptions, { argv: ['--archive-dir=~/archive'], env: {} }),
      new RegExp(`such as ${homedir()}/archive: no shell expands ~ here`),
    )
  })
})

describe('brokers', () => {
  test('are host:port or [IPv6]:port and nothing else', () => {
    const read = (text: string) =>
      readOptions(runOptions, { argv: [`--brokers=${text}`], env: {} }).brokers
    for (const text of [
      '[::1]:9092',
      '[fe80::1%eth0]:9092',
      '127.0.0.1:1',
      'kafka_1.local:65535',
      'KAFKA-1:09092',
      '[::ffff:127.0.0.1]:9092',
    ])
      assert.deepEqual(read(text), [text])
    assert.deepEqual(read('localhost:9092, [::1]:9093 '), ['localhost:9092', '[::1]:9093'])
    const wrong = [
      '::1:9092',
      '::1',
      '[::1]',
      '[::1]9092',
      '[:::1]:9092',
      '[127.0.0.1]:9092',
      '[]:9092',
      'PLAINTEXT://127.0.0.1:9092',
      'kafka://a:9092',
      'http://a:9092',
      '//a:9092',
      '127.0.0.1',
      'a',
      'a:',
      ':9092',
      'a:9092/',
      'a:9092/x',
      'a:9092?x',
      'a:70000',
      'a:0',
      'a:-1',
      'a:9092a',
      'a:0x10',
      'a:９０９２',
      'a b:9092',
      'a :9092',
      'a: 9092',
      'u@a:9092',
      'a:9092,',
      ',a:9092',
      'a:9092,,b:9092',
      'a:9092;b:9092',
      'a:9092 b:9092',
      ' ',
      ',',
      'a:1:2',
      '[::1%]:9092',
      'a\\,b:1',
      '"a:1"',
    ]
    for (const text of wrong) {
      assert.throws(
        () => read(text),
        { code: 'USAGE', message: /is not allowed; expected host:port or \[IPv6 address\]:port/ },
        text,
      )
    }
  })
})

describe('URLs of Elasticsearch and Kibana', () => {
  const check = (flag: string, text: string) => {
    const argv = [`${flag}=${text}`]
    const options = related(setupSet, readOptions(setupSet.options, { argv, env: {} }))
    elasticsearchConnection(options, noProxies)
    kibanaConnection(options, noProxies)
  }

  test('have a scheme, a host, a port and a base path', () => {
    const right = [
      'http://a:9200',
      'https://a',
      'HTTP://a:1',
      'http://[::1]:9200',
      'http://a/es',
      'http://a:1/es/',
      'http://u:p@a:1',
    ]
    for (const text of right) for (const flag of ['--elasticsearch', '--kibana']) check(flag, text)
    check('--elasticsearch', 'http://a:1, https://b:2/x')
    const wrong = [
      'a',
      'a:9200',
      '//a:9200',
      'http:a',
      'http:/a',
      'http:///a',
      'http://',
      'ftp://a',
      'file:///a',
      'http://a b',
      'http://a\n.b:9200',
      'http://a\t:1',
      'http://a:70000',
      'http://a:1?x=y',
      'http://a:1/#/app',
      'http://::1:9200',
      'http://[::1',
      'http://[fe80::1%25lo]:1',
    ]
    for (const text of wrong) {
      for (const flag of ['--elasticsearch', '--kibana']) {
        assert.throws(
          () => check(flag, text),
          {
            code: 'USAGE',
            message: new RegExp(`^${flag}: .* expected http://host:port or https://host:port`, 's'),
          },
          text,
        )
      }
    }
  })

  test('have the same credentials, if any', () => {
    check('--elasticsearch', 'http://u:p@a:1,http://u:p@b:1')
    for (const text of [
      'http://u:canary@a:1,http://u:q@b:1',
      'http://u:canary@a:1,http://b:1',
      'http://u@a:1,http://canary@b:1',
    ]) {
      assert.throws(
        () => check('--elasticsearch', text),
        (error: Error) =>
          /the same credentials in each URL/.test(error.message) && !/canary/.test(error.message),
      )
    }
  })
})
