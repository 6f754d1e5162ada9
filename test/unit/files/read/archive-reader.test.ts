import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { Elasticsearch } from '../../../../src/elasticsearch/client/client.ts'
import { RequestFailure } from '../../../../src/elasticsearch/client/failure.ts'
import { hitsIn, sameUntil } from '../../../../src/elasticsearch/read/raw-answer.ts'
import { DocumentReader } from '../../../../src/elasticsearch/read/reader.ts'
import { readBlocks, readBlocksBackwards, readMembers } from '../../../../src/files/read/members.ts'
import { ArchiverError } from '../../../../src/runtime/errors.ts'
import { OffsetBitmap } from '../../../../src/verify/offset-bitmap.ts'
import { homeAt } from '../../../helpers/home.ts'
import { temporaryDirectory } from '../../../helpers/servers.ts'

test('a bitmap knows what a set knows, over any gaps', () => {
  const offset = fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.integer({ min: 8000, max: 8400 }),
    fc.integer({ min: 2 ** 40, max: 2 ** 40 + 99 }),
  )
  fc.assert(
    fc.property(fc.array(offset), offset, offset, (offsets, a, b) => {
      const bitmap = new OffsetBitmap()
      const set = new Set<number>()
      for (const one of offsets) {
        assert.equal(bitmap.add(one), !set.has(one))
        set.add(one)
      }
      const range = { from: Math.min(a, b), next: Math.max(a, b) }
      const inside = [...set].filter((one) => one >= range.from && one < range.next)
      assert.equal(bitmap.countIn(range), inside.length)
      assert.equal(bitmap.added, set.size)
      const absent = [...bitmap.absentIn(range)]
      assert.equal(
        absent.reduce((sum, { from, next }) => sum + next - from, 0),
        range.next - range.from - inside.length,
      )
      for (const one of inside)
        assert.ok(absent.every(({ from, next }) => one < from || one >= next))
      // The parts tile the range; what is said to be empty is.
      let position = range.from
      for (const { from, next, isEmpty } of bitmap.partsOf(range, 49_152)) {
        assert.equal(from, position)
        assert.ok(isEmpty || next - from <= 49_152)
        if (isEmpty) assert.equal(bitmap.countIn({ from, next }), 0)
        position = next
      }
      assert.equal(position, range.next)
    }),
  )
})

const magic = Buffer.from([0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0])

test('members are found and read in either direction, whatever bytes they hold', async (t) => {
  const path = join(await temporaryDirectory(t), 'x.jsonl.gz')
  const lines = Array.from(
    { length: 40 },
    (_, i) => `{"n":${i},"text":"${'x'.repeat(i * 3000)}"}\n`,
  )
  const members = lines.map((line) => Buffer.from(line))
  // Stored, not compressed: bytes like the beginning of a member are inside one.
  members.splice(7, 0, Buffer.concat([Buffer.from('"'), magic, Buffer.from('"\n')]))
  await writeFile(
    path,
    Buffer.concat(members.map((member, i) => gzipSync(member, { level: i % 2 === 0 ? 6 : 0 }))),
  )
  const forwards: Buffer[] = []
  for await (const block of readBlocks(homeAt(dirname(path)), basename(path))) forwards.push(block)
  assert.deepEqual(Buffer.concat(forwards), Buffer.concat(members))
  const backwards: Buffer[] = []
  for await (const block of readBlocksBackwards(homeAt(dirname(path)), basename(path)))
    backwards.unshift(block)
  assert.deepEqual(Buffer.concat(backwards), Buffer.concat(members))
})

