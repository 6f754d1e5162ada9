import { type CommandName, commandSets, everyOption } from '../../config/commands.ts'
import {
  didYouMean,
  exposedSecrets,
  type OptionSet,
  type OptionSources,
  readOptions,
  related,
  unknownVariables,
  type ValuesOf,
  wrapped,
} from '../../config/options.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import { describeFileError } from '../../runtime/file-errors.ts'
import { standardError, standardOutput } from '../../runtime/standard-streams.ts'
import { describeGroups } from './help.ts'
import { usageOf, withNames } from './positional.ts'
import { type OutputKind, runProgram } from './program.ts'
import { type RunFlags, takeRunFlags, withRunFlags } from './run-flags.ts'

/** A command: a sentence about it, its options, and what it does with their values. */
interface Command {
  readonly summary: string
  readonly set: OptionSet
  readonly output: OutputKind
  readonly run: (sources: OptionSources) => Promise<void>
}

/**
 * `act` imports the command when it is chosen, so that no command loads the libraries of another.
 */
function command<N extends CommandName>(
  name: N,
  summary: string,
  act: (values: ValuesOf<(typeof commandSets)[N]>) => Promise<void>,
  output: OutputKind = 'report',
): readonly [N, Command] {
  const set: OptionSet = commandSets[name]
  const run = async ({ argv, env }: OptionSources) => {
    const words = withNames(name, argv)
    const flags: RunFlags = name === 'run' ? { argv, values: {} } : takeRunFlags(words, set.options)
    const values = readOptions(set.options, { argv: flags.argv, env }, everyOption)
    warnOfExposedSecrets((values as { readonly config?: string }).config)
    const narrowed = await withRunFlags(related(set, values), flags.values, set.options)
    await act(narrowed as ValuesOf<(typeof commandSets)[N]>).catch((error: unknown) => {
      throw knownError(error) ?? error
    })
  }
  return [name, { summary, set, output, run }]
}

/** Secrets in the file at `--config` are for its owner and group, as are files with a secret. */
function warnOfExposedSecrets(config: string | undefined): void {
  const names = config === undefined ? [] : exposedSecrets(everyOption, config)
  if (names.length === 0) return
  standardError.write(
    `archiver: ${config} holds ${names.join(', ')} and can be read by all users of this machine; chmod o-r it\n`,
  )
}

/** An error that is no bug, although the command did not say what it means. */
function knownError(error: unknown): ArchiverError | undefined {
  if (isRefusedRequest(error)) return new ArchiverError('UNREACHABLE', messageOf(error), {}, error)
  const ofFile = describeFileError(error)
  return ofFile === undefined ? undefined : new ArchiverError('ARCHIVE_UNUSABLE', ofFile, {}, error)
}

/**
 * Whether Elasticsearch refused a request or gave no answer. The name of the error tells it, so
 * that its client is loaded only if it is used.
 */
function isRefusedRequest(error: unknown): boolean {
  return (
    error instanceof Error && /^(RequestFailure|NoAnswerInTime|AnswerTooLarge)$/.test(error.name)
  )
}

const commands = new Map<string, Command>([
  command(
    'run',
    'Archives topics; runs when no command is named.',
    async (values) => (await import('../run.ts')).run(values),
    'log',
  ),
  command(
    'setup',
    'Installs the index templates, the MySQL table, and dashboards in Kibana.',
    async (values) => (await import('../setup.ts')).setup(values),
  ),
  command(
    'dashboard',
    'Makes a dashboard for a type of messages from its fields in Elasticsearch.',
    async (values) => (await import('../dashboard.ts')).dashboard(values),
  ),
  command(
    'verify',
    'Proves that files, Elasticsearch, MySQL and Kafka agree, offset by offset.',
    async (values) => (await import('../verify.ts')).verify(values),
  ),
  command(
    'retry-rejected',
    'Sends rejected documents to Elasticsearch again, after a template was repaired.',
    async (values) => (await import('../retry-rejected.ts')).retryRejected(values),
  ),
  command(
    'ls',
    'Lists what the archive holds.',
    async (values) => (await import('../ls.ts')).ls(values),
    'data',
  ),
  command(
    'cat',
    'Prints records of the archive.',
    async (values) => (await import('../cat.ts')).cat(values),
    'data',
  ),
  command(
    'mapping',
    'Says what the fields of a type are, and how to map them in Elasticsearch.',
    async (values) => (await import('../mapping.ts')).mapping(values),
  ),
  command(
    'restore',
    'Writes records of the archive back to Elasticsearch, MySQL or Kafka.',
    async (values) => (await import('../restore.ts')).restore(values),
  ),
  command('status', 'Shows how far each partition is, and what it waits for.', async (values) =>
    (await import('../status.ts')).status(values),
  ),
  command(
    'compact',
    'Merges the small files of past hours into one each, and folds old manifests.',
    async (values) => (await import('../compact.ts')).compact(values),
  ),
  command(
    'prune',
    'Removes old days from the files, from Elasticsearch and from MySQL.',
    async (values) => (await import('../prune.ts')).prune(values),
  ),
  command(
    'copy',
    'Copies an archive to another directory or bucket, and proves the copy.',
    async (values) => (await import('../copy.ts')).copy(values),
  ),
  command(
    'leave',
    'Removes a stopped worker with a --group-instance-id from the group, for scaling in.',
    async (values) => (await import('../leave.ts')).leave(values),
  ),
  command(
    'sweep',
    'Ends open uploads and removes objects that dead workers left in a bucket.',
    async (values) => (await import('../sweep.ts')).sweep(values),
  ),
])

