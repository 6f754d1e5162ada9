import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { closeSync, createWriteStream, openSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ArchiverError } from '../../src/runtime/errors.ts'

const program = fileURLToPath(new URL('../../src/cmd/archiver.ts', import.meta.url))
const clockModule = new URL('clock.mjs', import.meta.url).href
/**
 * A worker whose log cannot be read counts as started once it has lived this long: a start that
 * fails takes less.
 */
const mutedStartMs = 60_000
/** A worker that cannot start at all fails this often: no server explains it. */
const maxFirstStarts = 3
const firstStartPollMs = 100
/** A worker that has to end does so within this, however long a broker is away meanwhile. */
export const endDeadlineMs = 120_000

/** A worker in a process of its own. */
export interface ChaosWorker {
  readonly number: number
  readonly child: ChildProcess
  /** It has logged that it archives; before that, a start that fails is not its fault. */
  started: boolean
  /** Its id as a static member of the group. */
  readonly instanceId: string | undefined
  /** It kills itself when it comes to a fault point. */
  readonly isDoomed: boolean
  /** It has to end, or to die by itself at a fault point. */
  mayEnd: boolean
  frozen: boolean
  /** It runs below a shell, which is the child: signals reach only that. */
  readonly isWrapped: boolean
  readonly ended: Promise<void>
  /** The end of what it printed. */
  output: string
}

export interface WorkersOptions {
  readonly argv: readonly string[]
  /** How many of the workers at a time are static members of the group. */
  readonly staticMembers: number
  readonly logDir: string
  /** How long a dead worker is missed before the next one starts, in ms. */
  readonly restartMs: number
  /** The clock that they see: `clock-file.ts`. */
  readonly clockFile: string
  /** The user that they run as; root ignores permissions. */
  readonly uid?: number
}

/** The workers of a run: keeps as many alive as are wanted, as an orchestrator does. */
export class Workers {
  readonly #options: WorkersOptions
  readonly #workers = new Set<ChaosWorker>()
  #number = 0
  #wanted = 0
  #supervising = true
  /** Unrequested ends: each is a bug. */
  readonly unexpectedEnds: string[] = []
  /** Starts that failed because a server was away. */
  failedStarts = 0
  lastFailedStart = ''
  starts = 0
  diedAtFaultPoint = 0
  /** Workers that went on although their log could not be written. */
  mutedSurvived = 0

  constructor(options: WorkersOptions) {
    this.#options = options
  }

