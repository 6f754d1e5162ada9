import { type ChildProcess, spawn } from 'node:child_process'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { brokers, elasticsearchUrl, until } from './servers.ts'

const program = fileURLToPath(new URL('../../bin/archiver.mjs', import.meta.url))

/** An archiver in a process of its own, as a user starts it. */
export interface RunningArchiver {
  readonly child: ChildProcess
  /** Standard output and standard error so far. */
  readonly output: () => string
  /** Standard error alone, so far. */
  readonly errors: () => string
  /** The log lines so far. */
  readonly log: () => readonly Record<string, unknown>[]
  /** Settles with the exit code, or with `128 + n` for a signal. */
  readonly ended: Promise<number>
  /** Waits until a log line or an error line has the text. */
  readonly says: (text: string, deadlineMs?: number) => Promise<void>
}

/**
 * Starts `archiver <argv>`; it is killed when the test ends. `--brokers` and `--elasticsearch` come
 * from the environment of the tests unless `env` says otherwise. With `descriptors`, the process
 * may open no more than these.
 */
export function startArchiver(
  t: TestContext,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  descriptors?: number,
): RunningArchiver {
  return startProgram(t, [program, ...argv], env, descriptors)
}

/** Starts an archiver of another checkout: `program` is the first of its words. */
export function startProgram(
  t: TestContext,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
  descriptors?: number,
): RunningArchiver {
  const words = [process.execPath, ...argv]
  if (descriptors !== undefined)
    words.unshift('sh', '-c', `ulimit -n ${descriptors}; exec "$@"`, 'sh')
  const child = spawn(words[0]!, words.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ARCHIVER_BROKERS: brokers.join(','),
      ARCHIVER_ELASTICSEARCH: elasticsearchUrl,
      ...env,
    },
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text
    errors += text
  })
  const numbers: Readonly<Record<string, number>> = { SIGKILL: 9, SIGTERM: 15, SIGINT: 2 }
  const ended = new Promise<number>((resolve) => {
    child.on('close', (code, signal) => resolve(code ?? 128 + (numbers[signal ?? ''] ?? 0)))
  })
  t.after(async () => {
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await ended
  })
  const log = () =>
    output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  return {
    child,
    output: () => output,
    errors: () => errors,
    log,
    ended,
    says: async (text, deadlineMs = 30_000) => {
      let over = false
      void ended.then(() => {
        over = true
      })
      await until(
        `"${text}" in the output`,
        () => {
          if (output.includes(text)) return true
          if (over) throw new Error(`the archiver ended without saying "${text}":\n${output}`)
          return false
        },
        deadlineMs,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${output}`)
      })
    },
  }
}

/** Runs `archiver <argv>` to its end. */
export async function runArchiver(
  t: TestContext,
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; output: string; log: readonly Record<string, unknown>[] }> {
  const running = startArchiver(t, argv, env)
  const code = await running.ended
  return { code, output: running.output(), log: running.log() }
}
