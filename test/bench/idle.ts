import { setTimeout as sleep } from 'node:timers/promises'
import type { Context, Program } from './context.ts'
import { type MadeTopics, openWorker, stopWorker, withTopics } from './many-partitions.ts'
import { processTimes } from './proc.ts'
import { atMost, type Result } from './run.ts'
import { figure } from './table.ts'

const spread = { topics: 300, partitions: 10 }
const flushSeconds = 5
/** All records are stored and committed by then, and V8 has compiled what runs often. */
const settleMs = 30_000
const measureMs = 60_000
const maxShare = 3

interface Idle {
  readonly name: string
  /** CPU of the process, in % of a core. */
  readonly share: number
  /** CPU of the broker, in % of a core; undefined if it is not on this machine. */
  readonly brokerShare: number | undefined
}

/** What a worker costs while no record comes. */
export async function idle(context: Context): Promise<Result> {
  const found = await withTopics(context, spread, async (made) => {
    const all: Idle[] = []
    for (const program of context.options.programs) all.push(await measure(context, program, made))
    return all
  })
  return {
    title: `idle, ${spread.topics} topics with ${spread.partitions} partitions each`,
    summaries: [],
    goals: [atMost(maxShare, 'CPU of the worker, % of a core', found[0]?.share)],
    notes: [`over ${measureMs / 1000} s`],
    tables: [
      {
        columns: ['', 'CPU %', 'broker CPU %'],
        rows: found.map(({ name, share, brokerShare }) => [
          name,
          figure(share),
          figure(brokerShare),
        ]),
      },
    ],
  }
}

async function measure(context: Context, program: Program, made: MadeTopics): Promise<Idle> {
  const archive = context.archive('idle')
  const worker = await openWorker(context, program, archive, made, [
    '--flush-interval',
    String(flushSeconds),
  ])
  try {
    await sleep(settleMs)
    const { pid } = worker.child
    const broker = context.servers.pids.kafka
    const cpuOf = (one: number | undefined) =>
      one === undefined ? undefined : processTimes(one)?.own
    const before = { own: cpuOf(pid)!, broker: cpuOf(broker) }
    await sleep(measureMs)
    const inPercent = (used: number) => (used / (measureMs / 1000)) * 100
    const brokerNow = cpuOf(broker)
    return {
      name: program.name,
      share: inPercent(cpuOf(pid)! - before.own),
      brokerShare:
        brokerNow === undefined || before.broker === undefined
          ? undefined
          : inPercent(brokerNow - before.broker),
    }
  } finally {
    await stopWorker(worker)
    await context.deleteArchive(archive, { files: true, elasticsearch: false })
  }
}
