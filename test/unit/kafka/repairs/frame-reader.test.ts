import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrameReader } from '../../../../src/kafka/repairs/frame-reader.ts'

const always = () => true

function frameOf(payload: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(payload.length)
  return Buffer.concat([length, payload])
}

const frames = fc.array(fc.uint8Array({ maxLength: 6000 }).map(frameOf), { maxLength: 5 })
const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 5000 })), {
  minLength: 1,
  maxLength: 8,
})

/**
 * What a reader gives of a stream that comes in pieces of these sizes, in turn. The pieces are read
 * in place or not.
 */
function read(stream: Buffer, sizes: readonly number[], isInPlace: boolean): Buffer[] {
  const reader = new FrameReader()
  const given: Buffer[] = []
  for (let at = 0, i = 0; at < stream.length; i++) {
    const size = Math.min(sizes[i % sizes.length]!, stream.length - at)
    const piece = isInPlace ? reader.room.subarray(0, size) : Buffer.alloc(size)
    at += stream.copy(piece, 0, at)
    reader.take(piece, always, (frame) => given.push(frame))
    if (!isInPlace) piece.fill(0xff)
  }
  return given
}

test('frames are those of the stream, however it is cut, read in place or not', () => {
  fc.assert(
    fc.property(frames, cuts, fc.boolean(), (expected, sizes, isInPlace) => {
      assert.deepEqual(read(Buffer.concat(expected), sizes, isInPlace), expected)
    }),
  )
})

test('the rest of a large frame is read to where it stays', () => {
  const frame = frameOf(new Uint8Array(3_000_000).fill(7))
  const reader = new FrameReader()
  const given: Buffer[] = []
  const take = (bytes: Buffer) => reader.take(bytes, always, (whole) => given.push(whole))
  take(frame.subarray(0, 100_000))
  const { room } = reader
  assert.equal(room.length, frame.length - 100_000)
  frame.copy(room, 0, 100_000)
  take(room)
  assert.deepEqual(given, [frame])
  assert.equal(given[0]!.buffer, room.buffer)
})

test('what comes next is not read over a frame that was given', () => {
  const reader = new FrameReader()
  const given: Buffer[] = []
  const offer = (bytes: Buffer) => {
    const { room } = reader
    bytes.copy(room)
    reader.take(room.subarray(0, bytes.length), always, (frame) => given.push(frame))
  }
  offer(Buffer.concat([frameOf(Buffer.from('first')), frameOf(Buffer.from('second'))]))
  offer(Buffer.alloc(50_000, 1))
  assert.deepEqual(
    given.map((frame) => frame.toString('latin1', 4)),
    ['first', 'second'],
  )
})

test('a length that may not be ends the stream, and no memory is taken for it', () => {
  const reader = new FrameReader()
  const length = Buffer.from([0x7f, 0xff, 0xff, 0xff])
  const refused = reader.take(
    Buffer.concat([frameOf(Buffer.from('good')), length, Buffer.alloc(10)]),
    (size) => size < 1000,
    () => {},
  )
  assert.deepEqual(refused, length)
})
