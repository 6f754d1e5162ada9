import { basename } from 'node:path'
import { ArchiverError, messageOf } from '../errors.ts'

/**
 * What the top of every command shares: help, signals, one line for a mistake, the exit code. Nothing below it sets an
 * exit code or ends the process.
 */
export interface Program {
  /** What `--help` or `-h` prints; gets the words of the command line. */
  readonly help: string | ((argv: readonly string[]) => string)
  /**
   * The command's work. It ends by itself once `signalled()` is aborted, having closed what it opened; the process ends
   * when nothing is open any more.
   */
  readonly main: (argv: readonly string[]) => Promise<void>
}

const signalNumbers = { SIGINT: 2, SIGTERM: 15 } as const
export type StopSignal = keyof typeof signalNumbers

/**
 * Ctrl-C under `npm run` reaches us several times at once: from the terminal and relayed by npm and by tsx. What comes
 * within this time is the same wish, not the second one that ends the process.
 */
const sameSignalMs = 500

let stopping: AbortController | undefined

/**
 * A signal that SIGTERM, SIGINT (its reason is then the name of the signal) or a closed standard output (the reason is
 * `EPIPE`) aborts. From the first call on, SIGTERM and SIGINT no longer end the process; a second one does, at once,
 * with exit code 143 or 130.
 */
export function signalled(): AbortSignal {
  if (stopping !== undefined) return stopping.signal
  const controller = new AbortController()
  stopping = controller
  let first: number | undefined
  const onSignal = (name: StopSignal) => {
    if (first !== undefined && performance.now() - first > sameSignalMs) process.exit(128 + signalNumbers[name])
    first ??= performance.now()
    controller.abort(name)
  }
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => onSignal(name))
  // Whoever supervises us (supervise.ts) is gone: nobody could stop us any more, so this is a wish to stop.
  process.on('disconnect', () => onSignal('SIGTERM'))
  process.channel?.unref()
  return controller.signal
}

function isClosedPipe(error: Error): boolean {
  return 'code' in error && (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED')
}

/**
 * Runs a command and sets the exit code: 0 done, that of an ArchiverError (told in one line on standard error), 1 for a
 * bug (told with its stack), 130 or 143 where a signal stopped it cleanly, 0 where the reader of its output went away.
 */
export async function runProgram({ help, main }: Program): Promise<void> {
  const name = basename(process.argv[1] ?? 'archiver').replace(/\.[cm]?[jt]s$/, '')
  process.stdout.on('error', (error) => {
    if (!isClosedPipe(error)) throw error
    if (stopping === undefined) process.exit(0)
    stopping.abort('EPIPE')
  })
  process.stderr.on('error', (error) => {
    if (!isClosedPipe(error)) throw error
  })
  const argv = process.argv.slice(2)
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(`${(typeof help === 'string' ? help : help(argv)).trimEnd()}\n`)
    return
  }
  try {
    await main(argv)
    process.exitCode = exitCodeOf(undefined, stopping?.signal)
  } catch (error) {
    const line = lineOf(error, stopping?.signal)
    if (line !== undefined) process.stderr.write(`${name}: ${line}\n`)
    process.exitCode = exitCodeOf(error, stopping?.signal)
  }
}

/** An `AbortError`, or what `throwIfAborted` throws, after a signal is how waiting ends, not a failure. */
function isStop(error: unknown, signal: AbortSignal | undefined): boolean {
  if (signal?.aborted !== true) return false
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
}

/** What standard error gets for what a command threw: undefined for a clean stop. */
export function lineOf(error: unknown, signal: AbortSignal | undefined): string | undefined {
  if (isStop(error, signal)) return undefined
  if (error instanceof ArchiverError) return messageOf(error).replace(/\s*\n\s*/g, ' ')
  return `unexpected: ${error instanceof Error ? (error.stack ?? messageOf(error)) : String(error)}`
}

/** The exit code for what a command threw, or for undefined where it returned. */
export function exitCodeOf(error: unknown, signal: AbortSignal | undefined): number {
  if (error !== undefined && !isStop(error, signal)) return error instanceof ArchiverError ? error.exitCode : 1
  const reason: unknown = signal?.aborted === true ? signal.reason : undefined
  return reason === 'SIGINT' || reason === 'SIGTERM' ? 128 + signalNumbers[reason] : 0
}
