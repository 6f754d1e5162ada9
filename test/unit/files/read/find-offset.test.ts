import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { findOffset, type SearchedFile } from '../../../../src/files/read/find-offset.ts'
import type { HomeFile } from '../../../../src/home/home.ts'
import { MemoryHome } from '../../../helpers/memory-home.ts'

/** A home that counts what is read of data files. */
class CountingHome extends MemoryHome {
  reads = 0
  bytes = 0

  override async open(name: string): Promise<HomeFile | undefined> {
    const file = await super.open(name)
    return (
      file && {
        ...file,
        read: async (target: Buffer, at: number) => {
          const read = await file.read(target, at)
          this.reads++
          this.bytes += read
          return read
        },
      }
    )
  }
}

const line = (offset: number, value: string) =>
  `{"@timestamp":"2019-08-01T03:00:00.000Z","type":"a","kafka":{"topic":"events","partition":3,"offset":${offset},"timestamp":1564628400000},"value":"${value}"}\n`

/** A file of members, each with its lines by offset and the size of their values. */
function fileOf(
  home: MemoryHome,
  members: readonly (readonly { readonly offset: number; readonly bytes: number }[])[],
): SearchedFile {
  const content = Buffer.concat(
    members.map((lines) =>
      gzipSync(
        lines
          .map(({ offset, bytes }) =>
            // Compression takes away none of it.
            line(offset, randomBytes(bytes).toString('base64')),
          )
          .join(''),
        { level: 1 },
      ),
    ),
  )
  home.store.put('type=a/x.jsonl.gz', content)
  const all = members.flat()
  return {
    path: 'type=a/x.jsonl.gz',
    first: all[0]!.offset,
    last: all.at(-1)!.offset,
    bytes: content.length,
  }
}

test('any offset of any file is found, and none that it does not have', async () => {
  const sizes = fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 0, max: 40_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 500_000, max: 2_500_000 }) },
  )
  const members = fc.array(
    fc.array(fc.record({ step: fc.integer({ min: 1, max: 50 }), bytes: sizes }), {
      minLength: 1,
      maxLength: 5,
    }),
    { minLength: 1, maxLength: 40 },
  )
  await fc.assert(
    fc.asyncProperty(members, fc.nat(), async (shape, seed) => {
      const home = new MemoryHome()
      let offset = 7
      const numbered = shape.map((lines) =>
        lines.map(({ step, bytes }) => {
          offset += step
          return { offset, bytes }
        }),
      )
      const file = fileOf(home, numbered)
      const known = numbered.flat()
      for (const at of [0, known.length - 1, seed % known.length]) {
        const found = await findOffset(home, [file], known[at]!.offset)
        assert.match(String(found), new RegExp(`"offset":${known[at]!.offset},`))
        assert.equal(found?.at(-1), 0x7d)
      }
      const gap = known[seed % known.length]!.offset + 1
      if (!known.some((one) => one.offset === gap))
        assert.equal(await findOffset(home, [file], gap), undefined)
    }),
    { numRuns: 6 },
  )
})

test('a record of a large file is found by reading one or two windows of it', async () => {
  const home = new CountingHome()
  const members = Array.from({ length: 300 }, (_, i) =>
    Array.from({ length: 10 }, (_, j) => ({ offset: 1000 + i * 10 + j, bytes: 12_000 })),
  )
  const file = fileOf(home, members)
  assert.ok(file.bytes > 25 * 2 ** 20, `${file.bytes} bytes`)
  let most = 0
  for (let offset = 1000; offset < 4000; offset += 97) {
    home.reads = 0
    home.bytes = 0
    assert.match(String(await findOffset(home, [file], offset)), new RegExp(`"offset":${offset},`))
    most = Math.max(most, home.reads)
    assert.ok(home.bytes <= 3 * 2 ** 20, `${home.bytes} bytes were read for ${offset}`)
  }
  assert.ok(most <= 3, `${most} windows`)
})

test('offsets that come in bursts take some more windows', async () => {
  const home = new CountingHome()
  let offset = 0
  const members = Array.from({ length: 300 }, (_, i) =>
    Array.from({ length: 10 }, () => {
      offset += i < 290 ? 1 : 100_000
      return { offset, bytes: 12_000 }
    }),
  )
  const file = fileOf(home, members)
  for (const at of [1, 500, 2899, members.at(-1)![4]!.offset]) {
    home.reads = 0
    assert.match(String(await findOffset(home, [file], at)), new RegExp(`"offset":${at},`))
    assert.ok(home.reads <= 10, `${home.reads} windows for ${at}`)
  }
})

test('a file that another program wrote as one member, and a damaged one, are read whole', async () => {
  const home = new MemoryHome()
  const members = Array.from({ length: 400 }, (_, i) => [{ offset: i, bytes: 6000 }])
  const whole = fileOf(home, [members.flat()])
  assert.ok(whole.bytes > 2 ** 20)
  assert.match(String(await findOffset(home, [whole], 321)), /"offset":321,/)
  const bytes = Buffer.from(home.store.files.get(whole.path)!.bytes)
  bytes[bytes.length >> 1]! ^= 0xff
  home.store.put(whole.path, bytes)
  await assert.rejects(findOffset(home, [whole], 321), { code: 'DAMAGED' })
  home.store.put(whole.path, bytes.subarray(0, 1000))
  await assert.rejects(findOffset(home, [whole], 321), { code: 'DAMAGED' })
  home.store.files.delete(whole.path)
  await assert.rejects(findOffset(home, [whole], 321), { code: 'DAMAGED', message: /is gone/ })
})
