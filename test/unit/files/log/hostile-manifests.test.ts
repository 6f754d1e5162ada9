import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { compactPartition } from '../../../../src/files/compact/compaction.ts'
import { planPrune, pruneFiles } from '../../../../src/files/compact/prune.ts'
import { readIdentity } from '../../../../src/files/log/archive.ts'
import { CommitLog, listPartitions } from '../../../../src/files/log/commit-log.ts'
import {
  type Manifest,
  type ManifestFile,
  printManifest,
  readManifest,
  readOrigin,
} from '../../../../src/files/log/manifest.ts'
import {
  archiveMarker,
  compactedName,
  manifestDirectory,
  manifestName,
  originName,
} from '../../../../src/files/log/path.ts'
import { prunedName, readPruned } from '../../../../src/files/log/pruned.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { createLogger } from '../../../../src/runtime/log.ts'
import { checkPartition } from '../../../../src/verify/partition.ts'
import { august, makeArchive, manifestsOf, records } from '../../../helpers/archive.ts'
import { createFilesSink } from '../../../helpers/files-sink.ts'
import { fuzz } from '../../../helpers/fuzz.ts'
import { homeAt, stagedAt } from '../../../helpers/home.ts'

const tp = { topic: 'events', partition: 2 }
const victims = '../victims/'
const dayMs = 86_400_000

/** An archive of two flushes, and next to it a directory that no command may touch. */
async function besideVictims(t: TestContext): Promise<string> {
  const root = await makeArchive(t, [{ tp, flushes: [records(100, 250), records(250, 400)] }])
  await mkdir(join(root, victims))
  for (const name of ['keep.txt', 'shadow', 'db.sqlite'])
    await writeFile(join(root, victims, name), name)
  return root
}

async function put(root: string, name: string, content: unknown): Promise<void> {
  const text = typeof content === 'string' ? content : printManifest(content as Manifest)
  await writeFile(join(root, manifestDirectory(tp), name), text)
}

/** What anyone may do with a partition, each with the file system as it is. */
const uses: Readonly<Record<string, (root: string) => Promise<unknown>>> = {
  prune: async (root) => {
    const plan = await planPrune(homeAt(root), tp, august + 2 * dayMs)
    if (plan !== undefined) await pruneFiles(homeAt(root), plan)
  },
  'a worker': async (root) => {
    const sink = createFilesSink(root, { clusterId: 'test-cluster', group: 'test-group' })
    await sink.start(() => {})
    try {
      await sink.open(tp, 0)
    } finally {
      await sink.stop()
    }
  },
  compact: (root) =>
    compactPartition(
      {
        home: homeAt(root),
        worker: 'w',
        log: createLogger({ level: 'silent', stream: process.stderr }),
      },
      tp,
      { compactAfterMs: 0, now: Date.now() + dayMs, limits: { minFolded: 1 } },
    ),
  verify: async (root) => {
    const options = {
      home: homeAt(root),
      tp,
      thoroughness: 'full',
      elasticsearch: undefined,
      kafka: undefined,
    } as const
    const verdict = await checkPartition({ ...options, onProgress: () => {} })
    if (!verdict.proven)
      throw new ArchiverError(
        'MANIFEST_INVALID',
        verdict.problems.map(({ message }) => message).join(),
      )
  },
}

async function everythingAround(root: string): Promise<string> {
  const names = (await readdir(join(root, '..'), { recursive: true })).filter(
    (name) => !name.startsWith('archive'),
  )
  const contents = await readdir(join(root, victims))
  return [...names, ...contents].sort().join()
}