  get live(): readonly ChaosWorker[] {
    return [...this.#workers].filter(({ mayEnd }) => !mayEnd)
  }

  get wanted(): number {
    return this.#wanted
  }

  /** Changes how many are wanted; superfluous ones are stopped cleanly. */
  scale(count: number): void {
    this.#wanted = count
    for (const worker of this.live.slice(count)) this.terminate(worker)
    while (this.live.length < count) this.#start()
  }

  /**
   * Starts the first workers, and waits until one of them archives.
   * @throws ArchiverError `INTERNAL` with the words of a worker, if none archives in time or each
   *   has failed several times
   */
  async begin(count: number, deadlineMs: number): Promise<void> {
    this.scale(count)
    const deadline = performance.now() + deadlineMs
    while (![...this.#workers].some(({ started }) => started)) {
      const isLate = performance.now() >= deadline
      if (isLate || this.failedStarts >= maxFirstStarts * count) {
        const words = this.lastFailedStart || this.live.map(({ output }) => output).join('')
        throw new ArchiverError(
          'INTERNAL',
          `no worker can start (${isLate ? `none archives after ${deadlineMs / 1000} s` : `${this.failedStarts} have ended`}); one says: ${words.trim() || 'nothing'}`,
        )
      }
      await new Promise((resolve) => setTimeout(resolve, firstStartPollMs))
    }
  }

  /** Starts one more that kills itself at a fault point. */
  startDoomed(fault: string): void {
    this.#start(fault)
    // It takes the place of the oldest: a fault point that it never comes to leaves it alive.
    if (this.live.length > this.#wanted) this.terminate(this.live[0]!)
  }

  /**
   * Ends those that would still kill themselves at a fault point, and waits for that. What they
   * leave unfinished is for others to find, so this is done while records come.
   */
  async disarm(): Promise<void> {
    const doomed = [...this.#workers].filter(({ isDoomed }) => isDoomed)
    for (const worker of doomed) this.terminate(worker)
    await Promise.all(doomed.map(({ ended }) => ended))
  }

  terminate(worker: ChaosWorker): void {
    worker.mayEnd = true
    this.#thaw(worker)
    // A shell that is killed is a worker's sign to end, too.
    if (worker.isWrapped) void this.#killShell(worker)
    else worker.child.kill('SIGTERM')
    this.#replaceLater()
  }

  kill(worker: ChaosWorker): void {
    worker.mayEnd = true
    if (worker.isWrapped) void this.#killShell(worker)
    else worker.child.kill('SIGKILL')
    this.#replaceLater()
  }

  /** Kills the shell above a worker. A worker that has not begun would not miss it. */
  async #killShell(worker: ChaosWorker): Promise<void> {
    await this.#hasBegun(worker)
    worker.child.kill('SIGKILL')
  }

  /** Settles once the worker has looked who its parents are, or has ended. */
  async #hasBegun(worker: ChaosWorker): Promise<void> {
    while (!worker.started && this.#workers.has(worker))
      await new Promise((resolve) => setTimeout(resolve, 100))
  }

  async freeze(worker: ChaosWorker, ms: number): Promise<void> {
    worker.frozen = true
    worker.child.kill('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, ms))
    this.#thaw(worker)
  }

  #thaw(worker: ChaosWorker): void {
    if (worker.frozen) worker.child.kill('SIGCONT')
    worker.frozen = false
  }

  #replaceLater(): void {
    setTimeout(() => {
      if (this.#supervising && this.live.length < this.#wanted) this.#start()
    }, this.#options.restartMs)
  }

  /** Starts one more whose standard output and error are a full disk. */
  startMuted(): void {
    const full = openSync('/dev/full', 'w')
    const worker = this.#start(undefined, { stdio: ['ignore', full, full] })
    closeSync(full)
    setTimeout(() => {
      worker.started = true
      if (this.#workers.has(worker)) this.mutedSurvived++
    }, mutedStartMs).unref()
    if (this.live.length > this.#wanted) this.terminate(this.live[0]!)
  }

  /** The reader of a worker's output goes away. */
  closeLog(worker: ChaosWorker): void {
    worker.child.stdout?.destroy()
    worker.child.stderr?.destroy()
  }

  /**
   * Starts one below a shell, kills the shell `ms` after the worker has begun, and sees that it
   * ends by itself. Returns false if it ended before: something else broke it.
   */
  async killWrapper(ms: number): Promise<boolean> {
    const worker = this.#start(undefined, {}, ['sh', '-c', '"$@"; true', 'sh'])
    if (this.live.length > this.#wanted) this.terminate(this.live[0]!)
    await this.#hasBegun(worker)
    await new Promise((resolve) => setTimeout(resolve, ms))
    if (!this.#workers.has(worker) || worker.mayEnd) return false
    worker.mayEnd = true
    worker.child.kill('SIGKILL')
    this.#replaceLater()
    // Its output closes when the last process that holds it ends.
    const timer = setTimeout(() => {
      this.unexpectedEnds.push(
        `worker ${worker.number} lives on ${endDeadlineMs / 1000} s after its wrapper was killed`,
      )
    }, endDeadlineMs)
    await worker.ended
    clearTimeout(timer)
    return true
  }

  /** An id that no process has any more: two with one id end each other. */
  #freeInstanceId(): string | undefined {
    const taken = new Set([...this.#workers].map(({ instanceId }) => instanceId))
    const ids = Array.from({ length: this.#options.staticMembers }, (_, i) => `chaos-${i}`)
    return ids.find((id) => !taken.has(id))
  }

  #start(fault?: string, how: SpawnOptions = {}, wrapper: readonly string[] = []): ChaosWorker {
    this.starts++
    const number = ++this.#number
    const instanceId = this.#freeInstanceId()
    const words = [
      ...wrapper,
      ...[process.execPath, '--import', clockModule, program],
      ...this.#options.argv,
      ...(instanceId === undefined ? [] : ['--group-instance-id', instanceId]),
    ]
    const child = spawn(words[0]!, words.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(this.#options.uid === undefined
        ? {}
        : { uid: this.#options.uid, gid: this.#options.uid }),
      env: {
        ...process.env,
        CHAOS_CLOCK: this.#options.clockFile,
        ...(fault === undefined ? {} : { ARCHIVER_FAULT: fault }),
      },
      ...how,
    })
    const log = createWriteStream(
      join(this.#options.logDir, `worker-${String(number).padStart(4, '0')}.log`),
    )
    const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
    const isWrapped = wrapper.length > 0
    const worker: ChaosWorker = {
      number,
      child,
      started: false,
      instanceId,
      mayEnd: false,
      frozen: false,
      isWrapped,
      isDoomed: fault !== undefined,
      ended,
      output: '',
    }
    const onOutput = (text: string) => {
      worker.output = (worker.output + text).slice(-2000)
      if (!worker.started && text.includes('archiving ')) worker.started = true
      log.write(text)
    }
    child.stdout?.setEncoding('utf8').on('data', onOutput)
    child.stderr?.setEncoding('utf8').on('data', onOutput)
    child.on('close', (code, signal) => {
      log.end(`\nended: ${code ?? signal}\n`)
      this.#workers.delete(worker)
      if (signal === 'SIGKILL' && fault !== undefined && !worker.mayEnd) this.diedAtFaultPoint++
      else if (!worker.mayEnd && !worker.started) {
        this.failedStarts++
        this.lastFailedStart = worker.output
      } else if (!worker.mayEnd)
        this.unexpectedEnds.push(`worker ${number} ended with ${code ?? signal}: ${worker.output}`)
      else if (signal !== 'SIGKILL' && worker.started && code !== 143 && code !== 0)
        this.unexpectedEnds.push(
          `worker ${number}, told to end, ended with ${code ?? signal}: ${worker.output}`,
        )
      if (!worker.mayEnd) this.#replaceLater()
    })
    this.#workers.add(worker)
    return worker
  }

  /** Ends all with SIGTERM; those that have not ended in time are killed and counted as a bug. */
  async stop(deadlineMs: number): Promise<void> {
    this.#supervising = false
    const all = [...this.#workers]
    for (const worker of all) this.terminate(worker)
    const timer = setTimeout(() => {
      for (const worker of this.#workers) {
        this.unexpectedEnds.push(
          `worker ${worker.number} did not end within ${deadlineMs / 1000} s of SIGTERM`,
        )
        worker.child.kill('SIGKILL')
      }
    }, deadlineMs)
    await Promise.all(all.map(({ ended }) => ended))
    clearTimeout(timer)
  }

  /** Ends all at once; for when the run itself fails. */
  async abandon(): Promise<void> {
    this.#supervising = false
    const all = [...this.#workers]
    for (const worker of all) {
      worker.mayEnd = true
      worker.child.kill('SIGKILL')
    }
    await Promise.all(all.map(({ ended }) => ended))
  }
}
