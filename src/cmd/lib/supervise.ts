import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { hangupVariable } from './hangup.ts'
import { onStarterGone, onStopSignal, passOverSignals } from './stop-signals.ts'

/**
 * `tsx src/cmd/archiver.ts` runs us in a child process, relays signals, and kills us with SIGKILL
 * if we have not handled a signal within 60 ms. A worker under load takes longer, and would never
 * flush at a SIGTERM. So below tsx this process stays idle and always answers quickly, and a child
 * of it does the work. `node --import tsx` and the packaged command have no such parent and need
 * none of this.
 */

/** Commands that finish something when they are stopped; `run` may have no name. */
const stoppable: readonly (string | undefined)[] = [
  undefined,
  'run',
  'restore',
  'prune',
  'compact',
  'retry-rejected',
]

/**
 * True if tsx's command line tool started this process: it preloads a file that answers signals.
 */
export function isBelowTsx(argv: readonly string[], execArgv: readonly string[]): boolean {
  const command = argv[0]?.startsWith('-') === true ? undefined : argv[0]
  return (
    stoppable.includes(command) && execArgv.some((word) => /[\\/]tsx[\\/].*preflight/.test(word))
  )
}

/** Node's own flags, without the file that tsx preloads to answer signals. */
function withoutPreflight(execArgv: readonly string[]): string[] {
  return execArgv.filter(
    (word, i) =>
      !/preflight/.test(word) && !(word === '--require' && /preflight/.test(execArgv[i + 1] ?? '')),
  )
}

/** Runs the same command in a child process, relays signals, and ends as the child ends. */
export async function supervise(): Promise<void> {
  const { ignoresHangup } = passOverSignals()
  const flags = withoutPreflight(process.execArgv)
  const child = spawn(process.execPath, ['--disable-sigusr1', ...flags, ...process.argv.slice(1)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...(ignoresHangup ? { [hangupVariable]: 'ignored' } : {}) },
  })
  onStopSignal((name) => child.kill(name))
  // When the channel closes, the child knows that nobody can stop it any more: see stop-signals.ts.
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
