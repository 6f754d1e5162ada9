import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { BufferPool } from '../../../../src/files/write/buffer-pool.ts'
import { bucketBytes } from '../../../../src/files/write/line-memory.ts'
import { type Extent, SpillFile } from '../../../../src/files/write/spill.ts'
import { makeBatch } from '../../../chaos/records.ts'
import { createFilesSink } from '../../../helpers/files-sink.ts'
import { collectGarbage } from '../../../helpers/garbage.ts'
import { temporaryDirectory } from '../../../helpers/servers.ts'
import { readFiles } from '../../../helpers/stores.ts'

const tp = { topic: 'events', partition: 3 }

test('what waits in a spill file comes back as it was, whatever the waves and whatever the order', async (t) => {
  const directory = await temporaryDirectory(t)
  let file = 0
  const lengths = fc.array(
    fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 60_000, max: 140_000 })),
    {
      maxLength: 12,
    },
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(lengths, { minLength: 1, maxLength: 5 }),
      fc.infiniteStream(fc.nat()),
      async (waves, dice) => {
        let held = 0
        const path = join(directory, `${file++}.spill`)
        const spill = new SpillFile(path, {
          buffers: new BufferPool(),
          written: (bytes) => {
            held -= bytes
          },
        })
        const parts: { readonly extent: Extent; readonly content: Buffer }[] = []
        for (const wave of waves) {
          for (const length of wave) {
            const content = randomBytes(length)
            // Buffers are larger than what is used of them, and used by others once they are
            // written.
            const buffer = Buffer.concat([content, Buffer.alloc(17)])
            held += buffer.length
            parts.push({ extent: spill.add(buffer, length), content })
          }
          spill.endWave()
        }
        const order = parts.map((part) => ({ part, at: dice.next().value as number }))
        order.sort((a, b) => a.at - b.at)
        const half = order.length >> 1
        for (const [i, some] of [order.slice(0, half), order.slice(half), order].entries()) {
          if (i > 0) spill.readInOrder()
          const wanted = Buffer.concat(some.map(({ part }) => part.content))
          const target = Buffer.alloc(wanted.length)
          await spill.read(
            some.map(({ part }) => part.extent),
            target,
          )
          assert.ok(target.equals(wanted))
        }
        await spill.drop()
        assert.equal(held, 0)
        assert.deepEqual(await readdir(directory), [])
      },
    ),
    { numRuns: 60 },
  )
})

test('a spill file that cannot be written says so to who reads, and gives the memory back', async (t) => {
  const directory = await temporaryDirectory(t)
  await rm(directory, { recursive: true })
  let held = 0
  const spill = new SpillFile(join(directory, 'x.spill'), {
    buffers: new BufferPool(),
    written: (bytes) => {
      held -= bytes
    },
  })
  const extents: Extent[] = []
  for (let wave = 0; wave < 3; wave++) {
    held += 100
    extents.push(spill.add(Buffer.alloc(100), 60))
    spill.endWave()
  }
  await assert.rejects(spill.read([extents[2]!], Buffer.alloc(60)), { code: 'ENOENT' })
  await spill.drop()
  assert.equal(held, 0)
})

