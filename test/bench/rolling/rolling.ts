import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../../src/runtime/errors.ts'
import { makeTopics } from '../../helpers/servers.ts'
import { type Context, type Program, thisProgram } from '../context.ts'
import { withAdmin } from '../many-partitions.ts'
import { atMost, type Goal, type Result } from '../run.ts'
import { figure } from '../table.ts'
import { Fleet, flushSeconds } from './fleet.ts'
import { type Files, filesIn, type Movement, movementIn, resolutionMs } from './silence.ts'
import { recordsPerSecond, Traffic } from './traffic.ts'

const workers = 6
const partitions = 24
const restarts = 3
const downMs = 3000
const newPartitions = 6

interface Scenario {
  readonly name: string
  /** Fewest moves that leave every partition with one owner, and the workers balanced. */
  readonly minMoves: { readonly dynamic: number; readonly static: number }
  /** Only for members with an id, or only without. */
  readonly only?: 'dynamic' | 'static'
  readonly act: (run: Run) => Promise<void>
}

interface Run {
  readonly fleet: Fleet
  readonly newTopic: () => Promise<void>
  readonly rest: () => Promise<void>
}

interface Outcome {
  readonly program: string
  readonly isOwn: boolean
  readonly membership: 'dynamic' | 'static'
  readonly scenario: Scenario
  readonly rebalances: number
  readonly movement: Movement
  readonly files: Files
}

const perWorker = partitions / workers

const scenarios: readonly Scenario[] = [
  {
    name: `${restarts} restarts, ${downMs / 1000} s down each`,
    // The partitions of each go to others, and as many come to it.
    minMoves: { dynamic: 2 * perWorker * restarts, static: 0 },
    act: async ({ fleet, rest }) => {
      for (let slot = 0; slot < restarts; slot++) {
        await fleet.stop(slot)
        await sleep(downMs)
        await fleet.start(slot)
        await rest()
      }
    },
  },
  {
    name: 'a new worker, then an old one stops',
    minMoves: {
      dynamic: Math.floor(partitions / (workers + 1)) + Math.ceil(partitions / (workers + 1)),
      static: 0,
    },
    only: 'dynamic',
    act: async ({ fleet, rest }) => {
      await fleet.start(workers)
      await rest()
      await fleet.stop(workers - 1)
    },
  },
  {
    name: 'kill -9, back after 3 s',
    minMoves: { dynamic: 0, static: 0 },
    act: async ({ fleet }) => {
      await fleet.kill(1)
      await sleep(downMs)
      await fleet.start(1)
    },
  },
  {
    name: 'kill -9, not back',
    minMoves: { dynamic: perWorker, static: perWorker },
    only: 'dynamic',
    act: async ({ fleet }) => fleet.kill(2),
  },
  {
    name: 'a new topic',
    minMoves: { dynamic: 0, static: 0 },
    act: async ({ newTopic }) => newTopic(),
  },
]

/**
 * Deployments, crashes and a new topic under a steady load, and what they cost: partitions that
 * move, partitions that stand still, files.
 */
export async function rolling(context: Context): Promise<Result> {
  const outcomes: Outcome[] = []
  const notes: string[] = []
  for (const program of context.options.programs) {
    for (const membership of hasInstanceIds(program)
      ? (['dynamic', 'static'] as const)
      : (['dynamic'] as const)) {
      const { found, proof } = await runAll(context, program, membership)
      outcomes.push(...found)
      notes.push(`${program.name}, ${membership} members: ${proof}`)
    }
  }
  return {
    title: `rolling: ${workers} workers, ${partitions} partitions, ${recordsPerSecond.toLocaleString('en-US')} records a second, flushed every ${flushSeconds} s`,
    summaries: [],
    goals: goalsOf(outcomes.filter(({ isOwn }) => isOwn)),
    notes: [
      'a move: a partition goes from one worker to another; a worker that is restarted stays the same one',
      `silence: nothing of a partition reaches the files sink for more than ${resolutionMs / 1000} s. Moved: another worker, or another process, has it afterwards`,
      `extra files: flushed before ${flushSeconds} s were over`,
      'rebalances: how often the process that joined most often joined the group',
      ...notes,
    ],
    tables: [tableOf(outcomes)],
  }
}

/** Whether it has `--group-instance-id`. */
function hasInstanceIds({ root }: Program): boolean {
  const { stdout } = spawnSync(
    process.execPath,
    [join(root, 'src/cmd/archiver.ts'), 'run', '--help'],
    { cwd: root, encoding: 'utf8' },
  )
  return stdout.includes('--group-instance-id')
}

