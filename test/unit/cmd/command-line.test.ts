import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { plainLine } from '../../../src/cmd/lib/plain-log.ts'
import { takeRunFlags } from '../../../src/cmd/lib/run-flags.ts'
import { table } from '../../../src/cmd/lib/table.ts'
import { lsSet } from '../../../src/config/commands/ls.ts'
import { readableJsonText } from '../../../src/runtime/readable-text.ts'
import { makeArchive, records } from '../../helpers/archive.ts'
import { startArchiver } from '../../helpers/archiver.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

/** Commands as a user types them, on an archive without any server. */

const program = fileURLToPath(new URL('../../../bin/archiver.mjs', import.meta.url))

async function archive(t: TestContext): Promise<string> {
  return makeArchive(t, [
    { tp: { topic: 'events', partition: 0 }, flushes: [records(0, 3000)] },
    { tp: { topic: 'orders', partition: 1 }, flushes: [[{ offset: 0, type: 'order' }]] },
  ])
}

async function outcome(
  t: TestContext,
  ...argv: string[]
): Promise<{ code: number; out: string; errors: string }> {
  const running = startArchiver(t, argv)
  const code = await running.ended
  const errors = running.errors()
  return {
    code,
    errors,
    out: errors === '' ? running.output() : running.output().replace(errors, ''),
  }
}

async function inShell(
  t: TestContext,
  command: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const child = spawn('bash', ['-c', `exec 2>&1; ${command}`], {
    env: { ...process.env, A: `${process.execPath} ${program}`, ...env },
  })
  t.after(() => child.kill('SIGKILL'))
  return text(child.stdout)
}

