import { messageOf } from '../../src/runtime/errors.ts'
import type { Stack } from '../../stack/stack-control.ts'
import type { ChaosBucket } from './bucket.ts'
import type { ClockFile } from './clock-file.ts'
import type { Disk } from './disk.ts'
import type { Fault } from './plan.ts'
import type { Poison } from './poison.ts'
import type { BreakableProxy, ProxyMode } from './proxy.ts'
import type { ChaosProgress } from './run.ts'
import { askMysql } from './stores.ts'
import type { ChaosWorker, Workers } from './workers.ts'

/** What a run can break. */
export interface BreakableParts {
  readonly stack: Stack
  readonly proxy: BreakableProxy
  readonly bucket: ChaosBucket | undefined
  readonly disk: Disk
  readonly workers: Workers
  readonly poison: Poison
  readonly clock: ClockFile
  readonly problems: string[]
  readonly progress: ChaosProgress
}

/**
 * Carries the plan out. Faults of one server, of the disk or of the clock come one after another;
 * all others come as the plan has them.
 */
export class Breaker {
  readonly #parts: BreakableParts
  readonly #lanes = new Map<string, Promise<void>>()
  readonly byAction = new Map<string, number>()
  executed = 0

  constructor(parts: BreakableParts) {
    this.#parts = parts
  }

  async run(
    plan: readonly Fault[],
    seconds: number,
    describe: () => string,
    status: (line: string) => void,
  ): Promise<void> {
    const started = performance.now()
    const elapsed = () => performance.now() - started
    const timer = setInterval(
      () => status(`${Math.round(elapsed() / 1000)} of ${seconds} s: ${describe()}`),
      1000,
    )
    try {
      for (const fault of plan) {
        await pause(fault.atMs - elapsed())
        this.#begin(fault, elapsed())
      }
      await pause(seconds * 1000 - elapsed())
      await Promise.all(this.#lanes.values())
    } finally {
      clearInterval(timer)
    }
  }

  #begin(fault: Fault, elapsed: number): void {
    const lane = fault.action.startsWith('broker')
      ? 'broker'
      : /^engine-(kill|restart|freeze)/.test(fault.action)
        ? 'engine'
        : fault.action.startsWith('engine')
          ? 'proxy'
          : fault.kind === 'store'
            ? /-(kill|restart|freeze|ends-uploads)$/.exec(fault.action) === null
              ? 'store-requests'
              : 'store'
            : fault.kind === 'disk' || fault.kind === 'mysql' || fault.kind === 'clock'
              ? fault.kind
              : String(fault.atMs)
    const next = (this.#lanes.get(lane) ?? Promise.resolve()).then(async () => {
      const details = Object.entries(fault).flatMap(([key, value]) =>
        /^(atMs|kind|action)$/.test(key) ? [] : [`${key} ${value}`],
      )
      this.#parts.progress.say(
        `${(elapsed / 1000).toFixed(1)} s ${fault.action} ${details.join(', ')}`,
      )
      try {
        if (await this.#carryOut(fault)) {
          this.executed++
          this.byAction.set(fault.action, (this.byAction.get(fault.action) ?? 0) + 1)
        }
      } catch (error) {
        this.#parts.problems.push(`${fault.action} could not be carried out: ${messageOf(error)}`)
      }
    })
    this.#lanes.set(lane, next)
  }

  /** Returns false if there is nothing to break just now. */
  async #carryOut(fault: Fault): Promise<boolean> {
    const { workers, stack, proxy, disk, poison, clock } = this.#parts
    const chosen = (index: number): ChaosWorker | undefined => {
      const awake = workers.live.filter(({ frozen }) => !frozen)
      return awake[index % Math.max(1, awake.length)]
    }
    switch (fault.action) {
      case 'kill':
      case 'term': {
        const worker = chosen(fault.worker)
        if (worker === undefined) return false
        if (fault.action === 'kill') workers.kill(worker)
        else workers.terminate(worker)
        return true
      }
      case 'freeze': {
        const worker = chosen(fault.worker)
        if (worker === undefined) return false
        await workers.freeze(worker, fault.ms)
        return true
      }
      case 'crash':
        workers.startDoomed(fault.point)
        return true
      case 'scale':
        workers.scale(fault.workers)
        return true
      case 'bomb-kept':
        return await sent(poison.keptBomb(fault.partition))
      case 'bomb-oversized':
        return await sent(poison.oversizedBomb(fault.partition))
      case 'document-refused':
        return await sent(poison.refusedDocument(fault.partition))
      case 'log-full':
        workers.startMuted()
        return true
      case 'log-closed': {
        const worker = chosen(fault.worker)
        if (worker === undefined) return false
        workers.closeLog(worker)
        return true
      }
      case 'wrapper-kill':
        return await workers.killWrapper(fault.ms)
      case 'clock-back':
      case 'clock-ahead':
        await clock.shift(fault.action === 'clock-back' ? -hourMs : hourMs)
        await pause(fault.ms)
        await clock.shift(0)
        return true
      case 'broker-freeze':
        return await freeze(stack.kafka, fault.ms)
      case 'engine-freeze':
        return await freeze(stack.elasticsearch, fault.ms)
      case 'mysql-freeze':
        return await freeze(stack.mariadb, fault.ms)
      case 'mysql-disconnect':
        await disconnectAll(stack)
        return true
      case 'mysql-kill':
      case 'mysql-restart':
        if (fault.action === 'mysql-kill') await stack.mariadb.kill()
        else await stack.stop('mariadb')
        await pause(fault.ms)
        await stack.start('mariadb')
        return true
      case 'broker-kill':
      case 'engine-kill':
      case 'broker-restart':
      case 'broker-away':
      case 'engine-restart': {
        const part = fault.action.startsWith('broker') ? 'kafka' : 'elasticsearch'
        if (fault.action.endsWith('kill')) await stack[part].kill()
        else await stack.stop(part)
        await pause(fault.ms)
        await stack.start(part)
        return true
      }
      case 'disk-full':
        if (!disk.isMounted) return false
        await disk.fill(16 * 1024)
        await pause(fault.ms)
        await disk.empty()
        return true
      case 'disk-read-only':
        if (!disk.isMounted) return false
        await disk.makeReadOnly()
        await pause(fault.ms)
        await disk.makeWritable()
        return true
      case 'disk-forbidden':
        await disk.forbid()
        await pause(fault.ms)
        await disk.permit()
        return true
      case 'store-503':
      case 'store-409':
      case 'store-lost-answers':
      case 'store-resets':
      case 'store-cut-bodies':
      case 'store-error-inside':
      case 'store-late':
      case 'store-slow':
      case 'store-forgets-completed':
      case 'store-ends-uploads':
      case 'store-kill':
      case 'store-restart':
      case 'store-freeze':
        return (await this.#parts.bucket?.suffer(fault.action, fault.ms)) ?? false
      default:
        proxy.mode = proxyModes[fault.action]
        await pause(fault.ms)
        proxy.heal()
        return true
    }
  }
}

