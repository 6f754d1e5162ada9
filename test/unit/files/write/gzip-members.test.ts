import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { GzipMembers } from '../../../../src/files/write/gzip-members.ts'

const line = '{"@timestamp":"2026-01-14T21:00:00.000Z","type":"object.one","value":{"n":1}}\n'

/** Lines of any size on both sides of 64 KiB. Some cannot be made smaller. */
const lines = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.integer({ min: 1, max: 200_000 }).map((bytes) => Buffer.alloc(bytes, line)),
  fc.integer({ min: 1, max: 400_000 }).map((bytes) => randomBytes(bytes)),
)

test('each member is whole by itself, however many are made at once and after another', async () => {
  const members = new GzipMembers(6)
  await fc.assert(
    fc.asyncProperty(fc.array(lines, { minLength: 1, maxLength: 12 }), async (all) => {
      const made = await Promise.all(all.map((bytes) => members.compress(bytes)))
      made.forEach((member, i) => {
        assert.ok(gunzipSync(member).equals(all[i]!))
      })
      assert.ok(gunzipSync(Buffer.concat(made)).equals(Buffer.concat(all)))
    }),
    { numRuns: 30 },
  )
})

test('a stream that was used makes the same members as a new one', async () => {
  const members = new GzipMembers(9)
  for (const bytes of [500, 60_000, 70_000, 500, 500_000, 60_000]) {
    const text = Buffer.alloc(bytes, line)
    const memLevel = bytes > 65_536 ? 9 : 8
    assert.ok((await members.compress(text)).equals(gzipSync(text, { level: 9, memLevel })))
  }
})

test('a record of many megabytes is one member, too', async () => {
  const members = new GzipMembers(1)
  const bytes = randomBytes(20 * 2 ** 20)
  assert.ok(gunzipSync(await members.compress(bytes)).equals(bytes))
})
