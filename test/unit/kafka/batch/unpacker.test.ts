import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { allocateAnswer } from '../../../../src/kafka/batch/answer-memory.ts'
import { FetchedPartitionBatch } from '../../../../src/kafka/batch/fetched-batch.ts'
import { Unpacker } from '../../../../src/kafka/batch/unpacker.ts'
import type { FetchedBatch, UnreadableBatch } from '../../../../src/pipeline/source.ts'
import {
  type OffsetRange,
  partitionKey,
  type TopicPartition,
} from '../../../../src/record/record.ts'
import { createLogger } from '../../../../src/runtime/log.ts'
import { wireBatch } from '../../../helpers/record-set.ts'
import { until } from '../../../helpers/servers.ts'

const tp = { topic: 'events', partition: 0 }
const other = { topic: 'events', partition: 1 }
const pieceBytes = 64 * 1024

/** A batch of records that compress well, larger than a piece if there are many. */
function bytesOf(baseOffset: number, count: number): Buffer {
  const records = Array.from({ length: count }, (_, offsetDelta) => ({
    offsetDelta,
    value: Buffer.alloc(1000, 'a'),
  }))
  return wireBatch({ baseOffset, records, attributes: 1, compress: gzipSync })
}

function fetched(
  tp: TopicPartition,
  fetchedOffset: number,
  ...batches: readonly Buffer[]
): FetchedPartitionBatch {
  return fetchedAs(tp, fetchedOffset, Buffer.concat(batches))
}

function fetchedAs(
  { topic, partition }: TopicPartition,
  fetchedOffset: number,
  bytes: Buffer,
): FetchedPartitionBatch {
  return new FetchedPartitionBatch(topic, fetchedOffset, {
    partition,
    highWatermark: '10000',
    messages: { bytes, decodeOld: () => Promise.reject(new Error('none are here')) },
  })
}

/** One answer of a broker with a part for each of two partitions. */
function answerOf(first: Buffer, second: Buffer) {
  const answer = allocateAnswer(first.length + second.length)
  first.copy(answer)
  second.copy(answer, first.length)
  return { answer, first: answer.subarray(0, first.length), second: answer.subarray(first.length) }
}

/** Not compressed: its records lie where the batch does. */
function plainBytes(baseOffset: number, count: number): Buffer {
  const records = Array.from({ length: count }, (_, offsetDelta) => ({
    offsetDelta,
    value: Buffer.alloc(1000, 'a'),
  }))
  return wireBatch({ baseOffset, records })
}

/** An unpacker, and what it does to those around it. */
function createUnpacker(
  options: { heldBytes?: number; onPiece?: (batch: FetchedBatch) => void } = {},
) {
  const pieces: (OffsetRange &
    TopicPartition & { offsets: number[]; lost: FetchedBatch['lost'] })[] = []
  const seeks: [string, number][] = []
  const unreadable: UnreadableBatch[] = []
  const stopped = new Set<string>()
  const warnings: string[] = []
  const unpacker = new Unpacker({
    limits: { pieceBytes, maxRecordBytes: 2 ** 20, heldBytes: options.heldBytes ?? 2 ** 30 },
    log: createLogger({ level: 'warn', stream: { write: (line) => warnings.push(line) } }),
    deliver: (batch) => {
      const { topic, partition, from, next, records, lost, highWatermark } = batch
      assert.equal(highWatermark, 10_000)
      pieces.push({
        topic,
        partition,
        from,
        next,
        offsets: records.map(({ offset }) => offset),
        lost,
      })
      options.onPiece?.(batch)
    },
    hasRoom: () => true,
    unreadable: (batch) => unreadable.push(batch),
    seek: (of, offset) => seeks.push([partitionKey(of), offset]),
    pauseFetch: (of) => stopped.add(partitionKey(of)),
    resumeFetch: (of) => stopped.delete(partitionKey(of)),
  })
  const of = ({ partition }: TopicPartition) =>
    pieces.filter((piece) => piece.partition === partition)
  const take = (batch: FetchedPartitionBatch) => unpacker.take(batch, () => true)
  return { unpacker, pieces, of, seeks, unreadable, stopped, warnings, take }
}

const turns = async (count = 20) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

test('what is damaged once is fetched again; only what is damaged twice is lost', async () => {
  const damaged = bytesOf(10, 5)
  damaged[70]! ^= 1
  const { take, pieces, seeks, unreadable, warnings } = createUnpacker()
  await take(fetched(tp, 0, bytesOf(0, 10), damaged))
  await until('it is fetched again', () => seeks.length === 1)
  assert.deepEqual(seeks, [['events/0', 10]])
  assert.deepEqual(
    pieces.map(({ from, next, lost }) => [from, next, lost]),
    [[0, 10, undefined]],
  )
  assert.match(
    warnings.join(''),
    /"topic":"events","partition":0,"offset":10.*damaged; fetching it once more/,
  )
  // It was damaged on its way.
  await take(fetched(tp, 10, bytesOf(10, 5)))
  await until('it is read', () => pieces.length === 2)
  assert.deepEqual([pieces[1]!.next, pieces[1]!.lost], [15, undefined])

  const again = bytesOf(15, 5)
  again[70]! ^= 1
  await take(fetched(tp, 15, again, bytesOf(20, 5)))
  await until('it is fetched again', () => seeks.length === 2)
  await take(fetched(tp, 15, again, bytesOf(20, 5)))
  await until('it is lost', () => pieces.length === 3)
  const { from, next, lost } = pieces[2]!
  assert.deepEqual(
    [from, next, lost?.from, lost?.next, lost?.reason],
    [15, 20, 15, 20, 'unreadable'],
  )
  assert.match(
    lost!.detail,
    /the record batch at offset 15 cannot be read: its checksum is not that of its bytes/,
  )
  assert.deepEqual(seeks.at(-1), ['events/0', 20])
  assert.deepEqual(unreadable, [])
})

