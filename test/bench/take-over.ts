import { setTimeout as sleep } from 'node:timers/promises'
import type { Admin } from 'kafkajs'
import { startNode } from './child.ts'
import { type Archive, type Context, entryOf, thisProgram } from './context.ts'
import type { Data } from './data.ts'
import {
  bucketPlace,
  directoryPlace,
  type MadeLog,
  makeArchive,
  type PartitionBounds,
  type Place,
  sizeOf,
  stageLast,
} from './large-archive.ts'
import { atMost, type Result } from './run.ts'
import { median } from './statistics.ts'

/** Seconds since the start of the process. */
interface Times {
  readonly joined: number
  /** The last partition is open and read. */
  readonly opened: number
}

/** The kinds of places: in each, the large archive is compared with an empty one. */
export type PlaceKind = 'directory' | 'bucket'

/**
 * How long a worker takes to begin where a large archive lies, whose last owner died between
 * committing and publishing its last files, compared with an empty place.
 */
export async function takeOver(context: Context, data: Data, kind: PlaceKind): Promise<Result> {
  const bounds = await logBounds(context, data)
  const empty: Times[] = []
  const large: Times[] = []
  let made = { files: 0, manifests: 0 }
  const listings: number[] = []
  let kept: { readonly place: Place; readonly logs: readonly MadeLog[] } | undefined
  for (let round = 0; round < context.options.rounds; round++) {
    const sinks = { files: true, elasticsearch: false }
    const emptyArchive =
      kind === 'bucket' ? context.bucketArchive('empty') : context.archive('empty')
    empty.push(await begin(context, data, emptyArchive))
    await context.deleteArchive(emptyArchive, sinks)

    if (kept === undefined) {
      context.say(`round ${round + 1}/${context.options.rounds}  making a large archive`)
      const place = await (kind === 'bucket' ? bucketPlace : directoryPlace)(
        context,
        await clusterId(context),
      )
      kept = { place, logs: await makeArchive(place, bounds) }
    }
    const { place, logs } = kept
    await stageLast(context, place, logs)
    made = sizeOf(logs)
    const listed = await place.twoListings(logs.map(({ tp }) => tp))
    if (listed !== undefined) listings.push(listed)
    large.push(await begin(context, data, place.archive))
    // To make the objects takes minutes: every round has the same ones.
    if (kind === 'directory' || round === context.options.rounds - 1) {
      await place.remove()
      kept = undefined
    }
    const { joined, opened } = large.at(-1)!
    context.say(
      `round ${round + 1}/${context.options.rounds}  joined after ${joined.toFixed(2)} s, open after ${opened.toFixed(2)} s`,
    )
  }
  const of = (times: readonly Times[], figure: (time: Times) => number) => median(times.map(figure))
  const describe = (times: readonly Times[]) =>
    `joined after ${of(times, ({ joined }) => joined)!.toFixed(2)} s, all partitions open after ${of(times, ({ opened }) => opened)!.toFixed(2)} s`
  const size = `${made.files.toLocaleString('en-US')} files and ${made.manifests.toLocaleString('en-US')} manifests`
  const listing = median(listings)
  const limit = 2 + (listing ?? 0)
  const beside = listing === undefined ? '' : ' (two listings apart: they are in the limit)'
  return {
    title: `start and take-over in a ${kind} with ${size}`,
    summaries: [],
    goals: [
      atMost(
        limit,
        `seconds from the start of the process until all partitions are open${beside}`,
        of(large, ({ opened }) => opened),
      ),
      atMost(
        limit,
        `seconds from joining until all partitions are open${beside}`,
        of(large, ({ joined, opened }) => opened - joined),
      ),
    ],
    notes: [
      `empty ${kind}: ${describe(empty)}`,
      `large archive: ${describe(large)}`,
      ...(listing === undefined
        ? []
        : [`two listings of each log, all at once: ${listing.toFixed(2)} s`]),
    ],
  }
}

function logBounds(context: Context, { topic }: Data): Promise<readonly PartitionBounds[]> {
  return withAdmin(context, async (admin) =>
    (await admin.fetchTopicOffsets(topic)).map(({ partition, low, high }) => ({
      topic,
      partition,
      low: Number(low),
      high: Number(high),
    })),
  )
}

/** Starts a worker, waits until every partition is open, stops it. */
async function begin(context: Context, data: Data, archive: Archive): Promise<Times> {
  const startedAt = Date.now()
  const words = context.workerWords(archive, data.topic, { files: true, elasticsearch: false }, [
    '--log-level',
    'debug',
  ])
  const running = await startNode(entryOf(thisProgram), words, {
    cwd: thisProgram.root,
  })
  const deadline = startedAt + 60_000
  const openings = () =>
    running
      .output()
      .split('\n')
      .filter((line) => line.includes('"event":"partition_opened"'))
  while (openings().length < data.partitions && Date.now() < deadline) await sleep(20)
  running.kill('SIGTERM')
  const { output } = await running.ended
  const opened = openings()
  if (opened.length < data.partitions)
    throw new Error(`not all partitions were opened within a minute:\n${output}`)
  const joined = output.split('\n').find((line) => line.includes('joined the group'))!
  const since = (line: string) =>
    (Date.parse((JSON.parse(line) as { time: string }).time) - startedAt) / 1000
  return { joined: since(joined), opened: since(opened.at(-1)!) }
}

function clusterId(context: Context): Promise<string> {
  return withAdmin(context, async (admin) => (await admin.describeCluster()).clusterId)
}

async function withAdmin<T>(context: Context, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = context.servers.kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}