describe('the command line', { concurrency: 3 }, () => {
  it('says its version', async (t) => {
    const { version } = JSON.parse(
      readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
    ) as {
      version: string
    }
    for (const words of [['--version'], ['version'], ['run', '--version']]) {
      assert.deepEqual(await outcome(t, ...words), {
        code: 0,
        out: `archiver ${version}\n`,
        errors: '',
      })
    }
  })

  it('refuses a directory that is a URL, in every command and from the file', async (t) => {
    const config = join(await temporaryDirectory(t), 'archiver.yaml')
    writeFileSync(config, 'archive-dir: ~/archive\n')
    for (const command of ['run', 'verify', 'ls', 'cat', 'restore', 'status', 'compact', 'prune']) {
      const url = await outcome(t, command, '--archive-dir', 's3a://bucket/archive')
      assert.equal(url.code, 2, command)
      assert.match(
        url.errors,
        /--archive-dir: "s3a:\/\/bucket\/archive" is not allowed; expected s3:\/\/bucket or/,
      )
      const home = await outcome(t, command, '--config', config)
      assert.equal(home.code, 2, command)
      assert.match(
        home.errors,
        /archive-dir: "~\/archive" is not allowed; expected a whole path, such as \//,
      )
    }
  })

  it('explains one command without the list of all, and finds a mistyped one', async (t) => {
    const { out: all } = await outcome(t, 'help')
    assert.equal(all, (await outcome(t, '--help')).out)
    assert.match(all, /Usage: archiver \[command\] \[options\]\n/)
    assert.match(all, /\n {2}retry-rejected {2}Sends /)
    assert.match(all, /--flush-interval/)
    const { out: copy } = await outcome(t, 'copy', '--help')
    assert.equal(copy, (await outcome(t, 'help', 'copy')).out)
    assert.match(
      copy,
      /^archiver copy: Copies [^\n]+\n\nUsage: archiver copy FROM TO \[options\]\n/,
    )
    assert.doesNotMatch(copy, /Sends rejected/)
    assert.match(copy, /\narchiver --help lists all commands\.\n/)
    const mistakes = [
      ['vrify', 'archiver: vrify is not a command; did you mean verify? (see --help)\n'],
      [
        'help nonsense',
        /^archiver: nonsense is not a command; the commands are run, setup, .*, sweep\n$/,
      ],
    ] as const
    for (const [words, message] of mistakes) {
      const { code, errors } = await outcome(t, ...words.split(' '))
      assert.equal(code, 2)
      if (typeof message === 'string') assert.equal(errors, message)
      else assert.match(errors, message)
    }
  })

  it('says why a path holds no archive', async (t) => {
    const root = await temporaryDirectory(t)
    const file = join(root, 'file')
    writeFileSync(file, '')
    for (const [path, why] of [
      [join(root, 'none'), `${root}/none is not an archive: nothing is there;`],
      [root, `${root} is not an archive: it has no _archive.json;`],
      [file, `there is a file in the place of a directory: ${file}\n`],
      [join(file, 'a/b'), `there is a file in the place of a directory: ${file}\n`],
    ] as const) {
      const { code, errors } = await outcome(t, 'ls', '--archive-dir', path)
      assert.equal(code, 1)
      assert.ok(errors.startsWith(`archiver: ${why}`), errors)
    }
    const { errors } = await outcome(t, 'ls', '--archive-dir', 'gs://bucket/archive')
    assert.match(errors, /without gs:\/\/, or s3:\/\/bucket or s3:\/\/bucket\/prefix\n/)
  })

  it('says in one line that a directory may not be read, in every command', async (t) => {
    const root = await archive(t)
    const there = (name: string) => join(root, name)
    const [type] = readdirSync(root).filter((name) => name.startsWith('type='))
    // A loop of links fails for every user; a mode would not stop root.
    renameSync(there(type!), there('moved'))
    symlinkSync(type!, there(type!))
    const here = ['--archive-dir', root, '--no-elasticsearch']
    for (const argv of [
      ['cat', ...here.slice(0, 2)],
      ['verify', '--no-kafka', ...here],
      ['mapping', '--type', type!.slice('type='.length), ...here],
      ['compact', '--compact-after', '0', ...here.slice(0, 2)],
      ['copy', root, `${root}.copy`],
    ]) {
      const { code, errors, out } = await outcome(t, ...argv)
      const what = `${argv.join(' ')}:\n${out}${errors}`
      assert.equal(code, 1, what)
      assert.match(what, /there is a symbolic link in the place of|is a symbolic link|not followed/)
      assert.doesNotMatch(what, /unexpected|\n {4}at |manifest-invalid|ELOOP/, what)
    }
  })

  it('warns of secrets in a file that all users may read', async (t) => {
    const root = await archive(t)
    const config = join(await temporaryDirectory(t), 'archiver.yaml')
    writeFileSync(config, `archive-dir: ${root}\nelasticsearch-password: canary\n`)
    chmodSync(config, 0o644)
    const { code, errors } = await outcome(t, 'ls', '--config', config)
    assert.equal(code, 0)
    assert.match(
      errors,
      /archiver\.yaml holds elasticsearch-password and can be read by all users of this machine; chmod o-r it/,
    )
    assert.doesNotMatch(errors, /canary/)
    chmodSync(config, 0o640)
    assert.equal((await outcome(t, 'ls', '--config', config)).errors, '')
  })

  it('shows the few options that everybody needs, and all in groups', async (t) => {
    const { out: few } = await outcome(t, 'run', '--help')
    const { out: all } = await outcome(t, 'run', '--help', '--all')
    for (const flag of ['topics', 'brokers', 'flush-interval', 'archive-dir'])
      assert.match(few, new RegExp(`--${flag} `))
    assert.doesNotMatch(few, /--sasl-mechanism/)
    assert.match(few, /More with --help --all: Kafka \(\d+\), /)
    assert.match(all, /\nKafka:\n[\s\S]+--sasl-mechanism[\s\S]+\nFiles:\n/)
    assert.ok(all.indexOf('--topics ') < all.indexOf('\nKafka:\n'))
    assert.match((await outcome(t, 'ls', '--help')).out, /--log-level/)
  })

  it('says what there is if a name selects nothing, with 1; an empty time is an answer, with 0', async (t) => {
    const root = ['--archive-dir', await archive(t)]
    const failing = [
      ['cat', '--type', 'nope'],
      ['ls', '--type', 'nope'],
      ['cat', '--topic', 'nope'],
      ['ls', '--topic', 'nope', '--json'],
      ['compact', '--topic', 'nope'],
      ['restore', '--topic', 'nope'],
      ['cat', '--topic', 'orders', '--type', 'a'],
      ['cat', '--partition', '7'],
    ]
    const said = await Promise.all(failing.map((words) => outcome(t, ...words, ...root)))
    const expected = [
      'type nope; it has a, b, order',
      'type nope; it has a, b, order',
      'topic nope; it has events, orders',
      'topic nope; it has events, orders',
      'topic nope; it has events, orders',
      'topic nope; it has events, orders',
      'type a; it has order',
      'partition 7; it has events/0, orders/1',
    ]
    for (const [i, what] of expected.entries()) {
      const errors = `archiver: the archive holds no record of ${what}\n`
      assert.deepEqual(said[i], { code: 1, out: '', errors }, failing[i]!.join(' '))
    }
    for (const [why, ...words] of [
      ['is selected', 'cat', '--from', '2030-01-01'],
      ['fits --where value.n=none', 'cat', '--where', 'value.n=none'],
      ['is selected', 'ls', '--to', '2001-01-01', '--json'],
    ]) {
      const errors = `archiver: no record ${why}; there are records from 2019-08-01T03:00:00.000Z to 2019-08-01T03:49:59.000Z\n`
      assert.deepEqual(await outcome(t, ...words, ...root), { code: 0, out: '', errors })
    }
  })

  it('refuses a range that ends before it begins, and a type that is not there before a target is touched', async (t) => {
    const root = ['--archive-dir', await archive(t)]
    for (const [end, ...words] of [
      ['to', 'ls'],
      ['to', 'cat'],
      ['until', 'restore'],
      ['until', 'mapping', '--type', 'a', '--no-elasticsearch'],
    ] as const) {
      const times = ['--from', '2019-08-02', `--${end}`, '2019-08-01']
      const errors = `archiver: --from must be before --${end}\n`
      assert.deepEqual(await outcome(t, ...words, ...times, ...root), { code: 2, out: '', errors })
    }
    // Nothing listens there: a command that asked it would say so.
    const away = ['--elasticsearch', 'http://127.0.0.1:1']
    const { code, errors } = await outcome(t, 'restore', '--type', 'nope', ...away, ...root)
    assert.deepEqual(
      [code, errors],
      [1, 'archiver: the archive holds no record of type nope; it has a, b, order\n'],
    )
  })

  it('mapping takes --to as restore does: a target, and --until is the end of the range', async (t) => {
    for (const to of ['duckdb', '2019-08-02']) {
      const { code, errors } = await outcome(t, 'mapping', '--type', 'x', '--to', to)
      assert.deepEqual(
        [code, errors],
        [2, `archiver: --to: "${to}" is not allowed; expected mysql\n`],
      )
    }
    const { code, errors } = await outcome(t, 'mapping', '--type', 'x', '--to', 'mysql', '--json')
    assert.deepEqual([code, errors], [2, 'archiver: --to and --json exclude each other\n'])
  })

  it('takes the flags of run: checks them, narrows by topics, and passes over the rest', async (t) => {
    const root = ['--archive-dir', await archive(t)]
    const of = ['--flush-interval', '5', '--no-templates', '--http=9464', '--until-end']
    const listed = await outcome(
      t,
      'ls',
      ...of,
      ...root,
      '--group',
      'test-group',
      '--topics-regex',
      '^ord',
      '--json',
    )
    assert.equal(listed.errors, '')
    assert.deepEqual(
      listed.out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { name: string }).name),
      ['order'],
    )
    const printed = await outcome(t, 'cat', ...root, '--topics', 'orders', '--value-only')
    assert.equal(printed.out, '{"type":"order","n":0}\n')
    const verified = await outcome(
      t,
      'verify',
      ...of,
      ...root,
      '--no-kafka',
      '--no-elasticsearch',
      '--topics-regex',
      'ev',
    )
    assert.equal(verified.code, 0, verified.errors)
    assert.doesNotMatch(verified.out, /orders/)

    const refused = await Promise.all(
      [
        ['cat', '--group', 'other'],
        ['ls', '--flush-interval', 'soon'],
        ['ls', '--topics', 'a', '--topic', 'b'],
        ['ls', '--topics', 'a', '--topics-regex', 'b'],
        ['ls', '--topics-regex', 'zzz'],
        ['prune', '--topics', 'events', '--older-than', '1d', '--no-elasticsearch', '--yes'],
        ['ls', '--tpye', 'a'],
      ].map((words) => outcome(t, ...words, ...root)),
    )
    assert.deepEqual(
      refused.map(({ code }) => code),
      [2, 2, 2, 2, 1, 2, 2],
    )
    const errors = refused.map(({ errors }) => errors)
    assert.match(
      errors[0]!,
      /^archiver: --group: "other" is not allowed; the archive \S+ belongs to group test-group\n$/,
    )
    assert.match(errors[4]!, /no topic of the archive matches \/zzz\/; it holds events, orders/)
    assert.match(errors[5]!, /takes all topics of the archive: also orders/)
    assert.match(errors[6]!, /--tpye is not an option; did you mean --type\?/)
  })

  const whole = 'line=$($A cat --archive-dir $D | wc -l); echo $line'
  const verify = '$A verify --no-kafka --no-elasticsearch --archive-dir $D'
  const full = 'archiver: standard output cannot be written: ENOSPC: no space left on device\n'
  for (const [name, command, expected] of [
    [
      'cat to a reader that goes',
      '{ $A cat --archive-dir $D; echo $? >&2; } | head -1 > /dev/null',
      '141\n',
    ],
    ['cat to the end', whole, '3001\n'],
    ['cat to a full disk', '$A cat --archive-dir $D > /dev/full; echo $?', `${full}1\n`],
    ['ls to a full disk', '$A ls --archive-dir $D > /dev/full; echo $?', `${full}1\n`],
    ['verify to a full disk', `${verify} > /dev/full; echo $?`, `${full}1\n`],
    ['verify that nobody reads', `{ ${verify}; echo $? >&2; } | true`, '0\n'],
    ['verify without output', `${verify} >&-; echo $?`, '0\n'],
    [
      'verify of a damaged archive that nobody reads',
      `rm -r $D/type=b; { ${verify} 2>&-; echo $? >&2; } | true`,
      '1\n',
    ],
    [
      'a half-written file',
      '(ulimit -f 4; $A cat --archive-dir $D > $D.out); echo $?',
      `${full.replace('ENOSPC: no space left on device', 'EFBIG: file too large')}1\n`,
    ],
  ] as const) {
    it(`has the right exit code for ${name}`, async (t) => {
      assert.equal(await inShell(t, command, { D: await archive(t) }), expected)
    })
  }
})

