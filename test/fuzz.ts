import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { parseArgs } from 'node:util'

/**
 * `npm run fuzz`: every fuzzer with a million inputs, one after another. Each prints how many
 * inputs it gave, its seed, its rate, the slowest input in ms of the processor, and the most
 * memory. `--seed` repeats a run.
 */

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000000' },
    /** Each fuzzer ends after this time at the latest. */
    seconds: { type: 'string' },
    seed: { type: 'string' },
    /** Only fuzzers with this in their name, as a regular expression. */
    only: { type: 'string', default: '' },
  },
})

const files = [
  ...globSync('test/unit/fuzz/*.test.ts'),
  'test/unit/files/log/hostile-manifests.test.ts',
].sort()
const child = spawn(
  process.execPath,
  [
    ...['--test', '--test-concurrency=1', '--test-reporter=spec'],
    `--test-name-pattern=/^fuzz: .*(${values.only})/`,
    ...files,
  ],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      FUZZ_RUNS: values.runs,
      ...(values.seconds === undefined ? {} : { FUZZ_SECONDS: values.seconds }),
      ...(values.seed === undefined ? {} : { FUZZ_SEED: values.seed }),
    },
  },
)
child.on('exit', (code) => process.exit(code ?? 1))
