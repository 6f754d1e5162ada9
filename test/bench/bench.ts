import '../../stack/needs-node.mjs'
import { cpus, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { runProgram } from '../../src/cmd/lib/program.ts'
import {
  bytes,
  describeOptions,
  flag,
  integer,
  list,
  own,
  readOptions,
  text,
  type Values,
} from '../../src/config/options.ts'
import { ArchiverError } from '../../src/runtime/errors.ts'
import { type CaseName, cases, comparable, compareWith } from './cases.ts'
import { Context, type Program, thisProgram } from './context.ts'
import { checkOut, describeCommit } from './other-commit.ts'
import { legend, markdownReport, textReport } from './report.ts'
import type { Result } from './run.ts'
import { openServers } from './servers.ts'

const options = {
  records: integer({
    explanation: 'Records of the topic; scale takes ten times as many as well.',
    default: '1000000',
    min: 1000,
  }),
  rounds: integer({ explanation: 'How often everybody runs, in turn.', default: '3', min: 1 }),
  cases: list({
    explanation: 'For compare: which of files, elasticsearch and both.',
    default: 'files,elasticsearch,both',
  }),
  before: text({
    explanation:
      'For opening, idle and rolling: a commit that does the same in the same run, to compare with.',
    placeholder: '<commit>',
  }),
  worker: text({
    explanation:
      'More options of the measured worker, separated by spaces: --worker "--gzip-level 1".',
    placeholder: '<options>',
  }),
  inFlight: integer({
    explanation: 'Requests that the rival has in flight.',
    default: '4',
    min: 1,
  }),
  bodyBytes: bytes({
    explanation: "Size of the rival's bulk bodies.",
    default: '5MB',
    min: 100_000,
  }),
  brokers: text({
    explanation: 'Kafka. A stack of its own is started (and stopped) where it is not given.',
    placeholder: '<host:port,…>',
  }),
  elasticsearch: text({
    explanation:
      'Elasticsearch. A stack of its own is started (and stopped) where it is not given.',
    placeholder: '<url>',
  }),
  s3: text({
    explanation:
      'Object store, with the bucket "archive" and the keys of the environment, else those of the stack. "versitygw" starts one, if go is installed. A stack of its own is started (and stopped) where it is not given.',
    placeholder: '<url | versitygw>',
  }),
  pids: list({
    explanation:
      'Processes of the servers, whose CPU time is measured: kafka=<pid>,elasticsearch=<pid>,store=<pid>. Else found by port.',
    placeholder: '<name=pid,…>',
  }),
  directory: text({
    explanation: 'Where archives are made and wiped: on the kind of disk that is to be measured.',
    placeholder: '<directory>',
    default: '.stack-bench/work',
  }),
  keepStack: flag({ explanation: 'Leave the stack running that was started.', default: false }),
  json: flag({ explanation: 'Print every run as JSON.', default: false }),
  markdown: flag({
    explanation: 'Print the tables as Markdown, for test/bench/RESULTS.md.',
    default: false,
  }),
}

const help = `Measures the archiver against rivals that do the same work, in turn on the same machine.

  npm run bench -- <case> … [options]
  npm run bench -- compare <commit> [options]

${Object.entries(cases)
  .map(([name, { summary }]) => `  ${name.padEnd(14)} ${summary}`)
  .join('\n')}
  ${'compare'.padEnd(14)} This tree against a commit; fails where it needs a tenth more time, CPU or memory.

${describeOptions(own(options))}

${legend.join('\n')}`

/** What is printed in addition to the tables. */
interface Circumstances {
  readonly date: string
  readonly commit: string
  readonly machine: string
  readonly node: string
}

function circumstances(): Circumstances {
  const all = cpus()
  const gibibytes = Math.round(totalmem() / 2 ** 30)
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    commit: describeCommit(),
    machine: `${all.length} cores (${all[0]?.model.trim() ?? 'unknown'}), ${gibibytes} GiB`,
    node: process.version,
  }
}

const say = (line: string) => void process.stderr.write(`${line}\n`)

