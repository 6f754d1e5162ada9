import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import fc from 'fast-check'

/**
 * Runs of a fuzzer. Without `FUZZ_RUNS` a few thousand in all, which take seconds; `npm run fuzz`
 * sets it to a million for each. `FUZZ_SECONDS` ends a fuzzer sooner, `FUZZ_SEED` repeats a run.
 */
const longRuns = process.env.FUZZ_RUNS === undefined ? undefined : Number(process.env.FUZZ_RUNS)
const seconds = Number(process.env.FUZZ_SECONDS ?? Number.POSITIVE_INFINITY)
/** A short run gives the same inputs each time: what it says depends on the code alone. */
const shortSeed = 20_261_127
const givenSeed = process.env.FUZZ_SEED === undefined ? undefined : Number(process.env.FUZZ_SEED)
const seed = givenSeed ?? (longRuns === undefined ? shortSeed : undefined)
/**
 * An input that needs more of the processor is a hang. Measured in long runs alone, which are for
 * that.
 */
const maxCpuMs = 1000
/**
 * Inputs of a megabyte are printed digit by digit; the seed and the path at the beginning bring one
 * back.
 */
const maxReport = 4000

/**
 * Gives inputs to a reader of foreign bytes. The check throws if the reader does anything but
 * return or throw an error that it may throw. A long run prints how many inputs it gave, its seed,
 * and what the slowest one took.
 */
export async function fuzz<T>(
  t: TestContext,
  shortRuns: number,
  inputs: fc.Arbitrary<T>,
  check: (input: T) => unknown,
): Promise<void> {
  const numRuns = longRuns ?? shortRuns
  const until = performance.now() + seconds * 1000
  const startedAt = performance.now()
  let given = 0
  let slowestMs = 0
  const property = fc.asyncProperty(inputs, async (input) => {
    const before = process.cpuUsage()
    await check(input)
    const { user, system } = process.cpuUsage(before)
    const cpuMs = (user + system) / 1000
    given++
    slowestMs = Math.max(slowestMs, cpuMs)
    if (longRuns !== undefined)
      assert.ok(cpuMs < maxCpuMs, `one input took ${cpuMs} ms of the processor`)
  })
  const isLong = longRuns !== undefined
  const result = await fc.check(property, {
    numRuns,
    ...(seed === undefined ? {} : { seed }),
    ...(Number.isFinite(until)
      ? { interruptAfterTimeLimit: seconds * 1000, markInterruptAsFailure: false }
      : {}),
  })
  if (isLong) {
    const tookMs = performance.now() - startedAt
    const rate = Math.round((given / tookMs) * 1000)
    const peak = Math.round(process.resourceUsage().maxRSS / 1024)
    t.diagnostic(
      `${t.name}: ${given} inputs, seed ${result.seed}, ${rate} a second, slowest ${Math.round(slowestMs)} ms, peak ${peak} MiB`,
    )
  }
  if (result.failed) {
    const report = fc.defaultReportMessage(result) ?? 'failed'
    throw new Error(report.slice(0, maxReport), { cause: result.errorInstance })
  }
}

const interesting = [
  0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
]

type Edit =
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'put'; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Buffer }
  | { readonly kind: 'cut'; readonly at: number; readonly length: number }
  | {
      readonly kind: 'repeat'
      readonly at: number
      readonly length: number
      readonly times: number
    }
  | { readonly kind: 'end'; readonly at: number }

const integer = fc
  .record({ value: fc.constantFrom(...interesting), width: fc.constantFrom(1, 2, 4, 8) })
  .map((one) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(BigInt(one.value), 0)
    return bytes.subarray(8 - one.width)
  })
const someBytes = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 12 }).map((array) => Buffer.from(array)),
  integer,
  integer.map((bytes) => Buffer.from(bytes).reverse()),
)

