import { spawnSync } from 'node:child_process'
import { appliedMappings } from './applied-mapping.ts'
import {
  againstLast,
  bucketWorker,
  type Contender,
  consumer,
  gzippedOnce,
  hasKcat,
  inTurn,
  kcatAlone,
  kcatGzip,
  poster,
  worker,
  zcat,
} from './contenders.ts'
import type { Archive, Context, Program, Sinks } from './context.ts'
import { dataFiles, entryOf, thisProgram } from './context.ts'
import { bucketsOf, type Data } from './data.ts'
import { idle } from './idle.ts'
import { mapping } from './mapping.ts'
import { opening } from './opening.ts'
import { rolling } from './rolling/rolling.ts'
import {
  atLeast,
  atMost,
  type Goal,
  type Result,
  type Run,
  type Summary,
  summarize,
} from './run.ts'
import { ratio } from './statistics.ts'
import { takeOver } from './take-over.ts'
import { trickle } from './trickle.ts'

/** A case of the benchmark: what it measures, against whom, and what is aimed at. */
export interface Case {
  readonly summary: string
  readonly needsElasticsearch: boolean
  readonly needsStore?: boolean
  readonly run: (context: Context) => Promise<readonly Result[]>
}

const intoFiles: Sinks = { files: true, elasticsearch: false }
const intoElasticsearch: Sinks = { files: false, elasticsearch: true }
const intoBoth: Sinks = { files: true, elasticsearch: true }

const inMegabytes = (bytes: number) => bytes / 1e6

function titled(what: string, data: Data): string {
  const each = Math.round(data.bytes / data.records)
  return `${what} (${data.records.toLocaleString('en-US')} records of ${each} bytes, ${data.partitions} partitions)`
}

const memoryGoal = (most: number, { peakBytes }: Summary): Goal =>
  atMost(most, 'peak RSS of the worker, MB', inMegabytes(peakBytes))
const cpuGoal = (most: number, { cpu }: Summary): Goal =>
  atMost(most, 'CPU seconds of the worker per million records, start-up included', cpu)

const files: Case = {
  summary: 'Kafka to files; the rival is kcat | gzip -6, which keeps values only, in one file.',
  needsElasticsearch: false,
  run: async (context) => {
    const data = await context.data('plain')
    const rival = hasKcat(context) ? [kcatGzip(context, data)] : []
    let onceBytes: number | undefined
    const contenders = [
      worker(context, thisProgram, data, intoFiles, async (archive) => {
        onceBytes = await gzippedOnce(context, archive)
      }),
      ...rival,
    ]
    const runs = await inTurn(context, contenders)
    const summaries = rival.length === 0 ? alone(contenders, runs) : againstLast(contenders, runs)
    const own = summaries[0]!
    return [
      {
        title: titled('files', data),
        summaries,
        goals: [
          ...(rival.length === 0
            ? []
            : [atLeast(1, 'speed compared with kcat | gzip -6', own.ratio)]),
          ...(rival.length === 0 ? [] : [atLeast(1.4, 'the same, as aimed at', own.ratio)]),
          atMost(
            1.05,
            'bytes compared with all its lines in one gzip -6',
            ratio(own.fileBytes, onceBytes),
          ),
          cpuGoal(13, own),
          memoryGoal(350, own),
        ],
        notes:
          onceBytes === undefined
            ? []
            : [`all lines in one gzip -6: ${inMegabytes(onceBytes).toFixed(1)} MB`],
      },
    ]
  },
}

const elasticsearch: Case = {
  summary: 'Kafka to Elasticsearch; the rival posts the same documents, made beforehand.',
  needsElasticsearch: true,
  run: async (context) => {
    const data = await context.data('plain')
    const contenders = [
      worker(context, thisProgram, data, intoElasticsearch),
      await poster(context, data),
    ]
    const summaries = againstLast(contenders, await inTurn(context, contenders))
    const own = summaries[0]!
    return [
      {
        title: titled('elasticsearch', data),
        summaries,
        goals: [
          atLeast(0.75, 'speed compared with prebuilt bodies', own.ratio),
          atMost(
            1.05,
            'CPU of the engine per document compared with prebuilt bodies',
            ratio(own.engineCpu, summaries[1]!.engineCpu),
          ),
          cpuGoal(8.5, own),
          memoryGoal(350, own),
        ],
        notes: [],
      },
    ]
  },
}