const hostileFiles: Readonly<Record<string, (file: ManifestFile) => object>> = {
  'a path outside the root': () => ({ path: `${victims}keep.txt` }),
  'an absolute path': () => ({ path: '/etc/passwd' }),
  'a path that goes up and comes back': ({ path }) => ({
    path: path.replace('type=', 'type=x/../type='),
  }),
  'the path of another type': ({ path }) => ({ path: path.replace(/^type=\w+/, 'type=c') }),
  'the path of another hour': ({ path }) => ({ path: path.replace('hr=03', 'hr=04') }),
  'the path of another partition': ({ path }) => ({ path: path.replace('+2+', '+3+') }),
  'the path of other offsets': ({ path, first }) => ({
    path: path.replace(String(first), String(first + 1)),
  }),
  'no path': () => ({ path: undefined }),
  'a path with an encoded slash': ({ path }) => ({ path: path.replace('type=', 'type=..%2f') }),
  'a path with a NUL': ({ path }) => ({ path: `${path}\0` }),
  'a path with dots that look like dots': ({ path }) => ({
    path: path.replace('type=', 'type=\u2024\u2024/'),
  }),
  'a path with a line break': ({ path }) => ({ path: path.replace('hr=', 'hr=\n') }),
  'a path with backslashes': ({ path }) => ({ path: path.replaceAll('/', '\\') }),
  'a path that is a list': ({ path }) => ({ path: [path] }),
  'a staged path with a NUL': (file) => ({
    staged: stagedAt(file).replace(/test-worker-\w+/, 'x\0'),
  }),
  'a negative offset': () => ({ first: -1, last: -1 }),
  'an offset that is not exact': () => ({ last: 2 ** 53 }),
  'an offset with a fraction': ({ first }) => ({ first: first + 0.5 }),
  'a staged path outside the root': () => ({ staged: `${victims}shadow` }),
  'a staged path of another partition': (file) => ({
    staged: stagedAt(file).replace('/2/', '/3/'),
  }),
  'a staged path that goes up': (file) => ({
    staged: stagedAt(file).replace(/test-worker-\w+/, '..'),
  }),
  'a staged path one deeper': (file) => ({
    staged: stagedAt(file).replace(/test-worker-\w+/, 'x/y'),
  }),
  'a staged path with another offset': (file) => ({
    staged: stagedAt(file).replace(/\d{20}/, '0'.repeat(20)),
  }),
  'a staged path that is no text': () => ({ staged: 7 }),
  'something to replace in a flush': () => ({ replaces: [`${victims}db.sqlite`] }),
  'a sha256 that is none': () => ({ sha256: 'A'.repeat(64) }),
  'a first offset below the range': () => ({ first: 0 }),
  'a last offset behind the range': () => ({ last: 1e15 }),
  'an offset that is no number': () => ({ first: '100' }),
  'more records than offsets': () => ({ records: 1e6 }),
  'no records': () => ({ records: 0 }),
  'bytes that are negative': () => ({ bytes: -1 }),
  'lines that are no number': () => ({ line_bytes: {} }),
  'timestamps the wrong way round': ({ max_timestamp }) => ({ min_timestamp: max_timestamp + 1 }),
  'timestamps of two hours': ({ min_timestamp }) => ({ max_timestamp: min_timestamp + 3_600_000 }),
  'a type that is no text': () => ({ type: {} }),
  'an empty type': () => ({ type: '' }),
  'no type': () => ({ type: undefined }),
}

const hostileHeads: Readonly<Record<string, object>> = {
  'gaps that are no list': { gaps: {} },
  'a gap outside the range': { gaps: [{ from: 0, next: 5, reason: 'retention' }] },
  'a gap without end': { gaps: [{ from: 300, next: 1e18, reason: 'retention' }] },
  'gaps in the wrong order': {
    gaps: [
      { from: 310, next: 311, reason: 'retention' },
      { from: 300, next: 301, reason: 'retention' },
    ],
  },
  'a gap that is null': { gaps: [null] },
  'a gap without a reason': { gaps: [{ from: 300, next: 301 }] },
  'a file that is null': { files: [null] },
  'a file that is a list': { files: [[]] },
  'records that are no number': { records: 'many' },
  'more records than its files have': { records: 151 },
  'a committed offset that is negative': { committed: -1 },
  'a worker that is no text': { worker: null },
}

function isRefused(error: unknown): boolean {
  assert.ok(error instanceof ArchiverError, String(error))
  assert.equal(error.code, 'MANIFEST_INVALID', error.message)
  assert.ok(error.message.includes(manifestDirectory(tp)), error.message)
  assert.ok(!error.message.includes('\n'))
  return true
}