test('an error that a broker gives for a partition is reported, and moves nothing', async () => {
  const { take, pieces, seeks, unreadable } = createUnpacker()
  const failure = new Error('otherwise corrupt')
  const batch = new FetchedPartitionBatch('events', 7, {
    partition: 0,
    highWatermark: '-1',
    messages: [],
    failure,
  })
  // kafkajs hands over what is not empty, and moves behind the last offset.
  assert.deepEqual([batch.isEmpty(), batch.lastOffset(), batch.isStalled], [false, '6', true])
  await take(batch)
  await until('it is reported', () => unreadable.length === 1)
  assert.deepEqual(unreadable, [{ ...tp, offset: 7, error: failure, canPass: true }])
  assert.deepEqual([pieces, seeks], [[], []])
})

test('an error that does not blame the bytes loses nothing: no memory for a buffer', async (t: TestContext) => {
  const { take, pieces, seeks, unreadable } = createUnpacker()
  const mocked = t.mock.method(Buffer, 'allocUnsafeSlow', () => {
    throw new RangeError('Array buffer allocation failed')
  })
  for (let i = 1; i <= 2; i++) {
    await take(fetched(tp, 7, bytesOf(7, 200)))
    await until('it is reported', () => unreadable.length === i)
  }
  mocked.mock.restore()
  assert.deepEqual(
    unreadable.map(({ topic, partition, offset, canPass }) => [topic, partition, offset, canPass]),
    [
      ['events', 0, 7, true],
      ['events', 0, 7, true],
    ],
  )
  assert.deepEqual([pieces, seeks], [[], []])
  await take(fetched(tp, 7, bytesOf(7, 200)))
  await until('it is read', () => pieces.at(-1)?.next === 207)
  assert.ok(pieces.every(({ lost }) => lost === undefined))
})

test('a mistake of the program while a piece is taken ends in its partition', async () => {
  const { take, unreadable, of } = createUnpacker({
    onPiece: ({ partition }) => {
      if (partition === 0) throw new TypeError('a mistake')
    },
  })
  await take(fetched(tp, 0, bytesOf(0, 5)))
  await take(fetched(other, 0, bytesOf(0, 5)))
  await until('both are over', () => unreadable.length === 1 && of(other).length === 1)
  assert.deepEqual([unreadable[0]!.partition, unreadable[0]!.canPass], [0, true])
})

test('fetches that bring only lower offsets move nothing, and stop their partition in the end', async () => {
  const { take, pieces, seeks, unreadable, stopped } = createUnpacker()
  for (let tries = 1; unreadable.length === 0; tries++) {
    assert.ok(tries <= 10)
    await take(fetched(tp, 50, bytesOf(40, 5)))
    await until('it is over', () => seeks.length === tries || unreadable.length > 0)
  }
  assert.deepEqual(
    unreadable.map(({ offset, canPass, error }) => [offset, canPass, String(error)]),
    [[50, false, 'Error: 10 fetches at offset 50 brought only what lies before it']],
  )
  assert.ok(seeks.every(([, offset]) => offset === 50))
  assert.deepEqual([pieces, stopped.has('events/0')], [[], true])
})

test('a paused partition keeps its place in a large batch, and others go on', async () => {
  const { take, of, unpacker, seeks } = createUnpacker({
    onPiece: ({ partition, from }) => {
      if (partition === 0 && from === 0) unpacker.pause(tp)
    },
  })
  await take(fetched(tp, 0, bytesOf(0, 1000)))
  await until('a piece came', () => of(tp).length === 1)
  const first = of(tp)[0]!
  assert.ok(first.next > 0 && first.next < 100)
  await take(fetched(other, 0, bytesOf(0, 1000)))
  await until('the other is read', () => of(other).at(-1)?.next === 1000)
  assert.equal(of(tp).length, 1)
  assert.equal(unpacker.resume(tp), true)
  await until('it is read', () => of(tp).at(-1)?.next === 1000)
  assert.deepEqual(
    of(tp).flatMap(({ offsets }) => offsets),
    Array.from({ length: 1000 }, (_, i) => i),
  )
  assert.deepEqual(seeks, [])
})

