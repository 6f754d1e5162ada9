import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, systemCode } from '../src/runtime/errors.ts'
import type { Progress } from './fetch.ts'
import { readCommandLine } from './process-table.ts'
import type { PartName } from './settings.ts'
import { otherWay, StackError } from './stack-error.ts'

export interface Port {
  readonly port: number
  /** The flag that moves it. */
  readonly flag: string
}

/** How a part is started; made once its downloads and configuration are there. */
export interface Command {
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly uid?: number
  readonly gid?: number
  /** The program starts the server, writes its pid file and ends. */
  readonly daemonizes: boolean
}

/** What differs between the servers. */
export interface PartDefinition {
  readonly name: PartName
  /** As a person calls it, with its version. */
  readonly title: string
  /** Its address, as a client writes it. */
  readonly address: string
  readonly ports: readonly Port[]
  /** Bytes that it takes in all, heap and beside. */
  readonly memory: number
  /** A text that only the command line of this part of this stack contains. */
  readonly marker: string
  readonly pidFile: string
  readonly logFile: string
  /** What the program itself prints; of interest if it fails before it has a log. */
  readonly outputFile: string
  readonly prepare: (progress: Progress) => Promise<Command>
  /** Rejects while the server does not answer a request of its own protocol. */
  readonly ask: (signal: AbortSignal) => Promise<void>
}

export interface PartStatus {
  readonly name: PartName
  readonly title: string
  readonly address: string
  readonly logFile: string
  /** Undefined if it does not run. */
  readonly pid: number | undefined
  readonly answers: boolean
}

const startDeadlineMs = 240_000
const stopDeadlineMs = 30_000
const releaseDeadlineMs = 5000

/** One server of the stack: a process of its own that outlives the command that started it. */
export class Part {
  readonly definition: PartDefinition

  constructor(definition: PartDefinition) {
    this.definition = definition
  }

  /** The process that the pid file names, if it lives and is this part of this stack. */
  get pid(): number | undefined {
    const { pidFile, marker } = this.definition
    if (!existsSync(pidFile)) return undefined
    const pid = Number(readFileSync(pidFile, 'utf8'))
    return Number.isSafeInteger(pid) && pid > 1 && readCommandLine(pid).includes(marker)
      ? pid
      : undefined
  }

  async status(): Promise<PartStatus> {
    const { name, title, address, logFile } = this.definition
    const pid = this.pid
    return {
      name,
      title,
      address,
      logFile,
      pid,
      answers: pid !== undefined && (await this.#answers()),
    }
  }

  /**
   * Starts the part unless it runs, and waits until it answers.
   *
   * @returns whether it had to be started.
   * @throws StackError for a port taken by something else, or a start that fails.
   */
  async start(progress: Progress): Promise<boolean> {
    const { title } = this.definition
    if (this.pid !== undefined) {
      await this.#untilItAnswers(progress, () => undefined)
      return false
    }
    await this.checkPorts()
    const command = await this.definition.prepare(progress)
    const started = Date.now()
    const failure = this.#launch(command)
    await this.#untilItAnswers(progress, failure)
    progress.say(`${title} is up after ${((Date.now() - started) / 1000).toFixed(1)} s`)
    return true
  }

  /** @throws StackError that names the port, the option that moves it and the other way. */
  async checkPorts(): Promise<void> {
    if (existsSync(this.definition.pidFile)) await this.#portsAreReleased()
    for (const port of this.definition.ports) {
      if (await portIsTaken(port.port)) throw new StackError(portTaken(this.definition.title, port))
    }
  }

  /** @returns a function that says why the start failed, or undefined while there is hope. */
  #launch(command: Command): () => string | undefined {
    const { pidFile, outputFile } = this.definition
    rmSync(pidFile, { force: true })
    const output = openSync(outputFile, 'w')
    let failure: string | undefined
    try {
      const child = spawn(command.program, command.args, {
        cwd: command.cwd,
        env: command.env,
        ...(command.uid === undefined ? {} : { uid: command.uid }),
        ...(command.gid === undefined ? {} : { gid: command.gid }),
        detached: true,
        stdio: ['ignore', output, output],
      })
      child.on('error', (error) => {
        failure = messageOf(error)
      })
      child.on('exit', (code, signal) => {
        if (!(command.daemonizes && code === 0)) failure = signal ?? `exit code ${code}`
      })
      child.unref()
      if (!command.daemonizes && child.pid !== undefined) writeFileSync(pidFile, String(child.pid))
    } finally {
      closeSync(output)
    }
    return () => failure
  }

