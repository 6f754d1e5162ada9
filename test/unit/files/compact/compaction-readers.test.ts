import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lineOf } from '../../../../src/cmd/cat.ts'
import { linesByOffset, selectedFiles } from '../../../../src/files/read/batches.ts'
import { type Order, readLines } from '../../../../src/files/read/lines.ts'
import type { Home } from '../../../../src/home/home.ts'
import { decodeLine } from '../../../../src/record/line/decoder.ts'
import { checkPartition } from '../../../../src/verify/partition.ts'
import { strayFiles } from '../../../../src/verify/strays.ts'
import { begin, flush, pass, tp, verify, verifyOptions } from '../../../helpers/compaction.ts'
import { inDirectory, inMemory } from '../../../helpers/test-archive.ts'

/** What readers say of offsets 0 to 47, however they get at them. */
const readers: Readonly<Record<string, (home: Home) => Promise<unknown>>> = {
  verify: async (home) => {
    const { problems, records, proven } = await verify(home)
    return { problems, records, proven }
  },
  'verify --fast': async (home) =>
    (await checkPartition({ ...verifyOptions(home), thoroughness: 'fast' })).problems,
  stray: async (home) => {
    const found: string[] = []
    for await (const path of strayFiles(home, [tp], undefined)) found.push(path)
    return found
  },
  restore: async (home) => {
    const offsets: number[] = []
    for await (const selected of selectedFiles(home, tp, {})) {
      for await (const line of linesByOffset(home, selected, {}))
        offsets.push(decodeLine(line).record.offset)
    }
    return offsets
  },
  'cat --offset': async (home) => (await lineOf(home, 30, {})).toString('utf8'),
  cat: (home) => catAll(home, 'oldest'),
  'cat --order newest': (home) => catAll(home, 'newest'),
}

async function catAll(home: Home, order: Order): Promise<number[]> {
  const offsets: number[] = []
  for await (const { block, start, end } of readLines(home, {}, { order })) {
    offsets.push(decodeLine(block.subarray(start, end)).record.offset)
  }
  return offsets
}

for (const [kind, stride] of [
  [inMemory, 1],
  [inDirectory, 5],
] as const) {
  for (const [name, read] of Object.entries(readers)) {
    test(`${kind.name}: ${name} finds the same, whatever is compacted while it reads`, async (t) => {
      const { gates, create } = await kind.begin(t)
      const begun = await begin(create())
      await flush(begun, 0, 20, 4)
      await pass(begun)
      await flush(begun, 20, 48, 4)
      const expected = await read(begun.home())
      for (let calls = 1, isOver = false; !isOver; calls += stride) {
        const archive = await begun.copy()
        let found: unknown
        const reader = gates.start('reads', async () => {
          found = await read(archive.home())
        })
        let left = calls
        isOver = !(await gates.runTo(reader, () => --left === 0))
        await pass(archive)
        if (!isOver) await gates.thaw(reader)
        assert.equal(reader.failure, undefined, `at call ${calls}`)
        assert.deepEqual(found, expected, `at call ${calls}`)
        await archive.drop()
      }
    })
  }
}
