import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import {
  bytes,
  describeOptions,
  flag,
  integer,
  oneOf,
  own,
  readOptions,
  text,
  type Values,
} from '../src/config/options.ts'
import { ArchiverError, messageOf } from '../src/runtime/errors.ts'
import type { Progress } from './fetch.ts'
import { s3AccessKey, s3Bucket, s3SecretKey } from './s3proxy-part.ts'
import {
  elasticsearchVersions,
  mebibyte,
  type PartName,
  partNames,
  pointsElsewhere,
  usualParts,
} from './settings.ts'
import { openStack, type Stack } from './stack-control.ts'
import { StackError } from './stack-error.ts'

const port = { min: 1024, max: 65_535 }

const options = {
  dir: text({
    explanation: 'Folder of data, logs and pid files. Default: .stack in this repository.',
    placeholder: '<folder>',
  }),
  kafkaPort: integer({
    ...port,
    explanation: 'Port of Kafka. Default: what this folder used last, else 9092.',
  }),
  controllerPort: integer({
    ...port,
    explanation: "Port of Kafka's controller. Default: one above Kafka's.",
  }),
  elasticsearchPort: integer({
    ...port,
    explanation: 'HTTP port of Elasticsearch. Default: what this folder used last, else 9200.',
  }),
  transportPort: integer({
    ...port,
    explanation: 'Transport port of Elasticsearch. Default: a hundred above its HTTP port.',
  }),
  mariadbPort: integer({
    ...port,
    explanation: 'Port of MariaDB. Default: what this folder used last, else 3306.',
  }),
  s3Port: integer({
    ...port,
    explanation: 'Port of the object store. Default: what this folder used last, else 9000.',
  }),
  elasticsearchVersion: oneOf(['auto', ...elasticsearchVersions], {
    explanation:
      'auto: what this folder used last, else 9.5.3 where a Java 21 or newer is found, else 8.19.21.',
    default: 'auto',
  }),
  kafkaHeap: bytes({ min: 128 * mebibyte, explanation: 'Java heap of Kafka. Default: 512MiB.' }),
  elasticsearchHeap: bytes({
    min: 256 * mebibyte,
    explanation: 'Java heap of Elasticsearch. Default: 1GiB.',
  }),
  security: {
    ...flag({
      explanation:
        'Elasticsearch with TLS and basic authentication. Default: what this folder used last, else off.',
      default: false,
    }),
    defaultValue: undefined,
  },
  elasticPassword: text({
    explanation: 'With --security: the password of the user elastic. Default: changeme.',
    placeholder: '<password>',
  }),
  only: oneOf(['both', ...partNames], {
    explanation: 'For up and down: one part alone.',
    default: 'both',
  }),
  mariadb: flag({
    explanation: 'For up: MariaDB as well, which stands for MySQL.',
    default: false,
  }),
  s3: flag({
    explanation: 'For up: S3Proxy as well, an object store that speaks S3.',
    default: false,
  }),
  lines: integer({ min: 1, explanation: 'For logs: how many lines from the end.', default: '50' }),
  follow: flag({ explanation: 'For logs: keep printing what comes.', default: false }),
  downloads: flag({ explanation: 'For wipe: the downloads too.', default: false }),
}

const commands = ['up', 'down', 'status', 'logs', 'wipe'] as const
type CommandName = (typeof commands)[number]

const usage = `Usage: npm run stack -- <command> [options]

A real Kafka and a real Elasticsearch on this machine, and a real MariaDB and an object store for
those who ask for them, fetched from Maven Central once. Needs Java and Maven.

Commands
  up       starts what does not run, and waits until both answer
  down     stops all that runs; the data stays
  status   what runs and where; exit code 1 unless both answer
  logs     the end of the logs: logs [kafka|elasticsearch|mariadb|s3]
  wipe     stops all and deletes their data

Options (each is also a variable: --kafka-port is ARCHIVER_KAFKA_PORT)
${describeOptions(own(options))}
`

/** On a terminal the present state is one line that is replaced. */
function progressOn(stream: NodeJS.WriteStream): Progress {
  const clear = stream.isTTY ? '\r\x1b[K' : ''
  return {
    update: (line) => {
      if (stream.isTTY) stream.write(`${clear}${line}`)
    },
    say: (line) => void stream.write(`${clear}${line}\n`),
  }
}

const progress = progressOn(process.stderr)
const print = (line: string) => void process.stdout.write(`${line}\n`)

function open(values: Values<typeof options>): Stack {
  const { elasticsearchVersion: version, ...rest } = values
  return openStack(
    { ...rest, elasticsearchVersion: version === 'auto' ? undefined : version },
    progress,
  )
}