const both: Case = {
  summary:
    'Kafka to both at once; the rival posts the same documents, made beforehand, and keeps no files.',
  needsElasticsearch: true,
  run: async (context) => {
    const data = await context.data('plain')
    const contenders = [worker(context, thisProgram, data, intoBoth), await poster(context, data)]
    const summaries = againstLast(contenders, await inTurn(context, contenders))
    const own = summaries[0]!
    return [
      {
        title: titled('both', data),
        summaries,
        goals: [
          atLeast(15 / 22, 'speed compared with prebuilt bodies', own.ratio),
          atMost(
            1.1,
            'time compared with the CPU time of all three, divided by the cores',
            own.overFloor,
          ),
          cpuGoal(15, own),
          memoryGoal(350, own),
        ],
        notes: [],
      },
    ]
  },
}

const consume: Case = {
  summary: "The worker's source alone, and with the encoder; the rival is kcat > /dev/null.",
  needsElasticsearch: false,
  run: async (context) => {
    const data = await context.data('plain')
    const own = [consumer(context, data, false), consumer(context, data, true)]
    const contenders = hasKcat(context) ? [...own, kcatAlone(context, data)] : own
    const runs = await inTurn(context, contenders)
    const summaries = contenders === own ? alone(contenders, runs) : againstLast(contenders, runs)
    return [{ title: titled('consume', data), summaries, goals: [], notes: [] }]
  },
}

const buckets: Case = {
  summary: '10,000 open files (types × hours × partitions) against 72.',
  needsElasticsearch: false,
  run: async (context) => {
    const many = await context.data('buckets')
    const few = await context.data('plain')
    let made = 0
    const look = async (archive: Archive) => {
      made = (await dataFiles(archive.directory)).length
    }
    const contenders = [
      renamed(
        worker(context, thisProgram, many, intoFiles, look),
        `${bucketsOf('buckets')} buckets`,
      ),
      renamed(worker(context, thisProgram, few, intoFiles), `${bucketsOf('plain')} buckets`),
    ]
    const summaries = againstLast(contenders, await inTurn(context, contenders))
    const own = summaries[0]!
    return [
      {
        title: titled('buckets', many),
        summaries,
        goals: [
          atLeast(0.5, 'speed compared with few buckets', own.workRatio),
          memoryGoal(450, own),
        ],
        notes: [`${made.toLocaleString('en-US')} files`],
      },
    ]
  },
}

const scale: Case = {
  summary: 'Ten times the records, into both.',
  needsElasticsearch: true,
  run: async (context) => {
    const once = await context.data('plain')
    const tenfold = await context.data('plain', context.options.records * 10)
    const contenders = [
      renamed(worker(context, thisProgram, tenfold, intoBoth), 'ten times the records'),
      renamed(worker(context, thisProgram, once, intoBoth), 'once'),
    ]
    const summaries = againstLast(contenders, await inTurn(context, contenders))
    const [many, few] = summaries as [Summary, Summary]
    const perRecord = (figure: (summary: Summary) => number | undefined) =>
      ratio(figure(many), figure(few))
    return [
      {
        title: titled('scale', tenfold),
        summaries,
        goals: [
          atMost(
            1.1,
            'CPU per record compared with one tenth of the records, start-up apart',
            perRecord((one) => one.workCpu),
          ),
          atLeast(
            0.9,
            'speed compared with one tenth of the records, start-up apart',
            many.workRatio,
          ),
          atMost(
            1.1,
            'peak RSS compared with one tenth of the records',
            perRecord((one) => one.peakBytes),
          ),
          memoryGoal(350, many),
        ],
        notes: [],
      },
    ]
  },
}

