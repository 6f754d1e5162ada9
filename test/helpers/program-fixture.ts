import { setTimeout as delay } from 'node:timers/promises'
import { type OutputKind, runProgram, signalled } from '../../src/cmd/lib/program.ts'
import { logProcessWarnings } from '../../src/cmd/run/process-warnings.ts'
import { ArchiverError } from '../../src/runtime/errors.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { standardOutput } from '../../src/runtime/standard-streams.ts'

/**
 * A command that does what its first word says, and whose output is what its second word says: see
 * program.test.ts.
 */
const behaviours: Readonly<Record<string, () => Promise<void>>> = {
  done: async () => standardOutput.print('done'),
  usage: () => Promise.reject(new ArchiverError('USAGE', '--topic: not so')),
  failed: () => Promise.reject(new ArchiverError('UNREACHABLE', 'two lines\n  in one')),
  escape: () =>
    Promise.reject(new ArchiverError('UNREACHABLE', 'a title \x1b]0;PWN\x07 of others')),
  bug: () => Promise.reject(new TypeError('a bug')),
  wait: async () => {
    const stop = signalled()
    standardOutput.print('ready')
    try {
      await delay(60_000, undefined, { signal: stop })
    } finally {
      process.stderr.write(`cleaned up after ${String(stop.reason)}\n`)
    }
  },
  hang: async () => {
    signalled()
    standardOutput.print('ready')
    await delay(60_000)
  },
  flood: async () => {
    const stop = signalled()
    while (!stop.aborted) {
      standardOutput.print('line')
      await delay(1)
    }
  },
  'flood-unsignalled': async () => {
    for (;;) {
      standardOutput.print('line')
      await delay(1)
    }
  },
  warns: async () => {
    logProcessWarnings(createLogger({ level: 'info', stream: standardOutput }))
    process.emitWarning('a leak \x1b[31m')
    await delay(50)
  },
  /** A verdict after more lines than a pipe holds. */
  'bad-verdict': async () => {
    await lines()
    throw new ArchiverError('DAMAGED', 'not proven')
  },
  verdict: lines,
  'one-write': async () => standardOutput.print('x'.repeat(10_000)),
  /** A worker: logs until a signal stops it, and says at the end how many lines were lost. */
  logs: async () => {
    const stop = signalled()
    const log = createLogger({ level: 'info', stream: standardOutput })
    standardOutput.reportLostLinesTo(log)
    for (let i = 0; !stop.aborted; i++) {
      log.info({ i, padding: 'x'.repeat(100) }, 'archiving')
      if (i % 100 === 0) process.stderr.write(`${i} ${standardOutput.lostLines}\n`)
      await delay(1)
    }
    process.stderr.write(`lost ${standardOutput.lostLines}\n`)
  },
}

async function lines(): Promise<void> {
  signalled()
  for (let i = 0; i < 20_000; i++) await standardOutput.send(Buffer.from(`line ${i}\n`))
}

await runProgram({
  help: 'help of the fixture',
  output: ([, kind]) => (kind ?? 'report') as OutputKind,
  main: ([word]) => behaviours[word!]!(),
})