test('a reader gives all members of a damaged file but the damaged ones, and names those', async (t) => {
  const path = join(await temporaryDirectory(t), 'x.jsonl.gz')
  const members = Array.from({ length: 6 }, (_, i) => gzipSync(`{"n":${i}}\n`.repeat(50)))
  const start = members[0]!.length + members[1]!.length
  const bytes = Buffer.concat(members)
  for (let at = start; at < start + members[2]!.length; at++) {
    for (const changed of [0x00, bytes[at]! ^ 0x24]) {
      if (changed === bytes[at]) continue
      await writeFile(path, bytes.with(at, changed))
      const read = new Set<string>()
      let troubles = 0
      for await (const { text } of readMembers(homeAt(dirname(path)), basename(path))) {
        for (const line of text?.toString().split('\n') ?? []) read.add(line)
        if (text === undefined) troubles++
      }
      // If its first bytes are damaged, a member is taken for the end of the one before, and is
      // named and lost with it.
      const others = at < start + 8 ? [0, 4, 5] : [0, 1, 4, 5]
      for (const i of others) assert.ok(read.has(`{"n":${i}}`), `byte ${at}: ${i} is lost`)
      // A member that can be read nevertheless was damaged where nothing depends on it.
      const all = [0, 1, 2, 3, 4, 5].every((i) => read.has(`{"n":${i}}`))
      assert.ok(all || troubles > 0, `byte ${at}: nothing is reported`)
    }
  }
  await writeFile(path, bytes.subarray(0, bytes.length - 3))
  await assert.rejects(
    (async () => {
      for await (const _ of readBlocks(homeAt(dirname(path)), basename(path))) assert.ok(true)
    })(),
    (error) =>
      error instanceof ArchiverError && error.code === 'DAMAGED' && error.message.includes(path),
  )
})

test('a shard that cannot answer yet is asked again; a server that is away is an error at once', async () => {
  const failures = [
    new RequestFailure('search_phase_execution_exception', {
      status: 503,
      type: 'search_phase_execution_exception',
    }),
    new RequestFailure('es_rejected_execution_exception', {
      status: 429,
      type: 'es_rejected_execution_exception',
    }),
  ]
  let asked = 0
  const client = {
    request: async () => {
      asked++
      const failure = failures.shift()
      if (failure !== undefined) throw failure
      return { body: { hits: { total: { value: 7 }, hits: [] } } }
    },
  } as unknown as Elasticsearch
  const reader = new DocumentReader(client, 'archive-')
  assert.equal(await reader.total({ topic: 't', partition: 0 }, { from: 0, next: 10 }), 7)
  assert.equal(asked, 3)
  failures.push(new RequestFailure('connect ECONNREFUSED'))
  await assert.rejects(reader.total({ topic: 't', partition: 0 }, { from: 0, next: 10 }), {
    code: 'UNREACHABLE',
  })
  assert.equal(asked, 4)
})

test('sources are cut out of answers byte for byte', () => {
  const sources = [
    '{"a":"}\\"{","big":1e400}',
    '{"_source":{"x":[{}]},"found":true}',
    '{"s":"\\\\"}',
    '{}',
  ]
  const hits = sources.map(
    (source, i) => `{"_index":"i","_id":"${i}\\"","_score":null,"_source":${source},"sort":[${i}]}`,
  )
  const answer = Buffer.from(
    `{"_scroll_id":"abc==","took":1,"hits":{"total":{"value":4},"hits":[${hits.join()}]}}`,
  )
  const found = [...hitsIn(answer)]
  assert.deepEqual(
    found.map(({ source }) => String(source)),
    sources,
  )
  assert.deepEqual(
    found.map(({ id }) => id),
    ['0"', '1"', '2"', '3"'],
  )
  assert.deepEqual([...hitsIn(Buffer.from('{"hits":{"hits":[]}}'))], [])

  const docs = sources.map(
    (source, i) => `{"_index":"i","_id":"${i}","found":true,"_source":${source}}`,
  )
  const got = Buffer.from(`{"docs":[${docs.join()}]}`)
  const expected = sources.map((source) => Buffer.from(source))
  assert.equal(sameUntil(got, expected), 4)
  assert.equal(sameUntil(got, expected.with(2, Buffer.from('{"s":"\\\\ "}'))), 2)
  assert.equal(sameUntil(got, [...expected, Buffer.from('{}')]), 4)
})
