import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { type MadeUpRecord, makeArchive } from '../../helpers/archive.ts'
import { startArchiver } from '../../helpers/archiver.ts'

const tp = { topic: 'chat', partition: 2 }

/** A hundred records; strict readers refuse some. */
function archive(t: Parameters<typeof makeArchive>[0]) {
  const special: Readonly<Record<number, string>> = {
    10: '{"type":"a","text":"cut \\ud83d"}',
    20: '{"type":"a","x":1,"x":2}',
    21: '{"type":"a","ID":1,"id":9007199254740993}',
    30: '{"type":"a","n":1e400}',
    40: '{"type":"a","n":9007199254740993}',
    50: 'no JSON',
    51: 'null',
  }
  const records: MadeUpRecord[] = Array.from({ length: 100 }, (_, offset) => ({
    offset,
    value: Buffer.from(special[offset] ?? `{"type":"a","n":${offset}}`),
  }))
  return makeArchive(t, [{ tp, flushes: [records.slice(0, 60), records.slice(60)] }])
}

/** Both streams apart. */
async function run(t: Parameters<typeof makeArchive>[0], ...argv: string[]) {
  const running = startArchiver(t, argv)
  const streams = { out: '', err: '' }
  running.child.stdout!.on('data', (piece: Buffer) => {
    streams.out += piece.toString()
  })
  running.child.stderr!.on('data', (piece: Buffer) => {
    streams.err += piece.toString()
  })
  const code = await running.ended
  return { code, ...streams }
}

test('cat --strict prints what strict readers take, names the others, and ends with 1', async (t) => {
  const root = await archive(t)
  const { code, out, err } = await run(t, 'cat', '--archive-dir', root, '--strict')
  assert.equal(code, 1)
  const offsets = out
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { kafka: { offset: number } }).kafka.offset)
  assert.deepEqual(
    offsets.toSorted((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => i).filter((i) => ![10, 20, 21, 30].includes(i)),
  )
  assert.deepEqual(err.trimEnd().split('\n').toSorted(), [
    'archiver: 4 records left out that strict readers refuse; all others are printed',
    'left out: chat/2 offset 10: half of a surrogate pair in a text or a name',
    'left out: chat/2 offset 20: equal names in one object',
    'left out: chat/2 offset 21: names in one object that differ in case alone',
    'left out: chat/2 offset 30: a number beyond what a double holds',
  ])
})

test('with --value-only all that is printed is JSON; a limit counts what is printed', async (t) => {
  const root = await archive(t)
  const { code, out, err } = await run(t, 'cat', '--archive-dir', root, '--strict', '--value-only')
  assert.equal(code, 1)
  for (const line of out.trimEnd().split('\n')) JSON.parse(line)
  assert.match(err, /left out: chat\/2 offset 50: not JSON/)
  const limited = await run(
    t,
    'cat',
    '--archive-dir',
    root,
    '--strict',
    '--type',
    'a',
    '--limit',
    '15',
  )
  assert.equal(limited.out.trimEnd().split('\n').length, 15)
  const one = await run(t, 'cat', '--archive-dir', root, '--strict', '--offset', '20')
  assert.deepEqual([one.code, one.out], [1, ''])
  const good = await run(t, 'cat', '--archive-dir', root, '--strict', '--offset', '40')
  assert.deepEqual([good.code, good.err], [0, ''])
  assert.match(good.out, /"offset":40,/)
})

test('verify --readers counts and names them, and proves as before', async (t) => {
  const root = await archive(t)
  const argv = ['verify', '--archive-dir', root, '--no-kafka', '--no-elasticsearch', '--readers']
  const { code, out } = await run(t, ...argv)
  assert.equal(code, 0, out)
  assert.match(
    out,
    /^readers: 99 JSON values checked; strict readers refuse or misread:\n {7}lone-surrogate: 1 record with half of a surrogate pair in a text or a name: chat\/2\/10\n {7}equal-names: 1 record .*: chat\/2\/20\n {7}names-equal-but-for-case: 1 record .*: chat\/2\/21\n {7}number-beyond-double: 1 record .*: chat\/2\/30\n {7}note: integer-beyond-53-bits: 2 records .*: chat\/2\/21, chat\/2\/40\nproven: /m,
  )
  const json = JSON.parse((await run(t, ...argv, '--json')).out) as {
    proven: boolean
    readers: {
      records: number
      findings: { kind: string; records: number; refused: boolean; first: unknown[] }[]
    }
  }
  assert.equal(json.proven, true)
  assert.equal(json.readers.records, 99)
  assert.deepEqual(json.readers.findings[0], {
    kind: 'lone-surrogate',
    meaning: 'half of a surrogate pair in a text or a name',
    refused: true,
    records: 1,
    first: [{ topic: 'chat', partition: 2, offset: 10 }],
  })
  const fast = await run(t, ...argv, '--fast')
  assert.equal(fast.code, 2)
})

test('verify --readers still gives the verdict of an archive with a damaged file', async (t) => {
  const root = await archive(t)
  const found = await readdir(root, { recursive: true })
  const file = found.find((path) => path.startsWith('type=a') && path.endsWith('.jsonl.gz'))!
  await writeFile(join(root, file), 'no gzip')
  const argv = ['verify', '--archive-dir', root, '--no-kafka', '--no-elasticsearch', '--readers']
  const { code, out } = await run(t, ...argv)
  assert.equal(code, 1)
  assert.match(out, /^BAD {2}chat\/2/m)
  assert.match(out, /^readers: the rest was not checked: /m)
})
