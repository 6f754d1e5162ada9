import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../../../src/files/write/buffer-pool.ts'

const mib = 2 ** 20

test('what was given is taken again, by its size', () => {
  const pool = new BufferPool()
  const buffers = [1024, 2048].map((bytes) => pool.take(bytes))
  for (const buffer of buffers) pool.give(buffer)
  assert.equal(pool.take(2048), buffers[1])
  assert.equal(pool.take(1024), buffers[0])
  assert.notEqual(pool.take(1024), buffers[0])
})

test('thousands of small buffers leave room for large ones, and the other way round', () => {
  const pool = new BufferPool()
  const small = Array.from({ length: 10_000 }, () => pool.take(8192))
  for (const buffer of small) pool.give(buffer)
  const large = Array.from({ length: 16 }, () => pool.take(65_536))
  for (const buffer of large) pool.give(buffer)
  assert.ok(large.includes(pool.take(65_536)))
  assert.ok(small.includes(pool.take(8192)))
})

test('what is not kept is freed at once, and what is kept is bounded', () => {
  const pool = new BufferPool()
  const one = pool.take(mib + 1)
  pool.give(one)
  assert.equal(one.length, 0)
  for (const bytes of [4096, 65_536]) {
    const buffers = Array.from({ length: (100 * mib) / bytes }, () => pool.take(bytes))
    for (const buffer of buffers) pool.give(buffer)
    const kept = buffers.filter(({ length }) => length > 0).length * bytes
    assert.ok(kept > 0 && kept <= 64 * mib, `${kept} bytes`)
  }
})