test('every reader refuses a hostile manifest, and nothing is touched', async (t) => {
  const root = await besideVictims(t)
  const [, last] = await manifestsOf(root, tp)
  const before = await everythingAround(root)
  const hostile = [
    ...Object.entries(hostileFiles).map(([what, change]) => {
      const [file, ...others] = last!.files
      return [what, { ...last!, files: [{ ...file!, ...change(file!) }, ...others] }] as const
    }),
    ...Object.entries(hostileHeads).map(
      ([what, change]) => [what, { ...last!, ...change }] as const,
    ),
  ]
  for (const [what, manifest] of hostile) {
    await put(root, manifestName(250), manifest)
    await assert.rejects(readManifest(homeAt(root), tp, 250), isRefused, what)
  }
  for (const what of ['a path outside the root', 'a staged path outside the root'] as const) {
    const [file, ...others] = last!.files
    await put(root, manifestName(250), {
      ...last!,
      files: [{ ...file!, ...hostileFiles[what]!(file!) }, ...others],
    })
    for (const [who, use] of Object.entries(uses))
      await assert.rejects(use(root), isRefused, `${who}: ${what}`)
  }
  // A compaction would write the number again, and nothing would show that somebody changed it.
  await put(root, manifestName(250), { ...last!, records: last!.records + 1 })
  for (const [who, use] of Object.entries(uses)) await assert.rejects(use(root), isRefused, who)
  assert.equal(await everythingAround(root), before)
})

test('a hostile compacted manifest replaces nothing outside its own hour and offsets', async (t) => {
  const root = await besideVictims(t)
  const [first] = await manifestsOf(root, tp)
  const before = await everythingAround(root)
  const name = compactedName({ from: 100, generation: 1 })
  const [file, ...others] = first!.files
  const directory = file!.path.slice(0, file!.path.lastIndexOf('/'))
  const wrong: readonly unknown[] = [
    `${victims}db.sqlite`,
    `${directory}/../../../../victims/db.sqlite`,
    `${directory}/notes.txt`,
    file!.path,
    others[0]!.path,
    file!.path.replace('+2+', '+02+'),
    file!.path.replace(/\d{20}\.jsonl/, '00000000000000000999.jsonl'),
    7,
    null,
  ]
  for (const replaced of wrong) {
    const { files: _, gaps: __, ...head } = first!
    await put(root, name, {
      ...head,
      generation: 1,
      gaps: [],
      files: [{ ...file!, replaces: [replaced] }, ...others],
    } as unknown as Manifest)
    for (const [who, use] of Object.entries(uses)) {
      // A worker archives on beside a compaction that it cannot complete.
      if (who === 'a worker') await use(root)
      else await assert.rejects(use(root), isRefused, `${who}: ${String(replaced)}`)
    }
  }
  assert.equal(await everythingAround(root), before)
  for (const { path } of first!.files) assert.ok((await readFile(join(root, path))).length > 0)
})