it('shows foreign text on a terminal escaped: what a worker says, and values that are no JSON', async (t) => {
  const hostile = '\x1b]0;PWN\x07\x1b[2J'
  const server = createServer((_, response) => {
    const partitions = [
      { topic: 'events', partition: 0, oldest_unacknowledged_s: 0, waiting: hostile },
    ]
    const answer = {
      worker: hostile,
      ready: false,
      reasons: [hostile],
      records: 0,
      sinks: [],
      partitions,
    }
    response.end(JSON.stringify(answer))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const value = Buffer.concat([Buffer.from(hostile), Buffer.from([0xff])])
  const D = await makeArchive(t, [
    {
      tp: { topic: 'events', partition: 0 },
      flushes: [
        [
          { offset: 0, value },
          { offset: 1, value: Buffer.from(hostile) },
          { offset: 2, value: Buffer.from('{"a":"\u009b2J"}') },
        ],
      ],
    },
  ])
  const { port } = server.address() as AddressInfo
  const status = await outcome(
    t,
    'status',
    '--no-kafka',
    '--archive-dir',
    D,
    '--workers',
    `127.0.0.1:${port}`,
  )
  assert.equal(status.code, 1)
  assert.match(status.out, /\\u001b\]0;PWN\\u0007/)
  assert.doesNotMatch(status.out.replaceAll('\n', ''), /\p{Cc}/u)

  // `script` gives the command a terminal.
  const shown = await inShell(
    t,
    'script -qec "$A cat --archive-dir $D --value-only" /dev/null < /dev/null',
    { D },
  )
  assert.deepEqual(shown.trim().split(/\r?\n/), [
    `base64:${value.toString('base64')}`,
    '\\u001b]0;PWN\\u0007\\u001b[2J',
    '{"a":"\\u009b2J"}',
  ])
  const piped = await inShell(
    t,
    '$A cat --archive-dir $D --value-only --offset 1 --topic events --partition 0',
    { D },
  )
  assert.equal(piped, `${hostile}\n`)
})

it('tells the flags of run from those of a command', () => {
  const { argv, values } = takeRunFlags(
    [
      '--by',
      'day',
      '--group=g',
      '--no-files',
      '--json',
      '--commit-interval',
      '500',
      '--bogus',
      'x',
    ],
    lsSet.options,
  )
  assert.deepEqual(argv, ['--by', 'day', '--json', '--bogus', 'x'])
  assert.deepEqual(values, { group: 'g', files: false, commitInterval: 500 })
})

it('escapes foreign text in tables and in log lines for people, and keeps stacks readable', () => {
  assert.equal(
    table([{ head: 'type' }], [['a\x1b[31m\nb\u202e']]),
    'type\na\\u001b[31m\\u000ab\\u202e',
  )
  assert.equal(table([{ head: 'type' }], [['order '], ['order'], ['']]), 'type\n"order "\norder\n')
  const line = readableJsonText(
    JSON.stringify({ msg: 'a\x1b]0;x\x07\nb\u009b', stack: 'Error: x\n    at y', ok: 'ü"\\' }),
  )
  assert.deepEqual(JSON.parse(line), {
    msg: 'a\\u001b]0;x\\u0007\\nb\\u009b',
    stack: 'Error: x\n    at y',
    ok: 'ü"\\',
  })
})

it('prints the log of setup as lines for people', () => {
  assert.equal(
    plainLine('{"level":"info","time":"…","template":"x","msg":"installed x"}'),
    'installed x',
  )
  assert.equal(
    plainLine('{"level":"warn","msg":"x is older","err":{"message":"why"}}'),
    'warning: x is older: why',
  )
  assert.equal(
    plainLine(
      '{"level":"info","time":"…","event":"template_installed","template":"x","version":3,"msg":"installed a template"}',
    ),
    'installed a template: template x, version 3',
  )
})