  async #untilItAnswers(progress: Progress, failure: () => string | undefined): Promise<void> {
    const { title, logFile, outputFile } = this.definition
    const started = Date.now()
    while (this.pid === undefined || !(await this.#answers())) {
      const reason = failure()
      if (reason !== undefined) {
        const line = reasonIn([outputFile, logFile]) ?? reason
        throw new StackError(
          `${title} did not start: ${line} (log: ${logFile}). Mend that and try again, ${otherWay}`,
        )
      }
      const elapsed = Date.now() - started
      if (elapsed > startDeadlineMs) {
        throw new StackError(
          `${title} runs but does not answer on ${this.definition.address} (log: ${logFile}). Try "npm run stack -- down", then "up" again, ${otherWay}`,
        )
      }
      progress.update(`Waiting for ${title}: ${Math.round(elapsed / 1000)} s`)
      await sleep(200)
    }
  }

  async #answers(): Promise<boolean> {
    try {
      await this.definition.ask(AbortSignal.timeout(2000))
      return true
    } catch {
      // Why it does not answer is in its log; here only that it does not is of interest.
      return false
    }
  }

  /**
   * Asks the part to stop, waits, and kills it if that is not enough; a frozen one is thawed
   * first.
   *
   * @returns whether there was something to stop.
   */
  async stop(progress: Progress): Promise<boolean> {
    if (!this.signal('SIGTERM')) return false
    this.signal('SIGCONT')
    progress.update(`Stopping ${this.definition.title}`)
    if (!(await this.#isGone(stopDeadlineMs))) await this.kill()
    rmSync(this.definition.pidFile, { force: true })
    return true
  }

  /** Kills the part with SIGKILL, as a crash would, and waits until it is gone. */
  async kill(): Promise<boolean> {
    if (!this.signal('SIGKILL')) return false
    if (!(await this.#isGone(stopDeadlineMs)))
      throw new StackError(`${this.definition.title} survives SIGKILL`)
    return true
  }

  /** Sends a signal, SIGSTOP for example; returns false if the part does not run. */
  signal(signal: NodeJS.Signals): boolean {
    const pid = this.pid
    if (pid === undefined) return false
    try {
      process.kill(pid, signal)
      return true
    } catch (error) {
      if (systemCode(error) === 'ESRCH') return false
      throw new StackError(
        `${this.definition.title} (pid ${pid}) cannot be sent ${signal}: it runs as another user`,
        error,
      )
    }
  }

  async #isGone(deadlineMs: number): Promise<boolean> {
    const deadline = Date.now() + deadlineMs
    while (this.pid !== undefined) {
      if (Date.now() > deadline) return false
      await sleep(50)
    }
    await this.#portsAreReleased()
    return true
  }

  /**
   * A killed process loses its command line first and its sockets a moment later; somebody else's
   * we do not wait for.
   */
  async #portsAreReleased(): Promise<void> {
    const deadline = Date.now() + releaseDeadlineMs
    for (const { port } of this.definition.ports) {
      while ((await portIsTaken(port)) && Date.now() < deadline) await sleep(50)
    }
  }
}

/** Whether something listens on the port, on the loopback address or on all. */
export async function portIsTaken(port: number): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => {
      if (systemCode(error) === 'EADDRINUSE') resolve(true)
      else reject(new StackError(`Port ${port} cannot be used: ${messageOf(error)}`, error))
    })
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(false)))
  })
}

export function portTaken(title: string, { port, flag }: Port): string {
  return `Port ${port}, which ${title} needs, is taken by another program. Stop that, choose another with ${flag}, ${otherWay}`
}

/** Lines that announce an error without saying which. */
const announcements =
  /Could not create the Java Virtual Machine|A fatal exception has occurred|Exiting Kafka due to|fatal exception while booting|^\s*(at |\.\.\. \d+ more)/

/**
 * The line of a log that says what went wrong: the last error, which in a stack trace is the root
 * cause.
 */
export function errorLine(log: string): string | undefined {
  return log
    .split('\n')
    .findLast(
      (line) => /\b(ERROR|FATAL|Error:)|Exception\b/.test(line) && !announcements.test(line),
    )
    ?.trim()
}

/**
 * What the first of some files says about a failure; if none does, the last line in any of them.
 */
function reasonIn(paths: readonly string[]): string | undefined {
  const logs = paths
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, 'utf8').trim())
  const error = logs.map(errorLine).find((line) => line !== undefined)
  return (
    error ??
    logs
      .find((log) => log !== '')
      ?.split('\n')
      .at(-1)
  )
}