test('hostile origins, notes and markers are refused by name', async (t) => {
  const root = await besideVictims(t)
  const origin = { format: 1, ...tp, offset: 100, worker: 'w', written: '' }
  for (const wrong of [
    { ...origin, topic: '../../victims' },
    { ...origin, partition: '2' },
    { ...origin, offset: 1e300 },
    { ...origin, offset: '100' },
    { ...origin, format: 2 },
    [],
    '[]',
    'null',
    '"text"',
    '',
    `{${' '.repeat(100_000)}}`,
  ]) {
    await put(root, originName, wrong)
    await assert.rejects(
      readOrigin(homeAt(root), tp),
      isRefused,
      JSON.stringify(wrong).slice(0, 80),
    )
    const [listed] = await listPartitions(homeAt(root))
    assert.deepEqual(
      [listed?.topic, listed?.partition, listed?.error?.code],
      ['events', 2, 'MANIFEST_INVALID'],
    )
    // The manifests are read all the same.
    const log = await CommitLog.open(homeAt(root), tp)
    assert.deepEqual([log.entries.length, log.originError?.code], [2, 'MANIFEST_INVALID'])
  }
  for (const wrong of [
    { files: [] },
    { files: { before: '1' } },
    { mysql: null },
    '[]',
    '{"files":',
  ]) {
    await put(root, prunedName, typeof wrong === 'string' ? wrong : JSON.stringify(wrong))
    await assert.rejects(readPruned(homeAt(root), tp), isRefused, JSON.stringify(wrong))
  }
  for (const wrong of [
    '{}',
    '[]',
    'null',
    '{"format":"1"}',
    '{"format":1,"cluster_id":7,"group":"g"}',
  ]) {
    await writeFile(join(root, archiveMarker), wrong)
    const isMismatch = (error: unknown) =>
      error instanceof ArchiverError && error.code === 'ARCHIVE_MISMATCH'
    await assert.rejects(readIdentity(homeAt(root)), isMismatch, wrong)
  }
})

test('fuzz: whatever the files of a commit log contain, it is read or refused', async (t) => {
  const root = await besideVictims(t)
  const before = await everythingAround(root)
  const directory = join(root, manifestDirectory(tp))
  const [, last] = await manifestsOf(root, tp)
  const { files, gaps, ...head } = last!
  await put(root, prunedName, '{"files":{"before":1,"committed_until":100,"complete":true}}')
  await put(root, compactedName({ from: 400, generation: 1 }), {
    ...head,
    from: 400,
    next: 500,
    generation: 1,
    records: 0,
    gaps,
    files: [],
  } as Manifest)
  const names = [
    manifestName(250),
    compactedName({ from: 400, generation: 1 }),
    originName,
    prunedName,
  ]
  const good = new Map<string, Buffer>()
  for (const name of names) good.set(name, await readFile(join(directory, name)))
  const marker = await readFile(join(root, archiveMarker))
  const tokens = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"',
    '\\',
    'null',
    '-1',
    '1e999',
    '"../"',
    '\0',
    '\ud800',
    '',
  )
  const bytes = fc.oneof(
    tokens.map((token) => Buffer.from(token)),
    fc.uint8Array({ maxLength: 8 }).map(Buffer.from),
  )
  const change = fc.record({
    name: fc.constantFrom(...names, archiveMarker),
    at: fc.nat(),
    cut: fc.nat({ max: 40 }),
    bytes,
  })
  await fuzz(t, 150, fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
    const content = new Map([...good, [archiveMarker, marker]])
    for (const { name, at, cut, bytes: inserted } of changes) {
      const present = content.get(name)!
      const start = at % present.length
      content.set(
        name,
        Buffer.concat([present.subarray(0, start), inserted, present.subarray(start + cut)]),
      )
    }
    for (const [name, text] of content)
      await writeFile(join(name === archiveMarker ? root : directory, name), text)
    for (const read of [
      () => readIdentity(homeAt(root)),
      () => readOrigin(homeAt(root), tp),
      () => readPruned(homeAt(root), tp),
      () => listPartitions(homeAt(root)),
      async () => {
        for await (const manifest of (await CommitLog.open(homeAt(root), tp)).manifests()) {
          if ('error' in manifest) throw manifest.error
          for (const file of manifest.files) {
            const { path } = file
            const staged = stagedAt(file)
            assert.match(
              path,
              /^type=[^/]+\/dt=[^/]+\/hr=[^/]+\/events\+2\+\d{20}-\d{20}\.jsonl\.gz$/,
            )
            assert.match(staged, /^_staging\/events\/2\/[^/]+\/\d{20}\.part$/)
          }
        }
      },
    ]) {
      try {
        await read()
      } catch (error) {
        if (!(error instanceof ArchiverError)) throw error
        assert.ok(
          error.code === 'MANIFEST_INVALID' || error.code === 'ARCHIVE_MISMATCH',
          error.message,
        )
      }
    }
  })
  assert.equal(await everythingAround(root), before)
})
