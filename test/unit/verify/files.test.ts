import assert from 'node:assert/strict'
import { copyFile, mkdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { describeVerdict } from '../../../src/cmd/lib/verify-report.ts'
import { manifestDirectory, manifestName, originName } from '../../../src/files/log/path.ts'
import { prunedName } from '../../../src/files/log/pruned.ts'
import type { TopicPartition } from '../../../src/record/record.ts'
import { checkPartition, type Thoroughness } from '../../../src/verify/partition.ts'
import { strayFiles } from '../../../src/verify/strays.ts'
import { isNothing, throwUnlessProven, type Verdict } from '../../../src/verify/verdict.ts'
import {
  august,
  makeArchive,
  manifestsOf,
  putManifest,
  records,
  rewriteFile,
} from '../../helpers/archive.ts'
import { homeAt, stagedAt } from '../../helpers/home.ts'

const tp: TopicPartition = { topic: 'events', partition: 2 }

function check(root: string, thoroughness: Thoroughness = 'full'): Promise<Verdict> {
  return checkPartition({
    home: homeAt(root),
    tp,
    thoroughness,
    elasticsearch: undefined,
    kafka: undefined,
    onProgress: () => {},
  })
}

function kinds({ problems }: Verdict): string[] {
  return [...new Set(problems.map(({ kind }) => kind))].sort()
}

async function straysOf(root: string): Promise<string[]> {
  const found: string[] = []
  for await (const path of strayFiles(homeAt(root), [tp], undefined)) found.push(path)
  return found
}

async function soundArchive(t: TestContext): Promise<string> {
  // Offsets 150 to 154 were markers, say: Kafka delivered past them.
  const delivered = records(100, 400).filter(({ offset }) => offset < 150 || offset >= 155)
  const flushes = [
    delivered.filter(({ offset }) => offset < 250),
    delivered.filter(({ offset }) => offset >= 250),
  ]
  return makeArchive(t, [{ tp, flushes }])
}

describe('verify finds by name', () => {
  test('nothing in a sound archive, and says what it holds', async (t) => {
    const sound = await soundArchive(t)
    const verdict = await check(sound)
    assert.deepEqual(verdict.problems, [])
    assert.equal(verdict.proven, true)
    assert.deepEqual(
      [verdict.origin, verdict.next, verdict.records, verdict.manifests, verdict.gaps],
      [100, 400, 295, 2, { 'not-delivered': 5 }],
    )
    assert.deepEqual(await straysOf(sound), [])
    assert.equal((await check(sound, 'fast')).proven, true)
  })

  test('a lost line, whatever the checksum says', async (t) => {
    const root = await soundArchive(t)
    const [manifest] = await manifestsOf(root, tp)
    const file = manifest!.files.find(({ type }) => type === 'a')!
    await rewriteFile(root, manifest!, file, (lines) =>
      lines.filter((line) => !line.includes('"offset":103,')),
    )
    const verdict = await check(root)
    assert.deepEqual(kinds(verdict), ['line-missing'])
    assert.deepEqual(verdict.problems[0]!.offsets, { from: 103, next: 104 })
  })

  test('a lost line where only the file was changed', async (t) => {
    const root = await soundArchive(t)
    const [manifest] = await manifestsOf(root, tp)
    const file = manifest!.files[0]!
    await rewriteFile(root, manifest!, file, (lines) => lines.toSpliced(3, 1))
    await putManifest(root, manifest!)
    const verdict = await check(root)
    assert.ok(kinds(verdict).includes('file-changed'), kinds(verdict).join())
    assert.ok(kinds(verdict).includes('line-missing'))
    assert.ok(verdict.problems.some(({ path }) => path === file.path))
  })

  test('a line that is there twice', async (t) => {
    const root = await soundArchive(t)
    const [manifest] = await manifestsOf(root, tp)
    const file = manifest!.files[0]!
    await rewriteFile(root, manifest!, file, (lines) => [lines[0]!, ...lines])
    assert.deepEqual(kinds(await check(root)), ['line-invalid'])
  })

  test('a record in the files of two flushes', async (t) => {
    const root = await soundArchive(t)
    const [first, second] = await manifestsOf(root, tp)
    const file = second!.files.find(({ type }) => type === 'a')!
    const path = join(root, first!.files.find(({ type }) => type === 'a')!.path)
    const stolen = gunzipSync(await readFile(path))
      .toString('utf8')
      .split('\n')[1]!
    await rewriteFile(root, second!, file, (lines) => [stolen, ...lines])
    // It is below the range that its file may hold.
    assert.deepEqual(kinds(await check(root)), ['line-invalid'])
  })

  test('a doubled file', async (t) => {
    const root = await soundArchive(t)
    const [manifest] = await manifestsOf(root, tp)
    const { path } = manifest!.files[0]!
    const copy = join('type=a/dt=2019-08-01/hr=04', path.slice(path.lastIndexOf('/') + 1))
    await mkdir(dirname(join(root, copy)), { recursive: true })
    await copyFile(join(root, path), join(root, copy))
    assert.deepEqual(await straysOf(root), [copy])
  })

  test('files with names of their own, wherever they lie', async (t) => {
    const root = await soundArchive(t)
    await writeFile(join(root, 'notes.txt'), 'x')
    await writeFile(join(root, 'type=a/dt=2019-08-01/hr=03/backup.jsonl.gz'), 'x')
    assert.deepEqual(await straysOf(root), [
      'notes.txt',
      'type=a/dt=2019-08-01/hr=03/backup.jsonl.gz',
    ])
  })

  test('a flipped byte, and which offsets are lost with it', async (t) => {
    const root = await soundArchive(t)
    const [manifest] = await manifestsOf(root, tp)
    const file = manifest!.files[0]!
    const bytes = await readFile(join(root, file.path))
    bytes[bytes.length >> 1]! ^= 0x10
    await writeFile(join(root, file.path), bytes)
    const verdict = await check(root)
    assert.ok(kinds(verdict).includes('file-changed'))
    assert.ok(kinds(verdict).includes('file-unreadable'))
    assert.ok(
      verdict.problems.every(({ path, offsets }) => path === file.path || offsets !== undefined),
    )
    const lost = verdict.problem_counts['line-missing']
    assert.ok(lost !== undefined && lost > 0)
  })

  test('a flipped byte in a header that decompression does not look at', async (t) => {
    const root = await soundArchive(t)
    const [manifest] = await manifestsOf(root, tp)
    const file = manifest!.files[0]!
    const bytes = await readFile(join(root, file.path))
    bytes[9]! ^= 0xff
    await writeFile(join(root, file.path), bytes)
    assert.deepEqual(kinds(await check(root)), ['file-changed'])
  })

  test('a truncated file, also in haste', async (t) => {
    const root = await soundArchive(t)
    const [manifest] = await manifestsOf(root, tp)
    const file = manifest!.files[0]!
    await truncate(join(root, file.path), file.bytes - 9)
    assert.deepEqual(kinds(await check(root, 'fast')), ['file-truncated'])
    const verdict = await check(root)
    assert.ok(kinds(verdict).includes('file-truncated'))
    assert.ok(kinds(verdict).includes('file-unreadable'))
  })

  test('a commit log that cannot be read, which is not an empty one', async (t) => {
    const root = await soundArchive(t)
    const log = join(root, manifestDirectory(tp))
    await rename(log, `${log}.was`)
    await writeFile(log, '')
    const verdict = await check(root)
    assert.deepEqual(kinds(verdict), ['file-unreadable'])
    assert.equal(verdict.unreadable, true)
    const [head, problem] = describeVerdict(verdict).split('\n')
    assert.equal(head, 'BAD  events/2  cannot be read')
    assert.ok(problem!.includes(log), problem)
  })

  test('a deleted file', async (t) => {
    const root = await soundArchive(t)
    const [manifest] = await manifestsOf(root, tp)
    const file = manifest!.files[0]!
    await rm(join(root, file.path))
    const verdict = await check(root)
    assert.deepEqual(kinds(verdict), ['file-missing', 'line-missing'])
    assert.equal(verdict.problems.find(({ kind }) => kind === 'file-missing')?.path, file.path)
  })

  test('a committed file that was not put in place', async (t) => {
    const root = await soundArchive(t)
    const [manifest] = await manifestsOf(root, tp)
    const file = manifest!.files[0]!
    const staged = join(root, stagedAt(file))
    await mkdir(dirname(staged), { recursive: true })
    await rename(join(root, file.path), staged)
    assert.deepEqual(kinds(await check(root)), ['file-unpublished', 'line-missing'])
  })

  test('a record in the wrong hour', async (t) => {
    const root = await soundArchive(t)
    const [manifest] = await manifestsOf(root, tp)
    const file = manifest!.files[0]!
    const wrong = `"timestamp":${august + 7_200_000}`
    await rewriteFile(root, manifest!, file, ([first, ...rest]) => [
      first!.replace(/"timestamp":\d+/, wrong),
      ...rest,
    ])
    assert.ok(kinds(await check(root)).includes('line-invalid'))
  })

  test('a manifest that is gone, one that cannot be read, an origin that is gone', async (t) => {
    const directory = (root: string) => join(root, manifestDirectory(tp))
    const gone = await soundArchive(t)
    await rm(join(directory(gone), manifestName(100)))
    const verdict = await check(gone)
    assert.deepEqual(kinds(verdict), ['manifest-missing'])
    assert.deepEqual(verdict.problems[0]!.offsets, { from: 100, next: 250 })
    assert.equal((await straysOf(gone)).length, 2)

    const broken = await soundArchive(t)
    await writeFile(join(directory(broken), manifestName(250)), '{')
    assert.deepEqual(kinds(await check(broken)), ['manifest-invalid'])

    const origin = await soundArchive(t)
    await rm(join(directory(origin), originName))
    assert.deepEqual(kinds(await check(origin)), ['origin-missing'])
  })

  test('manifests that overlap', async (t) => {
    const root = await soundArchive(t)
    const [first, second] = await manifestsOf(root, tp)
    await putManifest(root, { ...first!, next: 251 })
    assert.ok(kinds(await check(root)).includes('manifest-overlap'))
    assert.ok(second!.from === 250)
  })
})

test('what Kafka says is held against the files', async (t) => {
  const root = await makeArchive(t, [{ tp, flushes: [records(0, 100)] }])
  const with_ = (kafka: { start: number; end: number; committed: number | undefined } | 'absent') =>
    checkPartition({
      home: homeAt(root),
      tp,
      thoroughness: 'full',
      elasticsearch: undefined,
      kafka,
      onProgress: () => {},
    })
  const sound = await with_({ start: 0, end: 120, committed: 90 })
  assert.deepEqual([sound.proven, sound.lag], [true, 30])
  assert.deepEqual(kinds(await with_({ start: 0, end: 120, committed: 101 })), [
    'archive-behind-group',
  ])
  assert.deepEqual(kinds(await with_({ start: 0, end: 50, committed: 50 })), [
    'archive-ahead-of-log',
  ])
  const lost = await with_({ start: 110, end: 120, committed: 90 })
  assert.deepEqual(kinds(lost), ['lost-before-archived'])
  assert.deepEqual(lost.problems[0]!.offsets, { from: 100, next: 110 })
  assert.equal((await with_({ start: 100, end: 120, committed: 90 })).proven, true)
  assert.equal((await with_('absent')).proven, true)
  const other = await checkPartition({
    home: homeAt(root),
    tp: { topic: 'events', partition: 3 },
    thoroughness: 'full',
    elasticsearch: undefined,
    kafka: { start: 0, end: 5, committed: undefined },
    onProgress: () => {},
  })
  assert.ok(kinds(other).includes('not-archived'))
})

test('a note of a prune that cannot be true explains nothing that is gone', async (t) => {
  const day = 86_400_000
  const today = Math.floor(Date.now() / day) * day
  for (const [what, files] of [
    ['a day that is not over', { before: 9e12, committed_until: 400, complete: true }],
    ['tomorrow', { before: today + 2 * day, committed_until: 400, complete: true }],
    ['a number that is no time', { before: -9e15, committed_until: 400, complete: true }],
    ['offsets that nobody committed', { before: today, committed_until: 401, complete: true }],
    [
      'all offsets that there can be',
      { before: today, committed_until: Number.MAX_SAFE_INTEGER, complete: false },
    ],
  ] as const) {
    const root = await soundArchive(t)
    for (const manifest of await manifestsOf(root, tp))
      for (const { path } of manifest.files) await rm(join(root, path))
    await writeFile(join(root, manifestDirectory(tp), prunedName), JSON.stringify({ files }))
    const verdict = await check(root)
    assert.deepEqual(kinds(verdict), ['file-missing', 'line-missing', 'prune-note-invalid'], what)
    assert.deepEqual([verdict.proven, verdict.pruned_records, verdict.pruned], [false, 0, {}], what)
  }
})

test('what was pruned has a line of its own', async (t) => {
  const root = await soundArchive(t)
  await writeFile(
    join(root, manifestDirectory(tp), prunedName),
    JSON.stringify({
      files: { before: august + 86_400_000, committed_until: 250, complete: true },
    }),
  )
  const [first] = await manifestsOf(root, tp)
  for (const { path } of first!.files) await rm(join(root, path))
  const verdict = await check(root)
  assert.deepEqual([verdict.proven, verdict.pruned_records], [true, 145])
  const [, line] = describeVerdict(verdict).split('\n')
  assert.equal(
    line,
    '       pruned, not proven: 145 records of files, days before 2019-08-02, offsets below 250',
  )
})

test('an origin without a manifest is nothing to prove, and no proof', async (t) => {
  const root = await soundArchive(t)
  const directory = join(root, manifestDirectory(tp))
  for (const name of [manifestName(100), manifestName(250)]) await rm(join(directory, name))
  const verdict = await check(root)
  assert.deepEqual([verdict.problems, verdict.proven, isNothing(verdict)], [[], false, true])
  assert.match(describeVerdict(verdict), /^none events\/2 /)
  assert.throws(() => throwUnlessProven([verdict], 0), {
    code: 'DAMAGED',
    message: /^nothing to prove: /,
  })
  assert.throws(() => throwUnlessProven([], 0), { code: 'DAMAGED', message: /^nothing to prove: / })
  // Beside one that is proven it is no damage: an empty partition of a topic.
  const other = await check(await soundArchive(t))
  throwUnlessProven([verdict, other], 0)
  // The group has committed what no store holds any longer.
  const kafka = { start: 0, end: 400, committed: 400 }
  const options = {
    home: homeAt(root),
    tp,
    thoroughness: 'full',
    elasticsearch: undefined,
    kafka,
    onProgress: () => {},
  } as const
  assert.deepEqual(kinds(await checkPartition(options)), ['archive-behind-group'])
})