/** A sink whose memory is short all the time, and what it keeps. */
test('memory that is short all the time changes nothing in the archive but its members', async (t) => {
  const types = 40
  const records = 6000
  const padding = Buffer.alloc(300, 'p')
  // A few types have many members, most have a few lines.
  const typeOf = (offset: number) => `t${offset % 7 === 0 ? offset % types : offset % 2}`
  const timestampOf = (offset: number) => Date.UTC(2026, 0, 1, 0, offset % 120)
  const archive = async (memoryLimit: number) => {
    const root = join(await temporaryDirectory(t), 'archive')
    const sink = createFilesSink(root, { memoryLimit })
    t.after(() => sink.stop())
    await sink.start(() => {})
    await sink.open(tp, 0)
    const writes: Promise<void>[] = []
    let spilled = false
    for (let from = 0; from < records; from += 200) {
      writes.push(sink.write(makeBatch(tp, from, from + 200, typeOf, timestampOf, () => padding)))
      while (sink.pressure() >= 1) await new Promise((resolve) => setTimeout(resolve, 1))
      for (const name of await readdir(join(root, '_staging', 'events', '3'), {
        recursive: true,
      })) {
        if (name.endsWith('.spill')) spilled = true
      }
    }
    await sink.flush([tp])
    await Promise.all(writes)
    assert.equal(sink.heldBytes, 0)
    const staged = await readdir(join(root, '_staging', 'events', '3'), { recursive: true })
    assert.deepEqual(
      staged.filter((name) => name.includes('.')),
      [],
      'nothing is left in staging',
    )
    return { spilled, kept: await readFiles(root) }
  }
  const roomy = await archive(2 ** 30)
  // Enough for 80 buckets without their lines.
  const short = await archive(2 ** 19)
  assert.equal(roomy.spilled, false)
  assert.equal(short.spilled, true)
  assert.equal(roomy.kept.length, records)
  assert.deepEqual(short.kept, roomy.kept)
})

test('lines that wait to be compressed are pressure long before all memory is used, and that falls', async (t) => {
  const memoryLimit = 4 * 2 ** 20
  const sink = createFilesSink(join(await temporaryDirectory(t), 'archive'), { memoryLimit })
  t.after(() => sink.stop())
  let relieved = 0
  await sink.start(() => relieved++)
  await sink.open(tp, 0)
  const padding = Buffer.alloc(10_000, 'p')
  const written: Promise<void>[] = []
  for (let from = 0; sink.pressure() < 1; from += 10) {
    assert.ok(sink.heldBytes < memoryLimit * 0.75, 'pressure comes before the memory is used up')
    written.push(sink.write(makeBatch(tp, from, from + 10, undefined, undefined, () => padding)))
  }
  while (sink.pressure() >= 0.75) await new Promise((resolve) => setTimeout(resolve, 1))
  assert.ok(relieved > 0)
  await sink.flush([tp])
  await Promise.all(written)
  assert.equal(sink.pressure(), 0)
})

test('lines that are copied are not kept: a batch is garbage before it is flushed', async (t) => {
  const sink = createFilesSink(join(await temporaryDirectory(t), 'archive'))
  t.after(() => sink.stop())
  await sink.start(() => {})
  await sink.open(tp, 0)
  const write = () => {
    const batch = makeBatch(tp, 0, 100)
    return { lines: new WeakRef(batch.lines), committed: sink.write(batch) }
  }
  const { lines, committed } = write()
  for (let tries = 0; lines.deref() !== undefined && tries < 20; tries++) {
    await new Promise((resolve) => setImmediate(resolve))
    collectGarbage()
  }
  assert.equal(lines.deref(), undefined)
  await sink.flush([tp])
  await committed
})

test('a spill file that somebody cut fails the flush, and the records are read again', async (t) => {
  const root = join(await temporaryDirectory(t), 'archive')
  const sink = createFilesSink(root, { memoryLimit: 2 ** 16 })
  t.after(() => sink.stop())
  await sink.start(() => {})
  await sink.open(tp, 0)
  const batch = () => makeBatch(tp, 0, 300, undefined, undefined, () => Buffer.alloc(200, 'x'))
  const write = sink.write(batch())
  write.catch(() => {}) // It is awaited below.
  const staging = join(root, '_staging', 'events', '3')
  const spillFile = async () =>
    (await readdir(staging, { recursive: true })).find((name) => name.endsWith('.spill'))
  const linesAreHeld = () => sink.heldBytes > sink.openBuckets * bucketBytes
  while (linesAreHeld() || (await spillFile()) === undefined)
    await new Promise((resolve) => setTimeout(resolve, 1))
  await truncate(join(staging, (await spillFile())!), 1000)
  await sink.flush([tp])
  await assert.rejects(write, { code: 'ARCHIVE_UNUSABLE' })
  assert.deepEqual(await readFiles(root), [])
  assert.equal((await sink.open(tp, 0)).next, 0)
  const again = sink.write(batch())
  await sink.flush([tp])
  await again
  assert.equal((await readFiles(root)).length, 300)
})
