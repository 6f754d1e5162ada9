import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { partBytes, partSize, Uploader } from '../../../../src/home/s3/multipart.ts'
import type { Uploads } from '../../../../src/home/s3/uploads.ts'

test('a file of any size has at most 10,000 parts, each of 16 MiB while that is enough', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 5 * 2 ** 40 }), (bytes) => {
      const size = partSize(bytes)
      assert.ok(Math.ceil(bytes / size) <= 10_000)
      if (bytes <= partBytes * 10_000) assert.equal(size, partBytes)
    }),
  )
})

test('many uploads at once hold few parts in memory', async () => {
  let held = 0
  let maxHeld = 0
  // Only what an Uploader calls.
  const uploads = {
    create: async () => 'id',
    uploadPart: async (_key: string, _id: string, _number: number, body: Buffer) => {
      await new Promise((resolve) => setImmediate(resolve))
      held -= body.length
      return { etag: '"e"' }
    },
  } as unknown as Uploads
  const uploader = new Uploader(uploads)
  const source = (bytes: number) => ({
    bytes,
    read: async (_at: number, length: number) => {
      held += length
      maxHeld = Math.max(maxHeld, held)
      return { length } as Buffer
    },
  })
  const sizes = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? 5 * partBytes + i : i * 1000))
  const parts = await Promise.all(
    sizes.map((bytes, i) => uploader.upload(`key ${i}`, 'sha', source(bytes), () => {})),
  )
  assert.deepEqual(
    parts.map(({ length }) => length),
    sizes.map((bytes) => Math.max(1, Math.ceil(bytes / partBytes))),
  )
  assert.ok(maxHeld <= 80 * 2 ** 20, `${maxHeld} bytes at once`)
})
