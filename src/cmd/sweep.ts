import type { SweepOptions } from '../config/commands/sweep.ts'
import {
  planSweep,
  type SweepPlan,
  sweep as sweepUploads,
  type UploadingHome,
} from '../files/compact/sweep.ts'
import { listPartitions, requireArchive } from '../files/log/commit-log.ts'
import { DamagedPartitions } from '../files/read/damaged-partitions.ts'
import type { Home } from '../home/home.ts'
import { plural } from '../runtime/format.ts'
import { standardOutput } from '../runtime/standard-streams.ts'
import { openArchive } from './lib/archive-home.ts'
import { isConfirmed } from './lib/confirm.ts'
import { signalled, unlessStopped } from './lib/program.ts'

/** Ends the open uploads, and removes the objects, that dead workers left in a bucket. */
export async function sweep(options: SweepOptions): Promise<void> {
  await using home = await openArchive(options)
  const signal = signalled()
  await unlessStopped(requireArchive(home))
  if (!hasUploads(home)) {
    explainDirectory(home, options)
    return
  }
  const damaged = new DamagedPartitions()
  const before = Date.now() - options.olderThan!
  const plan = await planSweep(home, await unlessStopped(listPartitions(home)), damaged, before)
  if (!options.json)
    for (const line of describe(home.title, plan, before)) standardOutput.print(line)
  const ended = !options.dryRun && (await isWanted(options, plan, signal))
  if (ended) await sweepUploads(home, plan)
  if (options.json) {
    const { dead, probes, ...left } = plan
    const found = { dead: dead.length, probes: probes.length }
    standardOutput.printJson({ archive: home.title, ...found, ended, ...left })
  } else if (ended && plan.dead.length + plan.probes.length > 0) standardOutput.print('done')
  damaged.throwIfAny()
}

function hasUploads(home: Home): home is Home & UploadingHome {
  return 'openUploads' in home
}

function explainDirectory({ title }: Home, { json }: SweepOptions): void {
  if (json) standardOutput.printJson({ archive: title, dead: 0, probes: 0, ended: false })
  else
    standardOutput.print(
      `${title} is a directory and has no uploads. What dead workers staged in it goes when another worker takes their partitions over.`,
    )
}

async function isWanted(
  { yes, json }: SweepOptions,
  { dead, probes }: SweepPlan,
  signal: AbortSignal,
): Promise<boolean> {
  if (dead.length + probes.length === 0 || yes || json || !process.stdin.isTTY) return true
  if (await isConfirmed('end and remove these?', signal)) return true
  standardOutput.print('nothing was changed')
  return false
}

function describe(
  title: string,
  { dead, probes, young, needed, unknown, foreign }: SweepPlan,
  before: number,
): string[] {
  const date = `${new Date(before).toISOString().slice(0, 16)}Z`
  const left: readonly [number, string][] = [
    [young, `began since ${date}: a worker may still need it`],
    [needed, 'of a committed file: the next worker of its partition completes it'],
    [unknown, 'of a partition that cannot be read'],
    [foreign, 'of no file of this archive'],
  ]
  return [
    `${title}: ${plural(dead.length, 'open upload')} of dead workers, begun before ${date}`,
    ...(probes.length === 0
      ? []
      : [`${plural(probes.length, 'object')} of starts that were killed, written before ${date}`]),
    ...left.flatMap(([count, what]) => (count > 0 ? [`left: ${count} ${what}`] : [])),
  ]
}
