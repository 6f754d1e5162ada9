import { availableParallelism } from 'node:os'
import type { ChildRun } from './child.ts'
import type { Metered, OtherLoad } from './meter.ts'
import { medianOf, perMillion, ratio } from './statistics.ts'

/**
 * One measured run. Times in seconds, CPU in CPU seconds, sizes in bytes; undefined is what could
 * not be measured.
 */
export interface Run {
  readonly records: number
  /** From the start of the process to its end. */
  readonly seconds: number
  /**
   * Of these, until the process began with its work: loading the program, connecting, joining the
   * group.
   */
  readonly startupSeconds: number
  readonly cpu: number
  readonly startupCpu: number
  readonly engineCpu: number | undefined
  readonly brokerCpu: number | undefined
  readonly peakBytes: number
  /** Written: the archive's files, or the primary shards of the indices. */
  readonly fileBytes: number | undefined
  readonly indexBytes: number | undefined
  readonly loopBusy: number | undefined
  readonly otherLoad: OtherLoad
}

export function runOf(
  child: ChildRun,
  metered: Metered,
  made: { readonly records: number; readonly fileBytes?: number; readonly indexBytes?: number },
): Run {
  return {
    records: made.records,
    seconds: child.seconds,
    startupSeconds: child.startup?.seconds ?? 0,
    cpu: child.usage.cpuSeconds,
    startupCpu: child.startup?.cpuSeconds ?? 0,
    engineCpu: metered.engineCpu,
    brokerCpu: metered.brokerCpu,
    peakBytes: child.usage.peakBytes,
    fileBytes: made.fileBytes,
    indexBytes: made.indexBytes,
    loopBusy: child.usage.loopBusy,
    otherLoad: metered.otherLoad,
  }
}

/** The medians of the runs of one contender; CPU per million records. */
export interface Summary {
  readonly name: string
  readonly runs: readonly Run[]
  readonly records: number
  readonly seconds: number
  /** Without the start-up. */
  readonly workSeconds: number
  readonly recordsPerSecond: number
  readonly cpu: number
  readonly workCpu: number
  readonly engineCpu: number | undefined
  readonly brokerCpu: number | undefined
  /**
   * How many times longer it took than the cores need for the CPU time of all three together: 1 is
   * a machine that is never idle.
   */
  readonly overFloor: number | undefined
  readonly peakBytes: number
  readonly fileBytes: number | undefined
  readonly indexBytes: number | undefined
  readonly loopBusy: number | undefined
  readonly otherCores: number
  /** Speed compared with the rival's, which has no start-up counted: 1.2 is a fifth faster. */
  readonly ratio: number | undefined
  /** The same without our start-up. */
  readonly workRatio: number | undefined
}

const cores = availableParallelism()

/** @throws Error if there is no run. */
export function summarize(name: string, runs: readonly Run[], rival?: Summary): Summary {
  const middle = (figure: (run: Run) => number) => {
    const value = medianOf(runs, figure)
    if (value === undefined) throw new Error(`${name}: no run`)
    return value
  }
  const seconds = middle((run) => run.seconds)
  const workSeconds = middle((run) => run.seconds - run.startupSeconds)
  const rate = middle((run) => run.records / run.seconds)
  const rivalRate = rival === undefined ? undefined : rival.records / rival.workSeconds
  return {
    name,
    runs,
    records: middle((run) => run.records),
    seconds,
    workSeconds,
    recordsPerSecond: rate,
    cpu: middle((run) => perMillion(run.cpu, run.records)!),
    workCpu: middle((run) => perMillion(run.cpu - run.startupCpu, run.records)!),
    engineCpu: medianOf(runs, (run) => perMillion(run.engineCpu, run.records)),
    brokerCpu: medianOf(runs, (run) => perMillion(run.brokerCpu, run.records)),
    overFloor: medianOf(
      runs,
      ({ seconds, startupSeconds, cpu, startupCpu, engineCpu, brokerCpu }) => {
        if (brokerCpu === undefined) return undefined
        return ratio(
          seconds - startupSeconds,
          (cpu - startupCpu + (engineCpu ?? 0) + brokerCpu) / cores,
        )
      },
    ),
    peakBytes: middle((run) => run.peakBytes),
    fileBytes: medianOf(runs, (run) => run.fileBytes),
    indexBytes: medianOf(runs, (run) => run.indexBytes),
    loopBusy: medianOf(runs, (run) => run.loopBusy),
    otherCores: middle((run) => run.otherLoad.cores + run.otherLoad.stolen),
    ratio: ratio(rate, rivalRate),
    workRatio: ratio(
      middle((run) => run.records / (run.seconds - run.startupSeconds)),
      rivalRate,
    ),
  }
}

/** What was aimed at, and what came of it. */
export interface Goal {
  readonly text: string
  readonly value: number | undefined
  readonly limit: number
  readonly kind: 'most' | 'least'
}

/** How much better than its limit a figure is: 1 and above is met. */
export function goalRatio({ value, limit, kind }: Goal): number | undefined {
  if (kind === 'most' && limit === 0 && value === 0) return 1
  return kind === 'most' ? ratio(limit, value) : ratio(value, limit)
}

export const atMost = (limit: number, text: string, value: number | undefined): Goal => ({
  text,
  value,
  limit,
  kind: 'most',
})

export const atLeast = (limit: number, text: string, value: number | undefined): Goal => ({
  text,
  value,
  limit,
  kind: 'least',
})

/** What does not go into the summaries; undefined shows as a dash. */
export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | undefined)[])[]
}

/**
 * What a case found: the contenders' summaries, ours first, with goals and anything else worth a
 * line.
 */
export interface Result {
  readonly title: string
  readonly summaries: readonly Summary[]
  readonly goals: readonly Goal[]
  readonly notes: readonly string[]
  readonly tables?: readonly Table[]
}
