import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { allProcesses, machineTimes, type ProcessTimes, treeOf } from './proc.ts'

/** What the machine did while something was measured. CPU in seconds. */
export interface Metered {
  readonly brokerCpu: number | undefined
  readonly engineCpu: number | undefined
  readonly otherLoad: OtherLoad
}

/** Work of processes that have nothing to do with the measurement, in cores. */
export interface OtherLoad {
  readonly cores: number
  /** The share that the host took away from this machine, in cores. */
  readonly stolen: number
  /** The busiest of them, `java 0.41` for example. */
  readonly names: readonly string[]
}

const namedAbove = 0.03
const namedMost = 3

/**
 * Begins to measure; the returned function ends it. `pids` are those of the servers: their CPU
 * time is counted separately.
 */
export function meter(pids: {
  readonly kafka: number | undefined
  readonly elasticsearch: number | undefined
  readonly store: number | undefined
}) {
  const before = { at: performance.now(), processes: allProcesses(), machine: machineTimes() }

  /** @param measuredCpu what the measured process used. */
  return (measuredCpu: number): Metered => {
    const seconds = (performance.now() - before.at) / 1000
    const processes = allProcesses()
    const machine = machineTimes()
    const used = (pid: number | undefined) =>
      pid === undefined || !processes.has(pid)
        ? undefined
        : since(before.processes, pid, processes.get(pid)!)
    const brokerCpu = used(pids.kafka)
    const engineCpu = addKnown(used(pids.elasticsearch), used(pids.store))
    const ours = new Set([
      ...treeOf(process.pid, processes),
      pids.kafka,
      pids.elasticsearch,
      pids.store,
    ])
    const others = [...processes]
      .filter(([pid]) => !ours.has(pid))
      .map(([pid, times]) => ({
        name: times.name,
        cores: since(before.processes, pid, times) / seconds,
      }))
    const benchCpu = since(before.processes, process.pid, {
      ...processes.get(process.pid)!,
      ofEnded: 0,
    })
    const own = measuredCpu + benchCpu + (brokerCpu ?? 0) + (engineCpu ?? 0)
    return {
      brokerCpu,
      engineCpu,
      otherLoad: {
        cores: Math.max(0, (machine.busy - before.machine.busy - own) / seconds),
        stolen: (machine.stolen - before.machine.stolen) / seconds,
        names: busiest(others),
      },
    }
  }
}

/** The sum of what could be measured; undefined if nothing could. */
function addKnown(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : a + (b ?? 0)
}

function since(before: ReadonlyMap<number, ProcessTimes>, pid: number, now: ProcessTimes): number {
  return now.own - (before.get(pid)?.own ?? 0)
}

/** The names of the busiest processes, those of one name together. */
export function busiest(
  processes: readonly { readonly name: string; readonly cores: number }[],
): string[] {
  const byName = new Map<string, number>()
  for (const { name, cores } of processes) byName.set(name, (byName.get(name) ?? 0) + cores)
  return [...byName]
    .filter(([, cores]) => cores >= namedAbove)
    .sort(([, a], [, b]) => b - a)
    .slice(0, namedMost)
    .map(([name, cores]) => `${name} ${cores.toFixed(2)}`)
}

const quietShare = 0.05
const quietWindowMs = 500
const quietDeadlineMs = 20_000

/**
 * Waits until the servers have finished what the case before left them (merges, deletes), or gives
 * up after a while.
 */
export async function untilQuiet(pids: readonly (number | undefined)[]): Promise<void> {
  const deadline = performance.now() + quietDeadlineMs
  const cpu = () => {
    const processes = allProcesses()
    return pids.reduce<number>(
      (sum, pid) => sum + (pid === undefined ? 0 : (processes.get(pid)?.own ?? 0)),
      0,
    )
  }
  for (let quiet = 0; quiet < 2 && performance.now() < deadline; ) {
    const before = cpu()
    await sleep(quietWindowMs)
    const cores = ((cpu() - before) * 1000) / quietWindowMs
    quiet = cores < quietShare * availableParallelism() ? quiet + 1 : 0
  }
}
