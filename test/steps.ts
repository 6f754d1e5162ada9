import { spawn } from 'node:child_process'
import {
  accessSync,
  chmodSync,
  constants,
  globSync,
  mkdtempSync,
  rmSync,
  statfsSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What `npm test` and `npm run test:soak` share: steps that are timed, and counted tests. */

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * For every process of a run. Node keeps the modules that it compiled: the tests start hundreds of
 * processes. The servers live for minutes: what the second compiler of Java saves, they never earn
 * back.
 */
const environment: Readonly<Record<string, string>> = {
  NODE_COMPILE_CACHE: join(root, 'node_modules', '.cache', 'node'),
  ES_JAVA_OPTS: '-XX:TieredStopAtLevel=1',
  JAVA_TOOL_OPTIONS: '-XX:TieredStopAtLevel=1',
}

class StepFailed extends Error {}

export interface TestOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Files at a time. */
  readonly concurrency: number
}

/** The steps of one run; the first that fails ends it. */
export class Steps {
  #passed = 0
  #failed = 0

  constructor() {
    Object.assign(process.env, environment)
  }

  /** Runs a step, and says how long it took. */
  async step(name: string, work: () => Promise<unknown>): Promise<void> {
    const startedAt = performance.now()
    console.log(`\n── ${name}`)
    const good = (await work()) !== false
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    console.log(`── ${name}: ${good ? 'good' : 'FAILED'} in ${seconds} s`)
    if (good) return
    this.#failed = Math.max(this.#failed, 1)
    throw new StepFailed(name)
  }

  /** A step that runs a command. */
  async check(name: string, ...words: readonly string[]): Promise<void> {
    await this.step(name, async () => (await run(words)).code === 0)
  }

  /** A step that runs test files. It fails if no test ran. */
  async tests(name: string, files: readonly string[], options: TestOptions): Promise<void> {
    await this.step(name, async () => {
      const { code, output } = await run(
        [
          process.execPath,
          '--test',
          '--test-reporter=spec',
          `--test-concurrency=${options.concurrency}`,
          ...files,
        ],
        options.env,
      )
      const count = (word: string) =>
        Number(new RegExp(`^ℹ ${word} (\\d+)$`, 'm').exec(output)?.[1] ?? 0)
      this.#passed += count('pass')
      this.#failed += count('fail') + count('cancelled')
      if (count('pass') === 0) console.log('no test ran: that is a failure')
      return code === 0 && files.length > 0 && count('pass') > 0
    })
  }

  /** Runs the steps and then `end`; prints the count, and sets the exit code. */
  async run(steps: () => Promise<void>, end: (isGood: boolean) => Promise<unknown>): Promise<void> {
    try {
      await steps()
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error
    } finally {
      await end(this.#failed === 0 && this.#passed > 0)
    }
    console.log(`\n${this.#passed} passed, ${this.#failed} failed`)
    if (this.#failed > 0 || this.#passed === 0) process.exitCode = 1
  }
}

/** The files of a pattern below the repository, in order. */
export function filesOf(pattern: string): string[] {
  return globSync(pattern, { cwd: root }).sort()
}

/**
 * A new directory in memory if this machine has such a place with that much room, else in the
 * usual one: a fsync is most of what a flush or a new index takes, and no test pulls the plug.
 */
export function quickDirectory(name: string, bytes: number): string {
  const directory = mkdtempSync(join(hasRoom('/dev/shm', bytes) ? '/dev/shm' : tmpdir(), name))
  // Elasticsearch and MariaDB run as another user if this one is root.
  chmodSync(directory, 0o755)
  return directory
}

function hasRoom(path: string, bytes: number): boolean {
  try {
    accessSync(path, constants.W_OK)
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize >= bytes
  } catch {
    // Not there, or not for this user.
    return false
  }
}

/** Removes a directory of `quickDirectory`. */
export function removeDirectory(directory: string): void {
  rmSync(directory, { recursive: true, force: true })
}

/** Runs a command; what it prints is passed on, and returned. */
async function run(
  [command, ...argv]: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; output: string }> {
  const child = spawn(command!, argv, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    process.stdout.write(text)
  })
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve(status ?? 1))
  })
  return { code, output }
}