test('what waits is bounded: beyond that the oldest is fetched again from where it was', async () => {
  const { take, of, unpacker, seeks } = createUnpacker({
    // A stream that waits counts two pieces and its window.
    heldBytes: 3 * pieceBytes,
    onPiece: ({ from, topic, partition }) => {
      if (from === 0) unpacker.pause({ topic, partition })
    },
  })
  await take(fetched(tp, 0, bytesOf(0, 1000)))
  await until('the first waits', () => of(tp).length === 1)
  await turns()
  assert.deepEqual(seeks, [])
  await take(fetched(other, 0, bytesOf(0, 1000)))
  await until('the second waits', () => of(other).length === 1)
  await until('the first gives way', () => seeks.length === 1)
  const { next } = of(tp)[0]!
  assert.deepEqual(seeks, [['events/0', next]])
  unpacker.resume(tp)
  await take(fetched(tp, next, bytesOf(0, 1000)))
  unpacker.resume(other)
  await until(
    'both are read',
    () => of(tp).at(-1)?.next === 1000 && of(other).at(-1)?.next === 1000,
  )
  for (const each of [tp, other]) {
    assert.deepEqual(
      of(each).flatMap(({ offsets }) => offsets),
      Array.from({ length: 1000 }, (_, i) => i),
    )
  }
})

test('a partition with enough to do is not fetched, and does not keep others waiting', async () => {
  const { take, of, unpacker, stopped } = createUnpacker({
    onPiece: ({ partition, from }) => {
      if (partition === 0 && from === 0) unpacker.pause(tp)
    },
  })
  assert.equal(await take(fetched(tp, 0, bytesOf(0, 100))), true)
  await until('it waits', () => of(tp).length === 1)
  assert.equal(await take(fetched(tp, 100, bytesOf(100, 100))), true)
  assert.equal(await take(fetched(tp, 200, bytesOf(200, 100))), false)
  assert.ok(stopped.has('events/0'))
  // The worker wants more, and there is still more here.
  assert.equal(unpacker.resume(tp), false)
  await until('both are read', () => of(tp).at(-1)?.next === 200)
  await until('it is fetched again', () => !stopped.has('events/0'))
})

test('what was dropped is not delivered', async () => {
  const { take, pieces, unpacker } = createUnpacker()
  await take(fetched(tp, 0, bytesOf(0, 1000)))
  unpacker.drop(tp)
  await take(fetched(other, 0, bytesOf(0, 10)))
  await until('the other is read', () => pieces.length === 1)
  await turns()
  assert.deepEqual(
    pieces.map(({ partition }) => partition),
    [1],
  )
  await take(fetched(tp, 30, bytesOf(0, 1000)))
  await until('it is read from elsewhere', () => pieces.at(-1)?.next === 1000)
  unpacker.clear()
  assert.equal(await unpacker.take(fetched(tp, 0, bytesOf(0, 10)), () => false), false)
})

test('an answer is given back once all of its records are encoded, of every partition', async () => {
  const releases: (() => void)[] = []
  const { take, of } = createUnpacker({
    onPiece: ({ records, release }) => {
      assert.ok(records.every(({ value }) => value?.every((byte) => byte === 0x61)))
      releases.push(release!)
    },
  })
  const { answer, first, second } = answerOf(plainBytes(0, 100), bytesOf(0, 100))
  const batches = [fetchedAs(tp, 0, first), fetchedAs(other, 0, second)]
  for (const batch of batches) await take(batch)
  await until('all is read', () => of(tp).at(-1)?.next === 100 && of(other).at(-1)?.next === 100)
  await turns()
  const bytes = answer.length
  assert.ok(bytes > 100_000)
  for (const release of releases) {
    assert.equal(answer.length, bytes)
    release()
  }
  assert.equal(answer.length, 0)
})

test('what has to wait is copied out of its answer, and read from there', async () => {
  const { take, of, unpacker } = createUnpacker({
    onPiece: ({ partition, from, release }) => {
      if (partition === 0 && from === 0) unpacker.pause(tp)
      release!()
    },
  })
  await take(fetched(tp, 0, bytesOf(0, 10)))
  await until('it waits', () => of(tp).length === 1)
  const { answer, first, second } = answerOf(plainBytes(10, 40), plainBytes(0, 100))
  const batches = [fetchedAs(tp, 10, first), fetchedAs(other, 0, second)]
  for (const batch of batches) await take(batch)
  await until('the other is read', () => of(other).at(-1)?.next === 100)
  await until('the answer is given back', () => answer.length === 0)
  unpacker.resume(tp)
  await until('the first is read', () => of(tp).at(-1)?.next === 50)
})

test('an answer that lost a part is left to the garbage collector', async () => {
  const { take, of, unpacker } = createUnpacker({
    onPiece: ({ partition, release }) => {
      release!()
      // Before its next piece: what is left of it is lost.
      if (partition === tp.partition) unpacker.drop(tp)
    },
  })
  const { answer, first, second } = answerOf(bytesOf(0, 5000), plainBytes(0, 100))
  const batches = [fetchedAs(tp, 0, first), fetchedAs(other, 0, second)]
  for (const batch of batches) await take(batch)
  await until('the other is read', () => of(other).at(-1)?.next === 100)
  await turns()
  assert.ok(of(tp).at(-1)!.next < 5000)
  assert.ok(answer.length > 0)
})