const bucket: Case = {
  summary:
    'Kafka to files in a bucket; the rival is the same worker with a directory. Then start and take-over with 100,000 objects.',
  needsElasticsearch: false,
  needsStore: true,
  run: async (context) => {
    const once = await context.data('plain')
    const threefold = await context.data('plain', context.options.records * 3)
    const contenders = [
      renamed(bucketWorker(context, threefold), 'bucket, three times the records'),
      renamed(bucketWorker(context, once), 'bucket'),
      renamed(worker(context, thisProgram, once, intoFiles), 'directory'),
    ]
    const summaries = againstLast(contenders, await inTurn(context, contenders))
    const [many, own, rival] = summaries as [Summary, Summary, Summary]
    return [
      {
        title: titled('bucket', once),
        summaries,
        goals: [
          atLeast(0.8, 'speed compared with a directory', ratio(rival.seconds, own.seconds)),
          memoryGoal(400, own),
          atMost(
            1.1,
            'peak RSS compared with a third of the records',
            ratio(many.peakBytes, own.peakBytes),
          ),
        ],
        notes: [],
      },
      await takeOver(context, once, 'bucket'),
    ]
  },
}

const takeOverCase: Case = {
  summary: 'Start and take-over with 100,000 files and 10,000 manifests.',
  needsElasticsearch: false,
  run: async (context) => [await takeOver(context, await context.data('plain'), 'directory')],
}

const restore: Case = {
  summary: 'Files back to Elasticsearch; the rival posts the same documents, made beforehand.',
  needsElasticsearch: true,
  run: async (context) => {
    if (!hasCommand(context, thisProgram, 'restore')) return []
    const data = await context.data('plain')
    const source = await archiveOf(context, data, intoFiles)
    const target = await context.templatesFor('target')
    const words = [
      'restore',
      '--archive-dir',
      source.directory,
      '--elasticsearch',
      context.servers.elasticsearch,
    ]
    const own: Contender = {
      name: 'archiver restore',
      run: async () => {
        const run = await context.measure(
          () => context.runArchiver(thisProgram, [...words, '--index-prefix', target]),
          async () => ({
            records: data.records,
            indexBytes: await context.indexBytes(target, data.records),
          }),
        )
        await context.deleteIndices(target)
        return run
      },
    }
    const contenders = [own, await poster(context, data)]
    const summaries = againstLast(contenders, await inTurn(context, contenders))
    const goals = [atLeast(0.85, 'speed compared with prebuilt bodies', summaries[0]!.ratio)]
    return [{ title: titled('restore', data), summaries, goals, notes: [] }]
  },
}

const verify: Case = {
  summary:
    'The proof that files, Elasticsearch and Kafka agree, and cat; the rival only reads the files.',
  needsElasticsearch: true,
  run: async (context) => {
    if (!hasCommand(context, thisProgram, 'verify')) return []
    const data = await context.data('plain')
    const archive = await archiveOf(context, data, intoBoth)
    const { brokers, elasticsearch } = context.servers
    const words = ['verify', '--brokers', brokers, '--archive-dir', archive.directory]
    words.push('--elasticsearch', elasticsearch, '--index-prefix', archive.indexPrefix)
    const own = [[], ['--fast'], ['--deep']].map(
      (more): Contender => ({
        name: ['verify', ...more].join(' '),
        run: () =>
          context.measure(
            () => context.runArchiver(thisProgram, [...words, ...more]),
            async () => ({ records: data.records }),
          ),
      }),
    )
    const readAll: Contender = {
      name: 'cat',
      run: () =>
        context.measure(
          () =>
            context.runArchiver(thisProgram, ['cat', '--archive-dir', archive.directory], {
              discards: true,
            }),
          async () => ({ records: data.records }),
        ),
    }
    const contenders = [...own, readAll, zcat(context, archive, data.records)]
    const summaries = againstLast(contenders, await inTurn(context, contenders))
    return [{ title: titled('verify', data), summaries, goals: [], notes: [] }]
  },
}

