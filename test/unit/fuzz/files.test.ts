import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { findOffset } from '../../../src/files/read/find-offset.ts'
import {
  inflate,
  readBlocks,
  readBlocksBackwards,
  readMembers,
} from '../../../src/files/read/members.ts'
import { visitNumbers } from '../../../src/record/json-numbers.ts'
import { JsonScanner } from '../../../src/record/json-scan.ts'
import { decodeLine, envelopeOfLine, valueOfLine } from '../../../src/record/line/decoder.ts'
import { LineEncoder } from '../../../src/record/line/encoder.ts'
import { LineHead } from '../../../src/record/line/head.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { jsonText, sourceBatch } from '../../helpers/arbitraries.ts'
import { damagedBytes, fuzz } from '../../helpers/fuzz.ts'
import { homeAt } from '../../helpers/home.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

const encoder = new LineEncoder({ from: 'value', path: ['type'] })
const lines = sourceBatch({ maxRecords: 4 }).map((batch) =>
  Buffer.from(encoder.encode(batch).lines),
)

async function isTyped(work: () => unknown): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof ArchiverError)) throw error
  }
}

test('fuzz: any line: a record, or no line of an archive', async (t) => {
  const head = new LineHead()
  await fuzz(t, 1500, damagedBytes(lines), async (bytes) => {
    for (let start = 0; start < bytes.length; ) {
      const lf = bytes.indexOf(0x0a, start)
      const end = lf === -1 ? bytes.length : lf
      const line = bytes.subarray(start, end)
      head.read(bytes, start)
      valueOfLine(line)
      envelopeOfLine(line)
      await isTyped(() => {
        const { record, topic, partition } = decodeLine(line)
        assert.equal(typeof topic, 'string')
        assert.ok(Number.isSafeInteger(partition) && Number.isSafeInteger(record.offset))
        for (const { key } of record.headers) assert.equal(typeof key, 'string')
      })
      start = end + 1
    }
  })
})

test('fuzz: a value that the scanner accepts is JSON for other parsers', async (t) => {
  const scanner = new JsonScanner(['type'])
  await fuzz(t, 1500, damagedBytes(jsonText.map((json) => Buffer.from(json))), (bytes) => {
    const { error } = scanner.scan(bytes, 0, bytes.length)
    if (error !== undefined) return
    visitNumbers(bytes, { start: 0, end: bytes.length }, () => {})
    JSON.parse(bytes.toString('utf8'))
  })
})

test('fuzz: any data file: lines, or damage', async (t) => {
  const root = await temporaryDirectory(t)
  const home = homeAt(root)
  const name = `${randomBytes(4).toString('hex')}.jsonl.gz`
  const members = fc
    .array(lines, { minLength: 1, maxLength: 3 })
    .map((some) => Buffer.concat(some.map((one) => gzipSync(one))))
  const rest = fc.oneof(
    lines,
    fc.constant(Buffer.alloc(0)),
    fc.constant(Buffer.from('no line end')).map((text) => gzipSync(text)),
  )
  const file = damagedBytes(fc.tuple(members, rest).map((parts) => Buffer.concat(parts)))
  await fuzz(t, 100, file, async (bytes) => {
    await writeFile(join(root, name), bytes)
    let end = 0
    for await (const member of readMembers(home, name)) {
      assert.equal(member.start, end)
      end = member.end
    }
    assert.equal(end, bytes.length)
    for (const read of [readBlocks, readBlocksBackwards]) {
      await isTyped(async () => {
        for await (const block of read(home, name)) assert.equal(block.at(-1), 0x0a)
      })
    }
    await isTyped(() =>
      findOffset(home, [{ path: name, first: 0, last: 9, bytes: bytes.length }], 5),
    )
  })
})

test('a member that inflates to more than a member may hold is damage', async () => {
  const { text, trouble } = await inflate(gzipSync(Buffer.alloc(2 ** 20)), 2 ** 16)
  assert.deepEqual([text, trouble], [undefined, 'it holds more than 65536 bytes'])
})
