import { setTimeout as delay } from 'node:timers/promises'
import { runProgram, signalled } from '../../src/cmd/program.ts'
import { ArchiverError } from '../../src/errors.ts'

/** A command that does what its first word says: see program.test.ts. */
const behaviours: Readonly<Record<string, () => Promise<void>>> = {
  done: async () => void process.stdout.write('done\n'),
  usage: () => Promise.reject(new ArchiverError('USAGE', '--topic: not so')),
  failed: () => Promise.reject(new ArchiverError('UNREACHABLE', 'two lines\n  in one')),
  bug: () => Promise.reject(new TypeError('a bug')),
  wait: async () => {
    const stop = signalled()
    process.stdout.write('ready\n')
    try {
      await delay(60_000, undefined, { signal: stop })
    } finally {
      process.stderr.write(`cleaned up after ${String(stop.reason)}\n`)
    }
  },
  hang: async () => {
    signalled()
    process.stdout.write('ready\n')
    await delay(60_000)
  },
  flood: async () => {
    const stop = signalled()
    while (!stop.aborted) {
      process.stdout.write('line\n')
      await delay(1)
    }
  },
  'flood-unsignalled': async () => {
    for (;;) {
      process.stdout.write('line\n')
      await delay(1)
    }
  },
}

await runProgram({ help: 'help of the fixture', main: ([word]) => behaviours[word!]!() })