interface Choice {
  readonly command: Command
  readonly name: string
  /** The command line without the name of the command. */
  readonly argv: readonly string[]
}

function chosen(argv: readonly string[]): Choice {
  const [first, ...rest] = argv
  const isNamed = first !== undefined && !first.startsWith('-')
  const name = isNamed ? first : 'run'
  const command = commands.get(name)
  if (command !== undefined) return { command, name, argv: isNamed ? rest : argv }
  const names = [...commands.keys()]
  const meant = didYouMean(name, names)
  throw new ArchiverError(
    'USAGE',
    `${name} is not a command${meant === '' ? `; the commands are ${names.join(', ')}` : `${meant} (see --help)`}`,
  )
}

/** Without a command: what there is, and the options of `run`. */
function help(argv: readonly string[]): string {
  const words = argv.filter((word) => !['--help', '-h', '--all'].includes(word))
  if (words[0] === 'help') words.shift()
  const { command, name } = chosen(words)
  const isNamed = words[0] === name
  return [
    ...(isNamed ? [] : overview()),
    fit(`${isNamed ? 'archiver ' : ''}${name}: ${command.summary}`),
    '',
    ...(isNamed ? [`Usage: archiver ${[name, ...usageOf(name)].join(' ')} [options]`, ''] : []),
    fit(
      'Every option is also a variable (--flush-interval is ARCHIVER_FLUSH_INTERVAL) and a key of the YAML file at --config.',
    ),
    '',
    describeGroups(command.set, argv.includes('--all'), standardOutput.columns),
    '',
    isNamed
      ? 'archiver --help lists all commands.'
      : 'archiver version, or --version, prints the version.',
    '',
    fit(
      'Exit codes: 0 done, 1 failed, 2 wrong usage, 141 the reader of ls or cat went away; 129, 130, 131 or 143 stopped by SIGHUP, SIGINT, SIGQUIT or SIGTERM after a clean flush.',
    ),
  ].join('\n')
}

/** The text as wide as the terminal, at most 100 columns. */
const fit = (text: string, indent = 0) => wrapped(text, standardOutput.columns, indent)

function overview(): readonly string[] {
  const width = Math.max(...[...commands.keys()].map((key) => key.length))
  return [
    fit(
      'archiver: keeps every message of Kafka topics in gzip JSONL files, in Elasticsearch and, optionally, in MySQL, exactly once in each.',
    ),
    '',
    'Usage: archiver [command] [options]',
    '       archiver <command> --help',
    '',
    ...[...commands].map(
      ([key, { summary }]) => `  ${key.padEnd(width)}  ${fit(summary, width + 4)}`,
    ),
    '',
  ]
}

// All files that the program writes are for their owner and group: 0640 and 0750.
process.umask(process.umask() | 0o027)

await runProgram({
  help,
  output: (argv) => chosen(argv).command.output,
  main: async (argv) => {
    const { command, argv: rest } = chosen(argv)
    for (const line of unknownVariables(everyOption, process.env))
      standardError.write(`archiver: ${line}\n`)
    await command.run({ argv: rest, env: process.env })
  },
})
