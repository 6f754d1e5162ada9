import type { Archive, Context, Program } from './context.ts'
import {
  type MadeTopics,
  openWorker,
  type Spread,
  stopWorker,
  withTopics,
} from './many-partitions.ts'
import { peakMemory, processTimes } from './proc.ts'
import { atMost, type Goal, type Result } from './run.ts'
import { medianOf } from './statistics.ts'
import { figure } from './table.ts'

/** How a worker opened its partitions. */
interface Opening {
  /** From the start of the process until it joined the group, in seconds. */
  readonly joined: number
  /** From then until the last partition was open, in seconds. */
  readonly opened: number
  /** CPU seconds of the process until then. */
  readonly cpu: number
  /** Peak resident memory until then, in bytes. */
  readonly peakBytes: number
}

interface Row {
  readonly name: string
  readonly openings: readonly Opening[]
}

const goals: readonly (Spread & { readonly seconds: number; readonly megabytes: number })[] = [
  { topics: 1, partitions: 1000, seconds: 2.5, megabytes: 320 },
  { topics: 50, partitions: 200, seconds: 25, megabytes: 1000 },
]

/**
 * One worker opens many partitions: in an archive that does not exist yet, and in the one that it
 * left.
 */
export async function opening(context: Context): Promise<readonly Result[]> {
  const results: Result[] = []
  for (const goal of goals) {
    const rows = await withTopics(context, goal, (made) => measureAll(context, made))
    results.push(resultOf(goal, rows))
  }
  return results
}

async function measureAll(context: Context, made: MadeTopics): Promise<readonly Row[]> {
  const rows = context.options.programs.flatMap((program) => [
    { name: `${program.name}, new archive`, openings: [] as Opening[] },
    { name: `${program.name}, again`, openings: [] as Opening[] },
  ])
  for (let round = 0; round < context.options.rounds; round++) {
    for (const [i, program] of context.options.programs.entries()) {
      const archive = context.archive('opening')
      rows[2 * i]!.openings.push(await measure(context, program, archive, made))
      rows[2 * i + 1]!.openings.push(await measure(context, program, archive, made))
      await context.deleteArchive(archive, { files: true, elasticsearch: false })
    }
  }
  return rows
}

async function measure(
  context: Context,
  program: Program,
  archive: Archive,
  made: MadeTopics,
): Promise<Opening> {
  const worker = await openWorker(context, program, archive, made)
  const { joined, opened, child } = worker
  const cpu = processTimes(child.pid)?.own ?? 0
  const peakBytes = peakMemory(child.pid) ?? 0
  await stopWorker(worker)
  context.say(`${program.name}: open ${opened.toFixed(2)} s after joining`)
  return { joined, opened, cpu, peakBytes }
}

function resultOf(
  { topics, partitions, seconds, megabytes }: (typeof goals)[number],
  rows: readonly Row[],
): Result {
  const of = ({ openings }: Row, pick: (opening: Opening) => number) => medianOf(openings, pick)
  const worst = (pick: (opening: Opening) => number) =>
    Math.max(...rows.slice(0, 2).map((row) => of(row, pick) ?? Number.POSITIVE_INFINITY))
  const checked: Goal[] = [
    atMost(
      seconds,
      'seconds from joining until all partitions are open',
      worst(({ opened }) => opened),
    ),
    atMost(
      megabytes,
      'peak RSS until then, MB',
      worst(({ peakBytes }) => peakBytes / 1e6),
    ),
  ]
  return {
    title: `opening ${(topics * partitions).toLocaleString('en-US')} partitions of ${topics} ${topics === 1 ? 'topic' : 'topics'}`,
    summaries: [],
    goals: checked,
    notes: ['the worker logs at debug, as the time of each opening is read from its log'],
    tables: [
      {
        columns: ['', 's to join', 's to open', 'CPU s', 'RSS MB'],
        rows: rows.map((row) => [
          row.name,
          figure(of(row, ({ joined }) => joined)),
          figure(of(row, ({ opened }) => opened)),
          figure(of(row, ({ cpu }) => cpu)),
          figure(
            of(row, ({ peakBytes }) => peakBytes / 1e6),
            0,
          ),
        ]),
      },
    ],
  }
}
