import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { untilAborted } from '../../runtime/deadline.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { readableLines, readableText } from '../../runtime/readable-text.ts'
import { isReaderGone, standardError, standardOutput } from '../../runtime/standard-streams.ts'
import {
  exitCodeOfStop,
  isStopReason,
  onStarterGone,
  onStopSignal,
  passOverSignals,
  starterGone,
} from './stop-signals.ts'

/**
 * The meaning of a command's standard output. `data` is the purpose of the command: without a
 * reader it stops. `report` tells what the command did or found, which happens in any case. `log`
 * is a worker's: lines that cannot be written are counted and change nothing.
 */
export type OutputKind = 'data' | 'report' | 'log'

/**
 * What all commands share: help, signals, one line for a mistake, the exit code. Nothing below sets
 * an exit code or ends the process.
 */
export interface Program {
  /** The text of `--help`, `-h` and `help`, or a function of the command line. */
  readonly help: string | ((argv: readonly string[]) => string)
  /** Default: `report`. A function gets the command line. */
  readonly output?: OutputKind | ((argv: readonly string[]) => OutputKind)
  /**
   * The command's work. It ends once `signalled()` is aborted, after it closed what it opened. The
   * process ends when nothing is open any more, and then at once if a signal stopped it.
   */
  readonly main: (argv: readonly string[]) => Promise<void>
}

/**
 * Ctrl-C under `npm run` arrives several times at once: from the terminal, and relayed by npm and
 * by tsx. Signals within this time count as one, not as the second that ends the process.
 */
const sameSignalMs = 500

/** The reason to stop a command that gives data, if its output can no longer be written. */
const outputFailed = 'standard output cannot be written'

let stopping: AbortController | undefined

/**
 * A signal that is aborted by SIGTERM, SIGINT, SIGHUP or SIGQUIT (its reason is then the name of
 * the signal), when the process that started us is gone, and, for a command that gives data, when
 * its output can no longer be written. After the first call these signals no longer end the
 * process; a second one ends it at once, with 128 plus its number.
 */
export function signalled(): AbortSignal {
  if (stopping !== undefined) return stopping.signal
  const controller = new AbortController()
  stopping = controller
  let first: number | undefined
  onStopSignal((name) => {
    if (first !== undefined && performance.now() - first > sameSignalMs)
      process.exit(exitCodeOfStop(name))
    first ??= performance.now()
    controller.abort(name)
  })
  return controller.signal
}

/**
 * A step of the start of a command, before it has anything to finish: a signal ends it at once.
 * What the step waits for goes on for a while, so it must leave nothing half done.
 * @throws the reason of the signal; what the step throws
 */
export function unlessStopped<T>(step: Promise<T>): Promise<T> {
  return untilAborted(step, signalled())
}

/**
 * The exit code of a command that gives data if its reader is gone: 128 plus SIGPIPE, as for `cat`.
 */
const readerGoneExitCode = 141

/**
 * How long a worker, or a command that was stopped, waits at its end for a reader that does not
 * read.
 */
const drainMs = 1000

/**
 * Runs a command and sets the exit code: 0 done; that of an ArchiverError (one line on standard
 * error); 1 for a bug (with its stack) and for output that could not be written; 141 if the reader
 * of its data is gone; 129, 130, 131 or 143 if a signal stopped it cleanly.
 */
export async function runProgram({ help, main, output = 'report' }: Program): Promise<void> {
  const name = basename(process.argv[1] ?? 'archiver').replace(/\.[cm]?[jt]s$/, '')
  const say = (line: string) => standardError.write(`${name}: ${line}\n`)
  passOverSignals()
  onStarterGone(() => {
    if (stopping === undefined) process.exit(exitCodeOfStop(starterGone))
    stopping.abort(starterGone)
  })
  const argv = process.argv.slice(2)
  let kind: OutputKind = 'data'
  let code: number
  standardOutput.onFailure((error) => {
    if (kind !== 'data') return
    if (stopping !== undefined) stopping.abort(outputFailed)
    else if (isReaderGone(error, standardOutput)) process.exit(readerGoneExitCode)
  })
  try {
    if (argv.includes('--help') || argv.includes('-h') || argv[0] === 'help') {
      standardOutput.print((typeof help === 'string' ? help : help(argv)).trimEnd())
    } else if (argv.includes('--version') || argv[0] === 'version') {
      standardOutput.print(`${name} ${version()}`)
    } else {
      kind = typeof output === 'string' ? output : output(argv)
      await main(argv)
    }
    code = exitCodeOf(undefined, stopping?.signal)
  } catch (error) {
    const line = lineOf(error, stopping?.signal)
    if (line !== undefined) say(line)
    code = exitCodeOf(error, stopping?.signal)
  }
  const isHurried = kind === 'log' || stopping?.signal.aborted === true
  const patience = isHurried ? setTimeout(() => process.exit(code), drainMs) : undefined
  await standardOutput.drained()
  clearTimeout(patience)
  const { failure } = standardOutput
  if (failure !== undefined && kind !== 'log' && !isReaderGone(failure, standardOutput)) {
    say(
      `standard output cannot be written: ${readableText(failure.message.replace(/, write$/, ''))}`,
    )
  }
  process.exitCode = exitCodeWithOutput(code, failure, kind)
  // What was given up still waits for a server, perhaps for long.
  if (stopping?.signal.aborted === true) process.exit()
}

/**
 * The version in `package.json`, which is beside `src` in a checkout and beside `dist` in the
 * package.
 */
function version(): string {
  const file = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(file) as { version: string }).version
}

/**
 * The exit code of a command that ended with `code`, given what happened to its standard output.
 */
export function exitCodeWithOutput(
  code: number,
  failure: Error | undefined,
  kind: OutputKind,
): number {
  if (code !== 0 || failure === undefined || kind === 'log') return code
  if (!isReaderGone(failure, standardOutput)) return 1
  return kind === 'data' ? readerGoneExitCode : 0
}

/**
 * True for an `AbortError`, or the error of `throwIfAborted`, after a signal: waiting ended,
 * nothing failed.
 */
function isStop(error: unknown, signal: AbortSignal | undefined): boolean {
  if (signal?.aborted !== true) return false
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
}

/** The text on standard error for what a command threw; undefined for a clean stop. */
export function lineOf(error: unknown, signal: AbortSignal | undefined): string | undefined {
  if (isStop(error, signal)) return undefined
  if (error instanceof ArchiverError)
    return readableText(messageOf(error).replace(/\s*\n\s*/g, ' '))
  return readableLines(
    `unexpected: ${error instanceof Error ? (error.stack ?? messageOf(error)) : String(error)}`,
  )
}

/** The exit code for what a command threw, or for undefined if it returned. */
export function exitCodeOf(error: unknown, signal: AbortSignal | undefined): number {
  if (error !== undefined && !isStop(error, signal))
    return error instanceof ArchiverError ? error.exitCode : 1
  const reason: unknown = signal?.aborted === true ? signal.reason : undefined
  return isStopReason(reason) ? exitCodeOfStop(reason) : 0
}
