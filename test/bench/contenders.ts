import { spawnSync } from 'node:child_process'
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { writeBodies } from './bodies.ts'
import { runNode, runShell } from './child.ts'
import { type Archive, type Context, type Program, type Sinks, thisProgram } from './context.ts'
import type { Data } from './data.ts'
import { type Run, type Summary, summarize } from './run.ts'

/** A program that does the work once a round, and leaves nothing behind. */
export interface Contender {
  readonly name: string
  /**
   * A round of it before all others makes Java compile what the server runs: else who comes first
   * pays for that.
   */
  readonly warmsUp?: 'broker' | 'engine'
  readonly run: (round: number) => Promise<Run>
}

/** The number of the round that does not count. */
export const warmUpRound = -1

/**
 * Runs all in turn, round by round; every second round in the opposite order, so that none always
 * comes first.
 */
export async function inTurn(
  context: Context,
  contenders: readonly Contender[],
): Promise<Map<string, readonly Run[]>> {
  for (const { run, warmsUp } of contenders) {
    if (warmsUp === undefined) continue
    await context.once(`warm ${warmsUp}`, async () => {
      context.say(`warming the ${warmsUp} up; this round does not count`)
      await run(warmUpRound)
    })
  }
  const runs = new Map<string, Run[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round < context.options.rounds; round++) {
    for (const { name, run } of round % 2 === 0 ? contenders : contenders.toReversed()) {
      const done = await run(round)
      runs.get(name)!.push(done)
      const rate = Math.round(done.records / done.seconds).toLocaleString('en-US')
      context.say(
        `round ${round + 1}/${context.options.rounds}  ${name}: ${done.seconds.toFixed(2)} s, ${rate} records/s`,
      )
    }
  }
  return runs
}

/** The summaries of contenders that ran in turn; the last one is the rival of all before it. */
export function againstLast(
  contenders: readonly Contender[],
  runs: ReadonlyMap<string, readonly Run[]>,
): Summary[] {
  const last = contenders.at(-1)!
  const rival = summarize(last.name, runs.get(last.name)!)
  return contenders.map(({ name }) =>
    name === last.name ? rival : summarize(name, runs.get(name)!, rival),
  )
}

/**
 * The worker, from an empty group and an empty archive until all is acknowledged. `look` sees the
 * archive of the first round.
 */
export function worker(
  context: Context,
  program: Program,
  data: Data,
  sinks: Sinks,
  look: (archive: Archive) => Promise<void> = async () => {},
): Contender {
  return {
    name: program.name,
    run: async (round) => {
      const archive = context.archive('worker')
      const run = await context.work(program, data, sinks, archive)
      if (round === 0) await look(archive)
      // Files stay until all have run: ext4 searches for inodes that were not freed within the last
      // minutes, and who makes files then pays for it.
      if (sinks.elasticsearch) await context.deleteIndices(archive.indexPrefix)
      return run
    },
  }
}

/** The worker with its files in a bucket. */
export function bucketWorker(context: Context, data: Data): Contender {
  const sinks: Sinks = { files: true, elasticsearch: false }
  return {
    name: thisProgram.name,
    run: async () => {
      const archive = context.bucketArchive('worker')
      const run = await context.work(thisProgram, data, sinks, archive)
      await context.deleteArchive(archive, sinks)
      return run
    },
  }
}

export function hasKcat(context: Context): boolean {
  const found = spawnSync('kcat', ['-V'], { stdio: 'ignore' }).status === 0
  if (!found)
    context.say(
      'kcat is not installed: no rival here (Debian and Ubuntu: apt-get install kcat; macOS: brew install kcat)',
    )
  return found
}

const read = ({ brokers }: { readonly brokers: string }, { topic }: Data) =>
  `kcat -C -q -b '${brokers}' -t '${topic}' -o beginning -e`

/**
 * Reads everything and compresses it into one file: no envelope, no partitions by time, no offsets,
 * nothing durable.
 */