async function up(stack: Stack, names: readonly PartName[]): Promise<void> {
  const wanted = pointsElsewhere(process.env, stack.settings)
    ? names.filter((name) => !usualParts.includes(name))
    : names
  if (wanted.length < names.length) {
    print('Not needed: ARCHIVER_BROKERS and ARCHIVER_ELASTICSEARCH point at other servers')
  }
  if (wanted.length === 0) return
  await stack.start(...wanted)
  await status(stack)
}

async function status(stack: Stack): Promise<boolean> {
  const parts = await stack.status()
  for (const { title, address, pid, answers, logFile } of parts) {
    const state = pid === undefined ? 'does not run' : answers ? 'answers' : 'does not answer'
    print(
      `${title.padEnd(22)} ${state.padEnd(16)} ${address}${pid === undefined ? '' : `  pid ${pid}  log ${logFile}`}`,
    )
  }
  if (
    stack.settings.security &&
    parts.some((part) => part.name === 'elasticsearch' && part.pid !== undefined)
  ) {
    print(
      `Elasticsearch: user elastic, password ${stack.settings.elasticPassword}, CA file ${stack.certificateFile}`,
    )
  }
  if (parts.some((part) => part.name === 'mariadb')) {
    print(
      `MariaDB: --mysql ${stack.mysqlUrl} (root has the same password), CA file ${stack.mysqlCertificateFile}`,
    )
  }
  if (parts.some((part) => part.name === 's3')) {
    print(
      `S3Proxy: --archive-dir s3://${s3Bucket}/… --s3-endpoint ${stack.s3Url} --s3-path-style, with AWS_ACCESS_KEY_ID=${s3AccessKey} AWS_SECRET_ACCESS_KEY=${s3SecretKey}`,
    )
  }
  return parts.every((part) => part.answers)
}

async function down(stack: Stack, names: readonly PartName[]): Promise<void> {
  const stopped = await stack.stop(...names)
  progress.say(stopped.length === 0 ? 'Nothing ran' : `Stopped ${stopped.join(' and ')}`)
}

function logs(stack: Stack, names: readonly PartName[], values: Values<typeof options>): void {
  const files = names
    .map((name) => stack[name].definition.logFile)
    .filter((file) => existsSync(file))
  if (files.length === 0)
    throw new StackError('There is no log yet; start with "npm run stack -- up"')
  spawnSync('tail', ['-n', String(values.lines), ...(values.follow ? ['-F'] : []), ...files], {
    stdio: 'inherit',
  })
}

async function wipe(stack: Stack, downloads: boolean): Promise<void> {
  await stack.wipe({ downloads })
  progress.say(
    `Wiped ${stack.settings.dir}${downloads ? ' and the downloads' : ' (the downloads stay)'}`,
  )
}

/** @returns the exit code. */
async function main(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv
  if (
    command === undefined ||
    argv.includes('--help') ||
    argv.includes('-h') ||
    command === 'help'
  ) {
    process.stdout.write(usage)
    return command === undefined ? 2 : 0
  }
  if (!isOneOf(commands, command)) {
    throw new ArchiverError(
      'USAGE',
      `"${command}" is not a command; expected one of ${commands.join(', ')} (see --help)`,
    )
  }
  const named = command === 'logs' && isOneOf(partNames, rest[0]) ? rest[0] : undefined
  const values = readOptions(options, {
    argv: named === undefined ? rest : rest.slice(1),
    env: process.env,
  })
  const only = named ?? (values.only === 'both' ? undefined : values.only)
  const names = only === undefined ? namesFor(command, values) : [only]
  const stack = open(values)
  return await run(command, stack, names, values)
}

function namesFor(
  command: CommandName,
  asked: Readonly<Pick<Values<typeof options>, 'mariadb' | 's3'>>,
): readonly PartName[] {
  if (command !== 'up') return partNames
  return partNames.filter(
    (name) => usualParts.includes(name) || ((name === 'mariadb' || name === 's3') && asked[name]),
  )
}

async function run(
  command: CommandName,
  stack: Stack,
  names: readonly PartName[],
  values: Values<typeof options>,
): Promise<number> {
  if (command === 'up') await up(stack, names)
  else if (command === 'down') await down(stack, names)
  else if (command === 'logs') logs(stack, names, values)
  else if (command === 'wipe') await wipe(stack, values.downloads)
  else return (await status(stack)) ? 0 : 1
  return 0
}

function isOneOf<const W extends string>(words: readonly W[], word: string | undefined): word is W {
  return words.some((candidate) => candidate === word)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof StackError) && !(error instanceof ArchiverError)) throw error
  progress.say(messageOf(error instanceof StackError ? error.message : error))
  process.exitCode = error instanceof ArchiverError ? error.exitCode : 1
}
