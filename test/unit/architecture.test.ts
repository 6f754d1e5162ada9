import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

/**
 * Which part of the program may import which. A room is a folder of `src`; what lies in `src`
 * itself is the core. The rules hold the straight line: the rooms of technologies know the
 * contracts and never each other, the core knows no technology, and only commands put them
 * together.
 */

const root = fileURLToPath(new URL('../../src/', import.meta.url))

interface SourceFile {
  /** Relative to `src`, with `/`. */
  readonly path: string
  readonly text: string
  readonly imports: readonly Import[]
}

interface Import {
  /** A path relative to `src`, or the name of a package as it is written. */
  readonly target: string
  readonly isLocal: boolean
  /** `import type`: nothing of it is left at run time. */
  readonly isType: boolean
}

const statement = /^(?:import|export)\s+(type\s)?(?:[^'"`;]*?\sfrom\s+)?'([^']+)'/gm
const call = /\b(?:import|require|require\.resolve)\(\s*['"`]([^'"`]+)['"`]/g

function importsOf(path: string, text: string): Import[] {
  const found = [...text.matchAll(statement)].map(([, type, target]) => ({
    target: target!,
    isType: type !== undefined,
  }))
  const called = [...text.matchAll(call)].map(([, target]) => ({ target: target!, isType: false }))
  return [...found, ...called].map(({ target, isType }) => {
    const isLocal = target.startsWith('.')
    return { isType, isLocal, target: isLocal ? posix.join(posix.dirname(path), target) : target }
  })
}

const files: readonly SourceFile[] = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => posix.join(posix.relative(root, entry.parentPath), entry.name))
  .sort()
  .map((path) => {
    const text = readFileSync(root + path, 'utf8')
    return { path, text, imports: importsOf(path, text) }
  })

const roomOf = (path: string): string => path.slice(0, Math.max(0, path.indexOf('/')))

const words = ['runtime', 'record']
const contracts = [...words, 'pipeline']
const technologies = ['kafka', 'files', 'elasticsearch', 'mysql', 'kibana']

/**
 * The rooms, and which other rooms each may import. A room that is not named here does not exist.
 */
const rooms: Readonly<Record<string, readonly string[]>> = {
  runtime: [],
  record: ['runtime'],
  pipeline: words,
  delivery: contracts,
  config: words,
  home: ['runtime'],
  kafka: contracts,
  files: [...contracts, 'home'],
  elasticsearch: [...contracts, 'delivery'],
  mysql: [...contracts, 'delivery'],
  kibana: words,
  mapping: words,
  verify: [...contracts, 'home', 'kafka', 'files', 'elasticsearch', 'mysql'],
  monitor: contracts,
  restore: [...contracts, 'config', 'home', 'kafka', 'files', 'elasticsearch', 'mysql'],
  traffic: [...words, 'config', 'kafka'],
  cmd: [...contracts, 'config', 'home', ...technologies, 'mapping', 'verify', 'monitor', 'restore'],
}

/**
 * The vocabulary of a technology: what reaches a server, and what names are allowed there. It is
 * pure, so config may speak it: options become connections, and names are checked where they are
 * read.
 */
const vocabulary =
  /^(?:(?:kafka|elasticsearch|mysql|kibana)\/(?:connection|index-name|table-name)|home\/(?:place|s3\/(?:address|settings)))\.ts$/

/** Programs that share the kit of `cmd/lib`. */
const programs = ['cmd', 'traffic']

/** Violations of a rule as `file imports target`, so that a failure names them. */
function violations(isWrong: (file: SourceFile, imported: Import) => boolean): string[] {
  return files.flatMap((file) =>
    file.imports
      .filter((imported) => isWrong(file, imported))
      .map(({ target }) => `${file.path} imports ${target}`),
  )
}

test('the statements that are checked are found', () => {
  const text = `import a from './a.ts'\nimport type { B } from 'b'\nimport {\n  type C,\n  D,\n} from '../c.ts'\nimport 'side'\nexport type { E } from './e.ts'\nconst f = await import('f')\n`
  assert.deepEqual(importsOf('room/x.ts', text), [
    { target: 'room/a.ts', isLocal: true, isType: false },
    { target: 'b', isLocal: false, isType: true },
    { target: 'c.ts', isLocal: true, isType: false },
    { target: 'side', isLocal: false, isType: false },
    { target: 'room/e.ts', isLocal: true, isType: true },
    { target: 'f', isLocal: false, isType: false },
  ])
  assert.ok(files.length > 30, `${files.length} files`)
  assert.ok(files.flatMap(({ imports }) => imports).length > 100)
})

test('every local import names a file that is there, with its extension', () => {
  const known = new Set(files.map(({ path }) => path))
  const outside = /^\.\.\//
  assert.deepEqual(
    violations((_, { isLocal, target }) => isLocal && !known.has(target) && !outside.test(target)),
    [],
  )
})

test('every file is in a room, and imports only the rooms that its own may', () => {
  const unknown = files
    .map(({ path }) => path)
    .filter((path) => !Object.hasOwn(rooms, roomOf(path)))
  assert.deepEqual(unknown, [])
  const wrong = violations(({ path }, { target, isLocal }) => {
    if (!isLocal || target.startsWith('../')) return false
    const [from, to] = [roomOf(path), roomOf(target)]
    if (from === to) return false
    if (target.startsWith('cmd/lib/')) return !programs.includes(from)
    if (from === 'config' && vocabulary.test(target)) return false
    return !rooms[from]?.includes(to)
  })
  assert.deepEqual(wrong.sort(), [])
})

test('the vocabulary of a technology speaks of nothing but words', () => {
  assert.deepEqual(
    violations(
      ({ path }, { target, isLocal }) =>
        vocabulary.test(path) &&
        !(isLocal && (words.includes(roomOf(target)) || vocabulary.test(target))),
    ),
    [],
  )
  assert.ok(files.filter(({ path }) => vocabulary.test(path)).length >= 6)
})

test('the rooms stand on each other: none imports one that imports it', () => {
  const above = (room: string, seen: readonly string[] = []): readonly string[] =>
    (rooms[room] ?? []).flatMap((below) => {
      assert.ok(!seen.includes(below), `${[...seen, below].join(' imports ')}`)
      return [below, ...above(below, [...seen, below])]
    })
  for (const room of Object.keys(rooms)) above(room, [room])
})

test('a command is one file, and only the program imports it', () => {
  const commands = files.filter(({ path }) => /^cmd\/[^/]+$/.test(path)).map(({ path }) => path)
  assert.deepEqual(
    violations(
      ({ path }, { target, isLocal }) =>
        isLocal && commands.includes(target) && path !== 'cmd/lib/commands.ts',
    ),
    [],
  )
})

test('what one command alone needs is in its own folder; what several need is in cmd/lib', () => {
  const own = /^cmd\/(?!lib\/)([^/]+)\/[^/]+$/
  assert.deepEqual(
    violations(({ path }, { target, isLocal }) => {
      const command = isLocal ? own.exec(target)?.[1] : undefined
      return (
        command !== undefined && path !== `cmd/${command}.ts` && !path.startsWith(`cmd/${command}/`)
      )
    }),
    [],
  )
  const inLib = files.filter(({ path }) => path.startsWith('cmd/lib/')).map(({ path }) => path)
  const usedBy = (path: string) =>
    files.filter((file) => file.imports.some(({ target }) => target === path))
  const ofOne = inLib.filter((path) => {
    const users = usedBy(path).map((file) => file.path)
    return users.length === 1 && /^cmd\/[^/]+$/.test(users[0]!) && users[0] !== 'cmd/archiver.ts'
  })
  assert.deepEqual(ofOne, [])
})

const isOffsets = (path: string) => path.startsWith('pipeline/offsets/')

test('offsets are pure: the record and the errors, no clock, no network, no disk', () => {
  const allowed = ['record/record.ts', 'runtime/errors.ts']
  assert.deepEqual(
    violations(
      ({ path }, { target, isLocal }) =>
        isOffsets(path) && !(isLocal && (isOffsets(target) || allowed.includes(target))),
    ),
    [],
  )
  for (const { path, text } of files.filter(({ path }) => isOffsets(path))) {
    assert.doesNotMatch(text, /\bDate\b|performance|setTimeout|setInterval|process\./, path)
  }
})

const isTraffic = (path: string) => path.startsWith('traffic/data/')

test('the data of the generator comes from nothing but the generator', () => {
  assert.deepEqual(
    violations(
      ({ path }, { target, isType, isLocal }) =>
        isTraffic(path) && !isType && isLocal && !isTraffic(target),
    ),
    [],
  )
})

/** What an answer of Elasticsearch inflates to has a limit. */
const bounded = 'elasticsearch/client/bounded-connection.ts'

/** What brokers send inflates piece by piece; what a member of the group sends has a limit. */
const inflating = ['kafka/batch/inflate.ts', 'kafka/group/member-data.ts']

/** Who reads a file that is not the archive's: a secret, a certificate, a template, the options. */
const readsFiles = [
  // Lines that wait for memory lie in a local scratch file, in every home.
  'files/write/spill.ts',
  'runtime/secret-file.ts',
  'runtime/standard-streams.ts',
  'config/options/exposed-secrets.ts',
  'config/options/yaml-file.ts',
  'elasticsearch/client/client.ts',
  'elasticsearch/templates/shipped.ts',
  'kibana/client.ts',
  'mysql/tls.ts',
]

/** What sends requests to a bucket. */
const usesAws = ['connection', 'credentials', 'objects', 'uploads'].map(
  (name) => `home/s3/${name}.ts`,
)

/** The files that may load a package at run time; types are free. */
const homes: readonly { readonly name: RegExp; readonly home: (path: string) => boolean }[] = [
  { name: /^kafkajs$/, home: (path) => path === 'kafka/kafkajs.ts' },
  { name: /^kafkajs\//, home: (path) => roomOf(path) === 'kafka' },
  {
    name: /^(snappy|lz4-napi|@mongodb-js\/zstd)$/,
    home: (path) => path === 'kafka/batch/codecs.ts',
  },
  {
    name: /^@elastic\//,
    home: (path) => path.startsWith('elasticsearch/client/'),
  },
  {
    name: /^(node:)?zlib$/,
    home: (path) => roomOf(path) === 'files' || [...inflating, bounded].includes(path),
  },
  {
    name: /^@aws-sdk\//,
    home: (path) => usesAws.includes(path) || path === 'kafka/msk-token.ts',
  },
  { name: /^@smithy\//, home: (path) => path === 'runtime/proxied-handler.ts' },
  { name: /^pino(-pretty)?$/, home: (path) => path === 'runtime/log.ts' },
  {
    name: /^undici$/,
    home: (path) =>
      [
        'kibana/client.ts',
        'elasticsearch/client/agent.ts',
        'kafka/security.ts',
        'runtime/tunnel.ts',
      ].includes(path),
  },
  {
    name: /^(node:)?fs(\/promises)?$/,
    home: (path) => ['home', 'cmd'].includes(roomOf(path)) || readsFiles.includes(path),
  },
  { name: /^yaml$/, home: (path) => path === 'config/options/yaml-file.ts' },
  { name: /^mysql2?(\/|$)/, home: (path) => roomOf(path) === 'mysql' },
  { name: /^@node-rs\/crc32$/, home: (path) => path === 'kafka/batch/crc32c.ts' },
]

test('what uses the SDK of AWS is loaded only when it is named', () => {
  assert.deepEqual(
    violations(
      ({ path, text }, { target, isType }) =>
        !path.startsWith('home/s3/') &&
        !isType &&
        ['home/s3/home.ts', 'home/s3/store.ts', 'kafka/msk-token.ts', ...usesAws].includes(
          target,
        ) &&
        !text.includes(`await import('./${posix.relative(posix.dirname(path), target)}')`),
    ),
    [],
  )
})

test('a package has one home', () => {
  assert.deepEqual(
    violations(({ path }, { target, isLocal, isType }) => {
      if (isLocal || isType) return false
      return homes.some(({ name, home }) => name.test(target) && !home(path))
    }),
    [],
  )
  for (const { name } of homes.filter((_, i) => i < 7)) {
    const isUsed = files.some(({ imports }) =>
      imports.some(({ target, isType }) => !isType && name.test(target)),
    )
    assert.ok(isUsed, `no file loads ${String(name)}: is this rule still true?`)
  }
})

test('only commands read the environment and end the process; faults are switched on by tests', () => {
  const readers = files.filter(({ text }) => /\bprocess\.env\b/.test(text)).map(({ path }) => path)
  assert.deepEqual(
    readers.filter(
      (path) => !['cmd', 'traffic'].includes(roomOf(path)) && path !== 'runtime/fault.ts',
    ),
    [],
  )
  const enders = files
    .filter(({ text }) => /\bprocess\.(exit|exitCode|abort)\b/.test(text))
    .map(({ path }) => path)
  assert.deepEqual(
    enders.filter((path) => roomOf(path) !== 'cmd'),
    [],
  )
})

test('standard output and standard error have one home', () => {
  const writers = files.filter(({ text }) =>
    /process\.std(out|err)\.write|stream: process\.std|console\./.test(text),
  )
  assert.deepEqual(
    writers.map(({ path }) => path),
    [],
  )
})
