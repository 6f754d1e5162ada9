import {
  catOptions,
  compactOptions,
  lsOptions,
  pruneOptions,
  restoreOptions,
  retryRejectedOptions,
  statusOptions,
  verifyOptions,
} from '../../config/archive.ts'
import { dashboardOptions, runOptions, setupOptions } from '../../config/config.ts'
import {
  exposedSecrets,
  type OptionSources,
  type Options,
  readOptions,
  unknownVariables,
} from '../../config/options.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { standardError } from '../../runtime/standard-streams.ts'
import { everyOption } from './every-option.ts'
import { describeGroups } from './help.ts'
import { type OutputKind, runProgram } from './program.ts'
import { type RunFlags, takeRunFlags, withRunFlags } from './run-flags.ts'

/** A command: its options, one sentence about it, and what it does with the values. */
interface Command {
  readonly summary: string
  readonly options: Options
  readonly output: OutputKind
  readonly run: (sources: OptionSources) => Promise<void>
}

function command<O extends Options>(
  summary: string,
  options: O,
  act: (values: ReturnType<typeof readOptions<O>>) => Promise<void>,
  output: OutputKind = 'report',
): Command {
  const run = async ({ argv, env }: OptionSources) => {
    const flags: RunFlags =
      options === (runOptions as Options) ? { argv, values: {} } : takeRunFlags(argv, options)
    const values = readOptions(options, { argv: flags.argv, env }, everyOption)
    warnOfExposedSecrets((values as { readonly config?: string }).config)
    await act(await withRunFlags(values, flags.values, options)).catch((error: unknown) => {
      throw isRefusedRequest(error)
        ? new ArchiverError('UNREACHABLE', messageOf(error), {}, error)
        : error
    })
  }
  return { summary, options, output, run }
}

/**
 * Secrets in the file at `--config` are for its owner and the group, as are files with a secret.
 */
function warnOfExposedSecrets(config: string | undefined): void {
  const names = config === undefined ? [] : exposedSecrets(everyOption, config)
  if (names.length === 0) return
  standardError.write(
    `archiver: ${config} holds ${names.join(', ')} and can be read by all users of this machine; chmod o-r it\n`,
  )
}

/**
 * Elasticsearch said no, or nothing: known by its name, so that its client is loaded only if it is
 * used.
 */
function isRefusedRequest(error: unknown): boolean {
  return (
    error instanceof Error && /^(RequestFailure|NoAnswerInTime|AnswerTooLarge)$/.test(error.name)
  )
}

/** Loaded when chosen, so that none waits for the libraries of the others. */
const commands: Readonly<Record<string, Command>> = {
  run: command(
    'Archives topics; this is what runs when no command is named.',
    runOptions,
    async (values) => (await import('../run.ts')).run(values),
    'log',
  ),
  setup: command(
    'Installs the index templates, the table of MySQL, and dashboards in Kibana.',
    setupOptions,
    async (values) => (await import('../setup.ts')).setup(values),
  ),
  dashboard: command(
    'Makes a dashboard for a type of messages from what Elasticsearch knows of it.',
    dashboardOptions,
    async (values) => (await import('../dashboard.ts')).dashboard(values),
  ),
  verify: command(
    'Proves that files, Elasticsearch, MySQL and Kafka agree, offset by offset.',
    verifyOptions,
    async (values) => (await import('../verify.ts')).verify(values),
  ),
  'retry-rejected': command(
    'Sends what Elasticsearch refused once more, after a template was mended.',
    retryRejectedOptions,
    async (values) => (await import('../retry-rejected.ts')).retryRejected(values),
  ),
  ls: command(
    'Lists what the archive holds.',
    lsOptions,
    async (values) => (await import('../ls.ts')).ls(values),
    'data',
  ),
  cat: command(
    'Prints records of the archive.',
    catOptions,
    async (values) => (await import('../cat.ts')).cat(values),
    'data',
  ),
  restore: command(
    'Gives records of the archive back to Elasticsearch, to MySQL or to Kafka.',
    restoreOptions,
    async (values) => (await import('../restore.ts')).restore(values),
  ),
  status: command(
    'Says how far each partition is, and what it waits for.',
    statusOptions,
    async (values) => (await import('../status.ts')).status(values),
  ),
  compact: command(
    'Merges the small files of past hours into one each, and folds old manifests.',
    compactOptions,
    async (values) => (await import('../compact.ts')).compact(values),
  ),
  prune: command(
    'Removes old days from the files, from Elasticsearch and from MySQL.',
    pruneOptions,
    async (values) => (await import('../prune.ts')).prune(values),
  ),
}

function chosen(argv: readonly string[]): { name: string; argv: readonly string[] } {
  const [first, ...rest] = argv
  if (first === undefined || first.startsWith('-')) return { name: 'run', argv }
  if (!Object.hasOwn(commands, first)) {
    throw new ArchiverError(
      'USAGE',
      `${first} is not a command; the commands are ${Object.keys(commands).join(', ')}`,
    )
  }
  return { name: first, argv: rest }
}

function help(argv: readonly string[]): string {
  const { name } = chosen(argv.filter((word) => !['--help', '-h', '--all'].includes(word)))
  const { summary, options } = commands[name]!
  const list = Object.entries(commands).map(
    ([key, { summary }]) => `  ${key.padEnd(14)} ${summary}`,
  )
  return [
    'archiver: keeps every message of Kafka topics in gzip JSONL files, in Elasticsearch and, if wanted, in MySQL, exactly once in each.',
    '',
    'Usage: archiver [command] [options]',
    '',
    ...list,
    '',
    `${name}: ${summary}`,
    '',
    'Every option is also a variable (--flush-interval is ARCHIVER_FLUSH_INTERVAL) and a key of the file at --config.',
    '',
    describeGroups(options, argv.includes('--all')),
    'archiver version, or --version, says which one this is.',
    '',
    'Exit codes: 0 done, 1 failed, 2 wrong usage, 141 the reader of ls or cat went away;',
    '129, 130, 131 or 143 stopped by SIGHUP, SIGINT, SIGQUIT or SIGTERM after a clean flush.',
  ].join('\n')
}

// Files of an archive, and what else is written, are for their owner and the group: 0640 and 0750.
process.umask(process.umask() | 0o027)

await runProgram({
  help,
  output: (argv) => commands[chosen(argv).name]!.output,
  main: async (argv) => {
    const { name, argv: rest } = chosen(argv)
    for (const line of unknownVariables(everyOption, process.env))
      standardError.write(`archiver: ${line}\n`)
    await commands[name]!.run({ argv: rest, env: process.env })
  },
})