const hourMs = 3_600_000

/** False when the broker is away: what it took all the same is counted like any other record. */
async function sent(sending: Promise<void>): Promise<boolean> {
  try {
    await sending
    return true
  } catch {
    return false
  }
}

const proxyModes: Readonly<
  Record<
    'engine-429' | 'engine-503' | 'engine-cut' | 'engine-mute' | 'engine-stall' | 'engine-html',
    ProxyMode
  >
> = {
  'engine-429': { status: 429 },
  'engine-503': { status: 503 },
  'engine-cut': 'cut',
  'engine-mute': 'mute',
  'engine-stall': 'stall',
  'engine-html': 'html',
}

async function freeze(part: Stack['kafka'], ms: number): Promise<boolean> {
  if (!part.signal('SIGSTOP')) return false
  await pause(ms)
  part.signal('SIGCONT')
  return true
}

/** Every connection of the workers is cut by the server, whatever it is at. */
async function disconnectAll({ mysqlRootUrl }: Stack): Promise<void> {
  const list = "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = 'archiver'"
  for (const { ID } of await askMysql<readonly { ID: number }[]>(mysqlRootUrl, list)) {
    await askMysql(mysqlRootUrl, `KILL CONNECTION ${ID}`).catch(() => {}) // Gone by itself.
  }
}

/** Waits this time, in ms. */
export async function pause(ms: number): Promise<void> {
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
}
