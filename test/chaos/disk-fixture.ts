import { randomBytes } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { tuneGarbageCollection } from '../../src/cmd/run/garbage-collection.ts'
import { FilesSink } from '../../src/files/sink.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { homeAt } from '../helpers/home.ts'
import { makeBatch } from './records.ts'

/**
 * A files sink that takes records. As the worker does, it reopens the partition after every failure
 * and continues from its position. Words on standard input: `small` makes batches small, `release`
 * gives hoarded descriptors back, `finish` lets it come to its end; until then it goes slowly. See
 * disk.test.ts.
 */
interface What {
  readonly records: number
  readonly batch: number
  readonly types?: number
  readonly padding?: number
  readonly budget?: number
  /** The first flush comes only when all records are staged. */
  readonly flushFirst?: boolean
  /** Takes all descriptors after the first flush. */
  readonly hoard?: boolean
}

// As `run` does.
tuneGarbageCollection()
const [, , root, json] = process.argv
const what = JSON.parse(json!) as What
const tp = { topic: 'events', partition: 0 }
const sink = new FilesSink(
  {
    home: homeAt(root!),
    clusterId: 'cluster',
    group: 'group',
    worker: `fixture-${process.pid}`,
    gzipLevel: 1,
    flushIntervalMs: 3_600_000,
    flushBytes: 2 ** 40,
    // As `run` divides it.
    memoryLimit: (what.budget ?? 64 * 2 ** 20) / 2,
    committedOffset: () => undefined,
    compactAfterMs: 0,
  },
  createLogger({ level: 'silent', stream: process.stderr }),
)

const hoard: number[] = []
const release = () => {
  for (const descriptor of hoard.splice(0)) closeSync(descriptor)
}
let batchSize = what.batch
let finishing = false
createInterface({ input: process.stdin }).on('line', (word) => {
  if (word === 'small') batchSize = 20
  if (word === 'release') release()
  if (word === 'finish') finishing = true
})

const types = what.types ?? 3
const typeOf = (offset: number) => `type-${offset % types}`
/**
 * Random hexadecimal digits, which compress to a half. Made beforehand, because strings would be
 * most of the memory measured.
 */
const paddings = Array.from({ length: 64 }, () =>
  Buffer.from(randomBytes((what.padding ?? 0) >> 1).toString('hex')),
)
let nextPadding = 0
const paddingOf = () => paddings[nextPadding++ % paddings.length]!

await sink.start(() => {})
// What the process needs by itself, it needs for any records: the same ones in few buckets come
// before the base is taken.
if (what.budget !== undefined) await warmUp()
globalThis.gc?.()
const base = process.memoryUsage().rss
let highest = 0
// Reading it takes a descriptor, which there may be none of.
const watch = () => {
  highest = Math.max(highest, process.memoryUsage.rss() - base)
}
const memoryTimer = what.budget === undefined ? undefined : setInterval(watch, 20)

let position = 0
const waitsForWord = what.flushFirst !== true
while (position < what.records) {
  try {
    position = (await sink.open(tp, 0)).next!
    while (position < what.records) {
      const end =
        what.flushFirst === true && batchSize === what.batch
          ? what.records
          : Math.min(what.records, position + batchSize)
      const writes: Promise<void>[] = []
      for (let from = position; from < end; from += batchSize) {
        writes.push(
          sink.write(
            makeBatch(tp, from, Math.min(end, from + batchSize), typeOf, undefined, paddingOf),
          ),
        )
        // Batches come from a socket, one at a time.
        await pause(0)
        while (sink.pressure() >= 0.75) await pause(5)
      }
      const outcome = Promise.all(writes)
      outcome.catch(() => {}) // It is awaited after the flush.
      process.stdout.write(
        `${sink.openBuckets} buckets open, rss above base at most ${Math.ceil(highest / 2 ** 20)} MiB\n`,
      )
      await sink.flush([tp])
      await outcome
      position = end
      process.stdout.write(`stands at ${position}\n`)
      if (what.hoard === true && hoard.length === 0 && !finishing) takeAllDescriptors()
      if (!finishing && waitsForWord) await pause(20)
      // The last batch waits for the word, however fast the disk is; opening goes on to meet
      // whatever failure it has.
      while (!finishing && waitsForWord && position + batchSize >= what.records) {
        await sink.open(tp, 0)
        await pause(50)
      }
    }
  } catch (error) {
    process.stdout.write(`${String(error)}\n`)
    await pause(50)
  }
}
clearInterval(memoryTimer)
process.stdout.write(`at the end rss above base at most ${Math.ceil(highest / 2 ** 20)} MiB\n`)
await sink.stop()
release()
process.exit(0)

function takeAllDescriptors(): void {
  try {
    for (;;) hoard.push(openSync('/dev/null', 'r'))
  } catch {
    // That was the last one.
  }
}

async function warmUp(): Promise<void> {
  const other = { topic: 'events', partition: 1 }
  await sink.open(other, 0)
  for (let from = 0; from < what.records; from += what.batch) {
    const offsetEnd = Math.min(what.records, from + what.batch)
    void sink.write(makeBatch(other, from, offsetEnd, () => 'one type', undefined, paddingOf))
    await pause(0)
    while (sink.pressure() >= 0.75) await pause(5)
  }
  await sink.flush([other])
  await sink.close(other)
}
