import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { signalled } from '../../src/cmd/lib/program.ts'
import { ArchiverError } from '../../src/runtime/errors.ts'
import { allProcesses, peakMemory, processTimes, treeOf } from './proc.ts'

/** What a process used in all. */
export interface ChildUsage {
  readonly cpuSeconds: number
  /** Most resident memory. */
  readonly peakBytes: number
  /**
   * The share of time in which a Node process's event loop had work; undefined for other programs.
   */
  readonly loopBusy?: number
}

export interface ChildRun {
  /** From the start of the process to its end. */
  readonly seconds: number
  readonly usage: ChildUsage
  /**
   * From the start to the moment in which it said that it begins, and the CPU it had used by then.
   */
  readonly startup: { readonly seconds: number; readonly cpuSeconds: number } | undefined
  readonly output: string
}

/** A measured process while it runs. */
export interface RunningChild {
  readonly pid: number
  readonly output: () => string
  readonly kill: (signal: NodeJS.Signals) => void
  readonly ended: Promise<ChildRun>
}

export interface ChildOptions {
  /** What it prints when its start-up is over. */
  readonly begins?: string
  readonly cwd?: string
  /** More modules that are loaded before the program. */
  readonly imports?: readonly string[]
  /** More variables of its environment. */
  readonly env?: Readonly<Record<string, string>>
  /** What it prints goes to /dev/null. */
  readonly discards?: boolean
}

const hook = fileURLToPath(new URL('usage-hook.ts', import.meta.url))
const pollMs = 250

/** The environment of what is measured: no option of the archiver may come from ours. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('ARCHIVER_')),
  )
}

/** Starts a TypeScript program in a Node of its own. */
export async function startNode(
  program: string,
  argv: readonly string[],
  options: ChildOptions = {},
): Promise<RunningChild> {
  const directory = await mkdtemp(join(tmpdir(), 'archiver-bench-'))
  const usageFile = join(directory, 'usage.json')
  const imports = [hook, ...(options.imports ?? [])]
  const words = [...imports.flatMap((module) => ['--import', module]), program, ...argv]
  const running = startChild(process.execPath, words, {
    ...options,
    env: { ...options.env, BENCH_USAGE_FILE: usageFile },
  })
  const ended = (async () => {
    try {
      const run = await running.ended
      return { ...run, usage: JSON.parse(await readFile(usageFile, 'utf8')) as ChildUsage }
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })()
  ended.catch(() => {})
  return { ...running, ended }
}

/** Runs a TypeScript program to its end; throws if its exit code is not 0. */
export async function runNode(...given: Parameters<typeof startNode>): Promise<ChildRun> {
  return (await startNode(...given)).ended
}

/**
 * Runs a pipeline of programs in bash to its end; its CPU time is that of all of them, its memory
 * their sum.
 */
export async function runShell(script: string): Promise<ChildRun> {
  // `times` prints the shell's own time, then that of its children, each user and system.
  const shell = startChild('bash', [
    '-c',
    `set -o pipefail\n${script}\ncode=$?\ntimes >&2\nexit $code`,
  ])
  const peaks = new Map<number, number>()
  const poll = setInterval(() => {
    for (const pid of treeOf(shell.pid, allProcesses())) {
      const peak = pid === shell.pid ? undefined : peakMemory(pid)
      if (peak !== undefined) peaks.set(pid, peak)
    }
  }, pollMs)
  try {
    const run = await shell.ended
    const peakBytes = [...peaks.values()].reduce((sum, peak) => sum + peak, 0)
    return { ...run, usage: { cpuSeconds: shellTimes(run.output), peakBytes } }
  } finally {
    clearInterval(poll)
  }
}

function startChild(
  command: string,
  argv: readonly string[],
  options: ChildOptions = {},
): RunningChild {
  const startedAt = performance.now()
  const child = spawn(command, argv, {
    stdio: ['ignore', options.discards === true ? 'ignore' : 'pipe', 'pipe'],
    env: { ...cleanEnvironment(), ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  const since = () => (performance.now() - startedAt) / 1000
  let output = ''
  let startup: ChildRun['startup']
  const take = (text: string) => {
    output += text
    if (startup === undefined && options.begins !== undefined && output.includes(options.begins)) {
      startup = { seconds: since(), cpuSeconds: processTimes(child.pid!)?.own ?? 0 }
    }
  }
  child.stdout?.setEncoding('utf8').on('data', take)
  child.stderr?.setEncoding('utf8').on('data', take)

  const stop = () => child.kill('SIGKILL')
  process.once('exit', stop)
  const signal = signalled()
  signal.addEventListener('abort', stop)

  const ended = (async () => {
    try {
      const exited = once(child, 'exit').then(() => since())
      const [code, killedBy] = (await once(child, 'close')) as [
        number | null,
        NodeJS.Signals | null,
      ]
      // Who stops the benchmark wants it to clean up and end, and no more rounds.
      signal.throwIfAborted()
      const seconds = await exited
      if (code !== 0 && code !== 143) {
        const end = output.trimEnd().split('\n').slice(-15).join('\n')
        throw new ArchiverError(
          'INTERNAL',
          `${command} ${argv.join(' ')} ended with ${code ?? killedBy}:\n${end}`,
        )
      }
      return { seconds, startup, output, usage: { cpuSeconds: 0, peakBytes: 0 } }
    } finally {
      process.removeListener('exit', stop)
      signal.removeEventListener('abort', stop)
    }
  })()
  ended.catch(() => {})
  return { pid: child.pid!, output: () => output, kill: (signal) => void child.kill(signal), ended }
}

/** The sum of what bash's `times` prints: `0m0.012s 0m0.003s`, on two lines. */
export function shellTimes(output: string): number {
  const lines = output.trimEnd().split('\n').slice(-2).join(' ')
  let seconds = 0
  for (const [, minutes, rest] of lines.matchAll(/(\d+)m([\d.]+)s/g))
    seconds += Number(minutes) * 60 + Number(rest)
  return seconds
}
