import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { chooseRuns, type TieredFile } from '../../../../src/files/compact/tiers.ts'

interface TestFile extends TieredFile {
  readonly first: number
  readonly last: number
}

/** Merges what is chosen; returns the bytes that were copied. */
function mergeChosen(files: TestFile[], maxBytes: number, freeBytes: number): number {
  let copied = 0
  let end = 0
  const runs = chooseRuns(files, { maxBytes, freeBytes })
  for (const run of runs) {
    assert.ok(
      run.start >= end && run.end - run.start >= 2 && run.end <= files.length,
      'disjoint, in order',
    )
    end = run.end
  }
  for (const { start, end } of runs.reverse()) {
    const run = files.slice(start, end)
    const bytes = run.reduce((sum, file) => sum + file.bytes, 0)
    assert.ok(bytes <= maxBytes)
    copied += bytes
    files.splice(start, run.length, {
      bytes,
      isMerged: true,
      first: run[0]!.first,
      last: run.at(-1)!.last,
    })
  }
  return copied
}

/** Sizes of flushes from some bytes to some 100 MiB, and how many come before a pass. */
const history = fc.array(
  fc.record({ exponent: fc.double({ min: 0, max: 27, noNaN: true }), pass: fc.boolean() }),
  {
    minLength: 1,
    maxLength: 300,
    size: 'max',
  },
)

test('whatever the sizes and the passes: each byte is copied at most 1 + log2(n) times, and no offset changes its place', () => {
  fc.assert(
    fc.property(history, fc.constantFrom(2 ** 20, 2 ** 30, 2 ** 60), (flushes, maxBytes) => {
      const files: TestFile[] = []
      let written = 0
      let copied = 0
      for (const [offset, { exponent, pass }] of flushes.entries()) {
        const bytes = Math.floor(2 ** exponent)
        files.push({ bytes, isMerged: false, first: offset, last: offset })
        written += bytes
        if (pass) copied += mergeChosen(files, maxBytes, 0)
      }
      assert.ok(copied <= written * (1 + Math.log2(flushes.length)), `${copied} of ${written}`)
      const offsets = files.flatMap(({ first, last }) =>
        Array.from({ length: last - first + 1 }, (_, i) => first + i),
      )
      assert.deepEqual(offsets, [...flushes.keys()])
    }),
  )
})

test('without a cap, each file is larger than all after it together: there are at most log2(bytes)', () => {
  fc.assert(
    fc.property(history, (flushes) => {
      const files: TestFile[] = []
      for (const [offset, { exponent }] of flushes.entries()) {
        files.push({
          bytes: Math.floor(2 ** exponent),
          isMerged: false,
          first: offset,
          last: offset,
        })
        mergeChosen(files, Number.POSITIVE_INFINITY, 0)
        files.slice(0, -1).forEach(({ bytes }, i) => {
          const behind = files.slice(i + 1).reduce((sum, file) => sum + file.bytes, 0)
          assert.ok(bytes > behind)
        })
      }
      assert.ok(files.length <= 40)
    }),
  )
})

test('files that no merge has copied become one whatever their sizes, up to the cap', () => {
  const fresh = (bytes: number): TieredFile => ({ bytes, isMerged: false })
  const limits = { maxBytes: 1000, freeBytes: 0 }
  assert.deepEqual(chooseRuns([fresh(900), fresh(1), fresh(2)], limits), [{ start: 0, end: 3 }])
  assert.deepEqual(
    chooseRuns(
      [fresh(600), fresh(300), fresh(200), fresh(700), fresh(2000), fresh(1), fresh(1)],
      limits,
    ),
    [
      { start: 0, end: 2 },
      { start: 2, end: 4 },
      { start: 5, end: 7 },
    ],
  )
  assert.deepEqual(chooseRuns([], limits), [])
  assert.deepEqual(chooseRuns([fresh(5)], limits), [])
})

test('a large merged file waits until as much has come behind it; a small one waits for nothing', () => {
  const merged = (bytes: number): TieredFile => ({ bytes, isMerged: true })
  const fresh = (bytes: number): TieredFile => ({ bytes, isMerged: false })
  const limits = { maxBytes: 2 ** 30, freeBytes: 100 }
  assert.deepEqual(chooseRuns([merged(1000), fresh(400), fresh(500)], limits), [
    { start: 1, end: 3 },
  ])
  assert.deepEqual(chooseRuns([merged(1000), merged(900), fresh(100)], limits), [
    { start: 0, end: 3 },
  ])
  assert.deepEqual(chooseRuns([merged(100), fresh(1)], limits), [{ start: 0, end: 2 }])
})

test('ten thousand files of every shape are looked at in a few rounds', () => {
  const falling = Array.from({ length: 10_000 }, (_, i) => ({
    bytes: 2 ** 40 / (i + 1) ** 3,
    isMerged: true,
  }))
  let looks = 0
  const counted = new Proxy(falling, {
    get(target, key, receiver) {
      if (typeof key === 'string' && /^\d+$/.test(key)) looks++
      return Reflect.get(target, key, receiver)
    },
  })
  chooseRuns(counted, { maxBytes: 2 ** 60, freeBytes: 0 })
  assert.ok(looks < 10_000 * 200, `${looks} looks`)
})