export function kcatGzip(context: Context, data: Data): Contender {
  const path = join(context.options.directory, 'kcat.gz')
  return {
    name: 'kcat | gzip -6',
    warmsUp: 'broker',
    run: async () => {
      await mkdir(context.options.directory, { recursive: true })
      return await context.measure(
        () => runShell(`${read(context.servers, data)} | gzip -6 > '${path}'`),
        async () => ({ records: data.records, fileBytes: (await stat(path)).size }),
      )
    },
  }
}

export function kcatAlone(context: Context, data: Data): Contender {
  return {
    name: 'kcat > /dev/null',
    warmsUp: 'broker',
    run: () =>
      context.measure(
        () => runShell(`${read(context.servers, data)} > /dev/null`),
        async () => ({ records: data.records }),
      ),
  }
}

/** The worker's source alone, with or without the encoder behind it. */
export function consumer(context: Context, data: Data, encodes: boolean): Contender {
  const program = fileURLToPath(new URL('consumer.ts', import.meta.url))
  return {
    name: encodes ? 'read and encode' : 'read',
    run: async () => {
      const words = [
        '--brokers',
        context.servers.brokers,
        '--topic',
        data.topic,
        '--group',
        context.group(),
      ]
      return await context.measure(
        () => runNode(program, encodes ? words : [...words, '--no-encode'], { begins: 'joined' }),
        async ({ output }) => ({ records: (lastJson(output) as { records: number }).records }),
      )
    },
  }
}

/** Posts the documents that the worker would send, made beforehand. */
export function poster(context: Context, data: Data): Promise<Contender> {
  return context.once(`poster of ${data.topic}`, () => makePoster(context, data))
}

async function makePoster(context: Context, data: Data): Promise<Contender> {
  const { brokers, elasticsearch } = context.servers
  const program = fileURLToPath(new URL('poster.ts', import.meta.url))
  const indexPrefix = await context.templatesFor('poster')
  await mkdir(context.options.directory, { recursive: true })
  const path = join(context.options.directory, 'bodies.ndjson')
  context.say('making the bulk bodies of the rival')
  const bodies = await writeBodies({
    path,
    brokers: brokers.split(','),
    topic: data.topic,
    group: context.group(),
    indexPrefix,
    bodyBytes: context.options.bodyBytes,
  })
  const documents = bodies.reduce((sum, body) => sum + body.documents, 0)
  const words = [
    '--bodies',
    path,
    '--elasticsearch',
    elasticsearch,
    '--in-flight',
    String(context.options.inFlight),
  ]
  return {
    name: 'prebuilt bodies',
    warmsUp: 'engine',
    run: async () => {
      const run = await context.measure(
        () => runNode(program, words, { begins: 'posting' }),
        async () => ({
          records: documents,
          indexBytes: await context.indexBytes(indexPrefix, data.records),
        }),
      )
      await context.deleteIndices(indexPrefix)
      return run
    },
  }
}

/** Reads every byte of an archive's files: the least that a proof needs. */
export function zcat(context: Context, archive: Archive, records: number): Contender {
  return {
    name: 'zcat | wc',
    run: () =>
      context.measure(
        () =>
          runShell(
            `find '${archive.directory}' -name '*.jsonl.gz' -print0 | xargs -0 gzip -dc | wc -lc`,
          ),
        async () => ({ records }),
      ),
  }
}

/**
 * All lines of an archive as one `gzip -6` stream: what the bytes of its files are to be held
 * against.
 */
export async function gzippedOnce(context: Context, archive: Archive): Promise<number> {
  const list = join(context.options.directory, 'count')
  await writeFile(list, '')
  await runShell(
    `find '${archive.directory}' -name '*.jsonl.gz' -print0 | sort -z | xargs -0 gzip -dc | gzip -6 > '${list}'`,
  )
  return (await stat(list)).size
}

export function lastJson(output: string): unknown {
  const line = output
    .trimEnd()
    .split('\n')
    .findLast((candidate) => candidate.startsWith('{'))
  if (line === undefined) throw new Error(`no result in: ${output.slice(-500)}`)
  return JSON.parse(line)
}
