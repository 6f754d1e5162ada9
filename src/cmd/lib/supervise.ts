import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { hangupVariable } from './hangup.ts'
import { onStarterGone, onStopSignal, passOverSignals } from './stop-signals.ts'

/**
 * `tsx src/cmd/archiver.ts` runs us below a process of its own that passes signals on, and that
 * kills us with SIGKILL where we have not taken a signal within 60 ms: a worker under load takes
 * longer, and would never flush at a SIGTERM. So where tsx is above, this process stays idle, is
 * always quick to answer, and the work is done in one below it. `node --import tsx` and the
 * packaged command have nobody above and need none of this.
 */

/** Commands that have something to finish when they are stopped; `run` also has no name. */
const stoppable: readonly (string | undefined)[] = [
  undefined,
  'run',
  'restore',
  'prune',
  'compact',
  'retry-rejected',
]

/**
 * True where tsx's command line tool started this process: it preloads a file that answers for
 * signals.
 */
export function isBelowTsx(argv: readonly string[], execArgv: readonly string[]): boolean {
  const command = argv[0]?.startsWith('-') === true ? undefined : argv[0]
  return (
    stoppable.includes(command) && execArgv.some((word) => /[\\/]tsx[\\/].*preflight/.test(word))
  )
}

/** Node's own flags, without what tsx preloads to answer for signals. */
function withoutPreflight(execArgv: readonly string[]): string[] {
  return execArgv.filter(
    (word, i) =>
      !/preflight/.test(word) && !(word === '--require' && /preflight/.test(execArgv[i + 1] ?? '')),
  )
}

/** Runs the same command in a process below, passes signals on, and ends as it ends. */
export async function supervise(): Promise<void> {
  const { ignoresHangup } = passOverSignals()
  const flags = withoutPreflight(process.execArgv)
  const child = spawn(process.execPath, ['--disable-sigusr1', ...flags, ...process.argv.slice(1)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...(ignoresHangup ? { [hangupVariable]: 'ignored' } : {}) },
  })
  onStopSignal((name) => child.kill(name))
  // Without the channel, the one below knows that nobody can stop it any more: see stop-signals.ts.
  onStarterGone(() => {
    if (child.connected) child.disconnect()
  })
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) =>
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])),
    )
  })
}