const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({ kind: fc.constant('flip' as const), at: fc.nat(), bit: fc.nat({ max: 7 }) }),
  fc.record({ kind: fc.constant('put' as const), at: fc.nat(), bytes: someBytes }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), bytes: someBytes }),
  fc.record({
    kind: fc.constant('cut' as const),
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 64 }),
  }),
  fc.record({
    kind: fc.constant('repeat' as const),
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 64 }),
    times: fc.integer({ min: 1, max: 20 }),
  }),
  fc.record({ kind: fc.constant('end' as const), at: fc.nat() }),
)

function edited(bytes: Buffer, change: Edit): Buffer {
  if (bytes.length === 0) return bytes
  const at = change.at % bytes.length
  const before = bytes.subarray(0, at)
  switch (change.kind) {
    case 'flip': {
      const copy = Buffer.from(bytes)
      copy[at]! ^= 1 << change.bit
      return copy
    }
    case 'put':
      return Buffer.concat([before, change.bytes, bytes.subarray(at + change.bytes.length)])
    case 'insert':
      return Buffer.concat([before, change.bytes, bytes.subarray(at)])
    case 'cut':
      return Buffer.concat([before, bytes.subarray(at + change.length)])
    case 'repeat': {
      const piece = bytes.subarray(at, at + change.length)
      return Buffer.concat([before, ...Array<Buffer>(change.times).fill(piece), bytes.subarray(at)])
    }
    case 'end':
      return before
  }
}

/**
 * Good bytes with some edits: bits, lengths that lie, pieces that are absent, twice or foreign, a
 * sudden end.
 */
export function damagedBytes(good: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc
    .tuple(good, fc.array(edit, { maxLength: 4 }))
    .map(([bytes, edits]) => edits.reduce(edited, bytes))
}

/** Unexpected values for an answer that should have a number, a text, a list or an object. */
export const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    -1,
    1.5,
    1e308,
    2 ** 53,
    '',
    ' ',
    '-1',
    '1e999',
    'NaN',
    [],
    {},
    [null],
    [[]],
  ),
  fc.constantFrom<unknown>(
    { length: 1e9 },
    { toString: 1 },
    '../../etc/passwd',
    '\u001b[2J',
    'x'.repeat(5000),
  ),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.jsonValue({ maxDepth: 2 }),
)

/** A JSON value that is like a good one but for a few places. */
export function unlike(good: unknown): fc.Arbitrary<unknown> {
  const places = placesIn(good)
  const one = fc.record({
    place: fc.nat({ max: places.length - 1 }),
    how: fc.constantFrom('replace', 'replace', 'remove', 'deepen', 'repeat'),
    value: oddValue,
  })
  return fc.array(one, { minLength: 1, maxLength: 3 }).map((changes) => {
    const root: { value: unknown } = { value: structuredClone(good) }
    for (const { place, how, value } of changes) change(root, places[place]!, how, value)
    return root.value
  })
}

type Path = readonly string[]

function placesIn(value: unknown, path: Path = ['value']): Path[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [path, ...Object.entries(value).flatMap(([key, inner]) => placesIn(inner, [...path, key]))]
}

function change(root: object, path: Path, how: string, value: unknown): void {
  let parent = root as Record<string, unknown>
  for (const key of path.slice(0, -1)) {
    const next = parent[key]
    // An earlier change has removed it.
    if (typeof next !== 'object' || next === null) return
    parent = next as Record<string, unknown>
  }
  const last = path.at(-1)!
  if (how === 'remove') delete parent[last]
  else if (how === 'deepen') parent[last] = { [last]: parent[last] }
  else if (how === 'repeat') parent[last] = [parent[last], parent[last]]
  else parent[last] = structuredClone(value)
}

/** The text of an answer: JSON that is unlike a good one, or good JSON with damaged bytes. */
export function answerLike(good: unknown): fc.Arbitrary<Buffer> {
  const text = Buffer.from(JSON.stringify(good))
  return fc.oneof(
    { weight: 3, arbitrary: unlike(good).map((value) => Buffer.from(JSON.stringify(value) ?? '')) },
    { weight: 1, arbitrary: damagedBytes(fc.constant(text)) },
  )
}
