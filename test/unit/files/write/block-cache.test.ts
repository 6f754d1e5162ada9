import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { BlockCache, blockBytes } from '../../../../src/files/write/block-cache.ts'

async function fileOf(t: TestContext, bytes: Buffer) {
  const directory = await mkdtemp(join(tmpdir(), 'archiver-test-'))
  const path = join(directory, 'file')
  await writeFile(path, bytes)
  const handle = await open(path)
  t.after(async () => {
    await handle.close()
    await rm(directory, { recursive: true })
  })
  return handle
}

test('concurrent readers get what the file has, however few blocks are kept', async (t) => {
  const bytes = randomBytes(6 * blockBytes + 1000)
  const handle = await fileOf(t, bytes)
  const ranges = fc.array(
    fc.tuple(fc.nat(bytes.length + 100), fc.integer({ min: 1, max: 2 * blockBytes })),
    { minLength: 1, maxLength: 40 },
  )
  await fc.assert(
    fc.asyncProperty(ranges, fc.integer({ min: 1, max: 4 }), async (wanted, maxBlocks) => {
      const cache = new BlockCache(handle, maxBlocks)
      await Promise.all(
        wanted.map(async ([start, length]) => {
          const target = Buffer.alloc(length)
          let at = 0
          for (let copied = 1; copied > 0 && at < length; at += copied)
            copied = await cache.copy(start + at, target, at, length)
          assert.deepEqual(target.subarray(0, at), bytes.subarray(start, start + length))
        }),
      )
    }),
    { numRuns: 40 },
  )
})

test('memory of blocks is read into again, and a block that is there needs no turn', async (t) => {
  const bytes = randomBytes(10 * blockBytes)
  const cache = new BlockCache(await fileOf(t, bytes), 3)
  const allocated = t.mock.method(Buffer, 'allocUnsafeSlow')
  const target = Buffer.alloc(100)
  for (let block = 0; block < 10; block++) {
    assert.equal(await cache.copy(block * blockBytes + 50, target, 0, 100), 100)
    assert.equal(cache.copy(block * blockBytes, target, 0, 100), 100)
    assert.ok(target.equals(bytes.subarray(block * blockBytes, block * blockBytes + 100)))
  }
  assert.equal(allocated.mock.callCount(), 3)
})

test('a block that could not be read is read again', async (t) => {
  const bytes = randomBytes(1000)
  const handle = await fileOf(t, bytes)
  const cache = new BlockCache(handle, 2)
  const target = Buffer.alloc(1000)
  const failing = t.mock.method(handle, 'read', async () => {
    throw new Error('EIO')
  })
  await assert.rejects(Promise.resolve(cache.copy(0, target, 0, 1000)), /EIO/)
  failing.mock.restore()
  assert.equal(await cache.copy(0, target, 0, 1000), 1000)
  assert.deepEqual(target, bytes)
})
