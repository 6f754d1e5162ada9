import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../../src/cmd/archiver.ts', import.meta.url))

/** A worker in a process of its own. */
export interface ChaosWorker {
  readonly number: number
  readonly child: ChildProcess
  /** It has told that it archives; before that, a start that fails is no fault of it. */
  started: boolean
  /** It was told to end, or to die by itself at a fault point. */
  mayEnd: boolean
  frozen: boolean
  readonly ended: Promise<void>
}

export interface WorkersOptions {
  readonly argv: readonly string[]
  readonly logDir: string
  /** How long a dead worker is missed before the next one starts, in ms. */
  readonly restartMs: number
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
  /** Ends that nobody asked for: each is a bug. */
  readonly unexpectedEnds: string[] = []
  /** Starts that failed because a server was away. */
  failedStarts = 0
  lastFailedStart = ''
  starts = 0
  diedAtFaultPoint = 0

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

  /** Starts one more that kills itself at a fault point. */
  startDoomed(fault: string): void {
    this.#start(fault)
    // It takes the place of the oldest: a fault point that it never comes to leaves it alive.
    if (this.live.length > this.#wanted) this.terminate(this.live[0]!)
  }

  terminate(worker: ChaosWorker): void {
    worker.mayEnd = true
    this.#thaw(worker)
    worker.child.kill('SIGTERM')
    this.#replaceLater()
  }

  kill(worker: ChaosWorker): void {
    worker.mayEnd = true
    worker.child.kill('SIGKILL')
    this.#replaceLater()
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

  #start(fault?: string): void {
    this.starts++
    const number = ++this.#number
    const child = spawn(process.execPath, ['--import', 'tsx', program, ...this.#options.argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(this.#options.uid === undefined ? {} : { uid: this.#options.uid, gid: this.#options.uid }),
      env: { ...process.env, ...(fault === undefined ? {} : { ARCHIVER_FAULT: fault }) },
    })
    const log = createWriteStream(join(this.#options.logDir, `worker-${String(number).padStart(4, '0')}.log`))
    let tail = ''
    const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
    const worker: ChaosWorker = { number, child, started: false, mayEnd: false, frozen: false, ended }
    const onOutput = (text: string) => {
      tail = (tail + text).slice(-2000)
      if (!worker.started && text.includes('archiving ')) worker.started = true
      log.write(text)
    }
    child.stdout.setEncoding('utf8').on('data', onOutput)
    child.stderr.setEncoding('utf8').on('data', onOutput)
    child.on('close', (code, signal) => {
      log.end(`\nended: ${code ?? signal}\n`)
      this.#workers.delete(worker)
      if (signal === 'SIGKILL' && fault !== undefined && !worker.mayEnd) this.diedAtFaultPoint++
      else if (!worker.mayEnd && !worker.started) {
        this.failedStarts++
        this.lastFailedStart = tail
      } else if (!worker.mayEnd) this.unexpectedEnds.push(`worker ${number} ended with ${code ?? signal}: ${tail}`)
      else if (signal !== 'SIGKILL' && worker.started && code !== 143 && code !== 0)
        this.unexpectedEnds.push(`worker ${number}, told to end, ended with ${code ?? signal}: ${tail}`)
      if (!worker.mayEnd) this.#replaceLater()
    })
    this.#workers.add(worker)
  }

  /** Ends all with SIGTERM; those that have not ended in time are killed and counted as a bug. */
  async stop(deadlineMs: number): Promise<void> {
    this.#supervising = false
    const all = [...this.#workers]
    for (const worker of all) this.terminate(worker)
    const timer = setTimeout(() => {
      for (const worker of this.#workers) {
        this.unexpectedEnds.push(`worker ${worker.number} did not end within ${deadlineMs / 1000} s of SIGTERM`)
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
