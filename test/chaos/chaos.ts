import '../../stack/needs-node.mjs'
import { fileURLToPath } from 'node:url'
import { runProgram } from '../../src/cmd/lib/program.ts'
import {
  describeOptions,
  flag,
  integer,
  list,
  oneOf,
  own,
  readOptions,
  text,
} from '../../src/config/options.ts'
import { ArchiverError } from '../../src/runtime/errors.ts'
import { createTerminal } from '../../src/runtime/terminal.ts'
import { openStack } from '../../stack/stack-control.ts'
import { faultKinds } from './plan.ts'
import { describeAccount } from './report.ts'
import { isProven, runChaos } from './run.ts'

const repository = fileURLToPath(new URL('../..', import.meta.url))

const options = {
  seconds: integer({
    default: '120',
    min: 20,
    unit: 's',
    explanation: 'How long things are broken while records come.',
  }),
  workers: integer({
    default: '3',
    min: 1,
    max: 6,
    explanation: 'How many workers there are when none is missing.',
  }),
  static: integer({
    default: '0',
    min: 0,
    max: 6,
    explanation: 'How many of them are static members of the group.',
  }),
  faults: list({
    default: faultKinds.join(','),
    explanation: `What is broken: ${faultKinds.join(', ')}.`,
  }),
  seed: integer({
    min: 0,
    explanation:
      'The same seed breaks the same things at the same times. Without one, a new one is taken and printed.',
  }),
  rate: integer({
    default: '1200',
    min: 1,
    unit: 'records/s',
    explanation: 'How many records are produced.',
  }),
  every: integer({
    default: '5000',
    min: 100,
    unit: 'ms',
    explanation: 'The mean time between two faults.',
  }),
  away: integer({
    min: 1,
    unit: 's',
    explanation:
      'Besides: once in the run the broker, and once Elasticsearch, is away for so long.',
  }),
  sessionTimeout: integer({
    default: '6000',
    min: 6000,
    unit: 'ms',
    explanation: 'Session timeout of the workers.',
  }),
  flushInterval: integer({
    default: '3',
    min: 1,
    unit: 's',
    explanation: 'Flush interval of the workers.',
  }),
  compactAfter: integer({
    default: '5',
    min: 0,
    unit: 's',
    explanation: 'How soon workers compact what they have written; 0: never.',
  }),
  drain: integer({
    default: '240',
    min: 10,
    unit: 's',
    explanation: 'How long the workers may take for the rest once all is well.',
  }),
  dir: text({
    default: `${repository}.stack-chaos`,
    placeholder: '<directory>',
    explanation: 'Folder of the stack, the archive and the logs of the run.',
  }),
  kafkaPort: integer({
    default: '9492',
    min: 1,
    max: 65_535,
    explanation: 'Port of the Kafka of the run.',
  }),
  elasticsearchPort: integer({
    default: '9490',
    min: 1,
    max: 65_535,
    explanation: 'Port of the Elasticsearch of the run.',
  }),
  mysql: flag({
    default: false,
    explanation: 'With MySQL as a third store, which is broken like the others.',
  }),
  mariadbPort: integer({
    default: '9496',
    min: 1,
    max: 65_535,
    explanation: 'Port of the MariaDB of the run.',
  }),
  home: oneOf(['directory', 's3'], {
    default: 'directory',
    explanation:
      'Where the archive is. With s3, in a bucket of a store of the run, which is broken like the others.',
  }),
  store: oneOf(['s3proxy', 'versitygw'], {
    default: 's3proxy',
    explanation: 'The store of --home s3. versitygw is built with Go.',
  }),
  s3Port: integer({
    default: '9498',
    min: 1,
    max: 65_535,
    explanation: 'Port of the store of --home s3.',
  }),
  keep: flag({
    default: false,
    explanation: 'Leave archive, indices and topics for a look at them.',
  }),
  keepStack: flag({ default: false, explanation: 'Leave the servers running.' }),
}

const help = `chaos: produces records while it kills, freezes and starves workers, broker, engine and disk, then
compares every record of Kafka with the stores. Exit code 0 where nothing is missing, duplicate or changed.

${describeOptions(own(options))}`

async function main(argv: readonly string[]): Promise<void> {
  const given = readOptions(options, { argv, env: {} })
  const kinds = given.faults.map((name) => {
    const kind = faultKinds.find((known) => known === name)
    if (kind === undefined)
      throw new ArchiverError(
        'USAGE',
        `--faults: "${name}" is not allowed; expected some of ${faultKinds.join(', ')}`,
      )
    return kind
  })
  const seed = given.seed ?? Math.floor(Math.random() * 1_000_000)
  const terminal = createTerminal(process.stderr)
  const stack = openStack({
    dir: given.dir,
    kafkaPort: given.kafkaPort,
    elasticsearchPort: given.elasticsearchPort,
    mariadbPort: given.mariadbPort,
    s3Port: given.s3Port,
  })
  let said = 0
  try {
    const account = await runChaos(
      {
        stack,
        dir: given.dir,
        seconds: given.seconds,
        workers: given.workers,
        staticMembers: given.static,
        kinds: [
          ...kinds,
          ...(given.mysql ? ['mysql' as const] : []),
          ...(given.home === 's3' ? ['store' as const] : []),
        ],
        mysql: given.mysql,
        ...(given.home === 's3' ? { bucket: given.store } : {}),
        seed,
        rate: given.rate,
        everyMs: given.every,
        ...(given.away === undefined ? {} : { awayMs: given.away * 1000 }),
        sessionTimeoutMs: given.sessionTimeout,
        flushIntervalSeconds: given.flushInterval,
        compactAfterSeconds: given.compactAfter,
        drainSeconds: given.drain,
        keep: given.keep,
      },
      {
        say: (line) => terminal.write(`${line}\n`),
        status: (line) => {
          terminal.setStatus(line)
          if (terminal.isTTY || performance.now() - said < 10_000) return
          said = performance.now()
          terminal.write(`${line}\n`)
        },
      },
    )
    terminal.close()
    process.stdout.write(describeAccount(account))
    if (!isProven(account))
      throw new ArchiverError(
        'INTERNAL',
        `seed ${seed} found a fault in the archiver; its account is above`,
      )
  } finally {
    terminal.close()
    if (!given.keepStack) await stack.stop()
  }
}

await runProgram({ help, main })