async function runAll(
  context: Context,
  program: Program,
  membership: 'dynamic' | 'static',
): Promise<{ readonly found: readonly Outcome[]; readonly proof: string }> {
  const stem = `bench-rolling-${randomBytes(3).toString('hex')}`
  const topic = `${stem}-a`
  const added = `${stem}-b`
  const found: Outcome[] = []
  return await withAdmin(context, async (admin) => {
    await makeTopics(admin, [{ topic, numPartitions: partitions, replicationFactor: 1 }])
    const traffic = await Traffic.start(context, topic, partitions)
    const fleet = new Fleet(context, program, membership === 'static', `^${stem}-`)
    let count = partitions
    const rest = () => fleet.atRest(count)
    const newTopic = async () => {
      await makeTopics(admin, [
        { topic: added, numPartitions: newPartitions, replicationFactor: 1 },
      ])
      traffic.add(added, newPartitions)
      count += newPartitions
    }
    try {
      for (let slot = 0; slot < workers; slot++) await fleet.start(slot)
      await rest()
      for (const scenario of scenarios) {
        if (scenario.only !== undefined && scenario.only !== membership) continue
        context.say(`${program.name}, ${membership}: ${scenario.name}`)
        // All have been flushed at the end of the interval once.
        await sleep(flushSeconds * 1000)
        const from = Date.now()
        await scenario.act({ fleet, newTopic, rest })
        await rest()
        const window = { from, to: Date.now() }
        found.push({
          program: program.name,
          isOwn: program.root === thisProgram.root,
          membership,
          scenario,
          rebalances: fleet.joinsIn(window),
          movement: movementIn(fleet.writes, window),
          files: filesIn(await fleet.flushTimes(), flushSeconds * 1000, window),
        })
      }
      await traffic.stop()
      await sleep(flushSeconds * 1000 + 3000)
      return { found, proof: await prove(context, fleet) }
    } finally {
      await traffic.stop()
      await fleet.stopAll()
      await context.deleteArchive(fleet.archive, { files: true, elasticsearch: false })
      await rm(`${fleet.archive.directory}-writes`, { recursive: true, force: true })
      const present = new Set(await admin.listTopics())
      await admin.deleteTopics({ topics: [topic, added].filter((name) => present.has(name)) })
    }
  })
}

/** Whether the archive has each record once, as `verify` says. */
async function prove(context: Context, { archive }: Fleet): Promise<string> {
  const words = ['verify', '--brokers', context.servers.brokers, '--no-elasticsearch']
  try {
    await context.runArchiver(thisProgram, [...words, '--archive-dir', archive.directory])
    return 'verify proves the archive: no record is missing or there twice'
  } catch (error) {
    return `VERIFY FAILS: ${messageOf(error)}`
  }
}

function tableOf(outcomes: readonly Outcome[]) {
  const rows = scenarios.flatMap((scenario) =>
    outcomes.filter((outcome) => outcome.scenario === scenario),
  )
  return {
    columns: [
      '',
      'program',
      'members',
      'rebalances',
      'moves',
      'fewest',
      'kept: longest s',
      'mean s',
      'moved: longest s',
      'mean s',
      'files',
      'extra',
    ],
    rows: rows.map(({ scenario, program, membership, rebalances, movement, files }) => [
      scenario.name,
      program,
      membership,
      String(rebalances),
      String(movement.moves),
      String(scenario.minMoves[membership]),
      figure(movement.kept.longest),
      figure(movement.kept.mean),
      figure(movement.moved.longest),
      figure(movement.moved.mean),
      String(files.steady + files.extra),
      String(files.extra),
    ]),
  }
}

function goalsOf(outcomes: readonly Outcome[]): readonly Goal[] {
  const [restarting, surge, killed, , topic] = scenarios
  const of = (scenario: Scenario | undefined, membership?: Outcome['membership']) =>
    outcomes.filter(
      (one) =>
        one.scenario === scenario && (membership === undefined || one.membership === membership),
    )
  const most = (some: readonly Outcome[], pick: (outcome: Outcome) => number) =>
    some.length === 0 ? undefined : Math.max(...some.map(pick))
  const sum = (pick: (files: Files) => number) =>
    outcomes.reduce((total, { files }) => total + pick(files), 0)
  return [
    atMost(
      0,
      'moves beyond the fewest',
      most(outcomes, ({ movement, scenario, membership }) =>
        Math.max(0, movement.moves - scenario.minMoves[membership]),
      ),
    ),
    atMost(
      0,
      'longest silence of partitions that need not move, s',
      most(outcomes, ({ movement }) => movement.kept.longest),
    ),
    atMost(
      0.5,
      'longest silence of partitions that move in a deployment, dynamic members, s',
      most([...of(restarting, 'dynamic'), ...of(surge)], ({ movement }) => movement.moved.longest),
    ),
    atMost(
      5,
      'silence of the victim of kill -9 that is back after 3 s, static members, s',
      most(of(killed, 'static'), ({ movement }) => movement.moved.longest),
    ),
    atMost(
      5,
      'extra files, % of the steady ones',
      outcomes.length === 0
        ? undefined
        : (sum(({ extra }) => extra) / sum(({ steady }) => steady)) * 100,
    ),
    atMost(
      1,
      'rebalances for a new topic',
      most(of(topic), ({ rebalances }) => rebalances),
    ),
  ]
}