const oneASecond: Case = {
  summary: 'One message a second into both: how long until it is acknowledged, and what it costs.',
  needsElasticsearch: true,
  run: async (context) => [await trickle(context)],
}

const mappings: Case = {
  summary:
    'What each way of mapping the values costs the engine, and serves of what Kibana asks most.',
  needsElasticsearch: true,
  run: async (context) => [await mapping(context)],
}

const applied: Case = {
  summary: 'What the mapping of `archiver mapping --apply` costs the engine, and what it answers.',
  needsElasticsearch: true,
  run: appliedMappings,
}

const openingCase: Case = {
  summary: 'One worker opens 1,000 partitions of one topic, and 10,000 of 50 topics.',
  needsElasticsearch: false,
  run: opening,
}

const idleCase: Case = {
  summary: 'What a worker costs that has 300 topics with 10 partitions each, and no record comes.',
  needsElasticsearch: false,
  run: async (context) => [await idle(context)],
}

const rollingCase: Case = {
  summary: 'Six workers under load: restarts, a surge, kill -9, a new topic, and what each costs.',
  needsElasticsearch: false,
  run: async (context) => [await rolling(context)],
}

export const cases = {
  files,
  elasticsearch,
  both,
  consume,
  restore,
  verify,
  buckets,
  scale,
  bucket,
  'take-over': takeOverCase,
  trickle: oneASecond,
  mapping: mappings,
  applied,
  opening: openingCase,
  idle: idleCase,
  rolling: rollingCase,
} as const satisfies Record<string, Case>

export type CaseName = keyof typeof cases

/** What `compare` can run. */
export const comparable: Readonly<Record<string, Sinks>> = {
  files: intoFiles,
  elasticsearch: intoElasticsearch,
  both: intoBoth,
}

/** The program of this tree against another one's, in turn. */
export async function compareWith(context: Context, other: Program, name: string): Promise<Result> {
  const sinks = comparable[name]!
  const data = await context.data('plain')
  const contenders = [
    worker(context, { ...thisProgram, name: 'this tree' }, data, sinks),
    worker(context, other, data, sinks),
  ]
  const summaries = againstLast(contenders, await inTurn(context, contenders))
  const [own, before] = summaries as [Summary, Summary]
  const allowed = 1.1
  return {
    title: titled(`${name}, compared with ${other.name}`, data),
    summaries,
    goals: [
      atMost(
        allowed,
        'CPU seconds of the worker compared with before',
        ratio(own.workCpu, before.workCpu),
      ),
      atMost(allowed, 'time compared with before', ratio(own.workSeconds, before.workSeconds)),
      atMost(allowed, 'peak RSS compared with before', ratio(own.peakBytes, before.peakBytes)),
    ],
    notes: [],
  }
}

/** An archive to read from, made once by a worker. */
async function archiveOf(context: Context, data: Data, sinks: Sinks): Promise<Archive> {
  context.say('making the archive that is read')
  const archive = context.archive('source')
  await context.work(thisProgram, data, sinks, archive)
  return archive
}

function hasCommand(context: Context, program: Program, name: string): boolean {
  const help = spawnSync(process.execPath, [entryOf(program), '--help'], {
    cwd: program.root,
    encoding: 'utf8',
  }).stdout
  const found = new RegExp(`^ {2}${name} `, 'm').test(help)
  if (!found)
    context.say(`archiver ${name}: there is no such command in this version; nothing to measure`)
  return found
}

const renamed = (contender: Contender, name: string): Contender => ({ ...contender, name })

function alone(
  contenders: readonly Contender[],
  runs: ReadonlyMap<string, readonly Run[]>,
): Summary[] {
  return contenders.map(({ name }) => summarize(name, runs.get(name)!))
}