function isCase(name: string): name is CaseName {
  return Object.hasOwn(cases, name)
}

function usage(message: string): ArchiverError {
  return new ArchiverError('USAGE', `${message} (see --help)`)
}

async function main(argv: readonly string[]): Promise<void> {
  if (process.platform !== 'linux') throw usage('the benchmark reads /proc and so needs Linux')
  const firstOption = argv.findIndex((word) => word.startsWith('--'))
  const words = firstOption === -1 ? argv : argv.slice(0, firstOption)
  const values = readOptions(options, { argv: argv.slice(words.length), env: process.env })
  if (words[0] === 'compare') return await compare(words.slice(1), values)
  if (words.length === 0) throw usage(`which case? ${Object.keys(cases).join(', ')} or compare`)
  for (const word of words) {
    if (!isCase(word))
      throw usage(
        `"${word}" is no case; the cases are ${Object.keys(cases).join(', ')} and compare`,
      )
  }
  const chosen = words.filter(isCase).map((name) => cases[name])
  const needElasticsearch = chosen.some((one) => one.needsElasticsearch)
  const needStore = chosen.some((one) => one.needsStore)
  const other = values.before === undefined ? undefined : checkOut(values.before, say)
  try {
    await measure(
      values,
      { needElasticsearch, needStore },
      other?.program,
      async (context, report) => {
        for (const one of chosen) for (const result of await one.run(context)) report(result)
      },
    )
  } finally {
    other?.remove()
  }
}

async function compare(words: readonly string[], values: Values<typeof options>): Promise<void> {
  const [commit, ...rest] = words
  if (commit === undefined || rest.length > 0)
    throw usage('compare needs one commit, such as HEAD~1')
  for (const name of values.cases) {
    if (!Object.hasOwn(comparable, name))
      throw usage(`--cases: "${name}" is none of ${Object.keys(comparable).join(', ')}`)
  }
  const other: { program: Program; remove: () => void } = checkOut(commit, say)
  try {
    const needElasticsearch = values.cases.some((name) => comparable[name]!.elasticsearch)
    let slower = 0
    const needed = { needElasticsearch, needStore: false }
    await measure(values, needed, other.program, async (context, report) => {
      for (const name of values.cases) {
        const result = await compareWith(context, other.program, name)
        slower += result.goals.filter(
          ({ value, limit }) => value !== undefined && value > limit,
        ).length
        report(result)
      }
    })
    if (slower > 0) {
      throw new ArchiverError(
        'DAMAGED',
        `${slower} figures are more than a tenth worse than those of ${other.program.name}`,
      )
    }
  } finally {
    other.remove()
  }
}

async function measure(
  values: Values<typeof options>,
  needed: { readonly needElasticsearch: boolean; readonly needStore: boolean },
  other: Program | undefined,
  run: (context: Context, report: (result: Result) => void) => Promise<void>,
): Promise<void> {
  const servers = await openServers({
    ...values,
    ...needed,
    directory: resolve(values.directory),
    say,
  })
  const context = new Context({
    servers,
    records: values.records,
    rounds: values.rounds,
    programs: [thisProgram, ...(other === undefined ? [] : [other])],
    directory: resolve(values.directory),
    workerOptions: values.worker?.split(/\s+/) ?? [],
    inFlight: values.inFlight,
    bodyBytes: values.bodyBytes,
    say,
  })
  const results: Result[] = []
  const about = circumstances()
  const heading = `${about.date} UTC, ${about.machine}, Node ${about.node}, commit ${about.commit}`
  try {
    if (!values.json) console.log(values.markdown ? `## ${heading}\n` : heading)
    await run(context, (result) => {
      results.push(result)
      if (!values.json) console.log((values.markdown ? markdownReport : textReport)(result))
    })
  } finally {
    await context.close()
    await servers.stop()
  }
  if (values.json) console.log(JSON.stringify({ ...about, options: values, results }, undefined, 1))
  else if (!values.markdown) console.log(`\n${legend.join('\n')}`)
}

await runProgram({ help, main })
