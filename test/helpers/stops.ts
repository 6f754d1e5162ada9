import { type TestContext, test } from 'node:test'
import { begin } from './compaction.ts'
import type { Gates } from './gates.ts'
import { type HomeKind, inDirectory, inMemory, type TestArchive } from './test-archive.ts'

/**
 * What stops before each of its steps, while others go on. In memory it stops before every step. In
 * a directory each step is a system call, so it stops before every few. What a call of the contract
 * does when it stops in the middle is in `test/unit/home/stopped-calls.test.ts`. `STOPS_STRIDE=1`
 * stops before each.
 */
const strides: readonly (readonly [HomeKind, number])[] = [
  [inMemory, 1],
  [inDirectory, Number(process.env.STOPS_STRIDE ?? 7)],
]

export interface StopCase {
  readonly prepare: (archive: TestArchive) => Promise<void>
  /**
   * Gets a copy of what was prepared, and the number of the step to stop before. Returns false if
   * there are fewer steps.
   */
  readonly run: (archive: TestArchive, gates: Gates, stop: number) => Promise<boolean>
  /** `stop`: the number of the first step that there is not. */
  readonly end: (stop: number) => void
}

/** A test in each kind of home. `longer`: how much longer the strides are in a directory. */
export function testStops(name: string, begun: () => StopCase, longer = 1): void {
  for (const [kind, usual] of strides) {
    const stride = kind === inDirectory ? usual * longer : usual
    test(`${kind.name}: ${name}`, async (t: TestContext) => {
      const { prepare, run, end } = begun()
      const { gates, create } = await kind.begin(t)
      const prepared = await begin(create())
      await prepare(prepared)
      let stop = 1
      for (let isOver = false; !isOver; stop += stride) {
        const archive = await prepared.copy()
        isOver = !(await run(archive, gates, stop))
        await archive.drop()
      }
      end(stop)
    })
  }
}
