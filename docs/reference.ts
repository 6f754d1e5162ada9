import * as archiveOptions from '../src/cmd/archive-options.ts'
import {
  bulkOptions,
  dashboardOptions,
  elasticsearchConnectionOptions,
  filesOptions,
  kafkaOptions,
  kafkaSecurityOptions,
  kibanaOptions,
  logOptions,
  runOptions,
  setupOptions,
  topicsOptions,
  typeOptions,
  workerOptions,
} from '../src/config.ts'
import { flagName, negatedVariableName, type Option, type Options, variableName } from '../src/options.ts'

/** The configuration reference, from the declarations of the options: `npm run docs` writes it, a test compares it. */

const groups: readonly (readonly [string, Options])[] = [
  ['Kafka', without(kafkaOptions, kafkaSecurityOptions)],
  ['TLS and logins of Kafka', kafkaSecurityOptions],
  ['Topics', topicsOptions],
  ['Types', typeOptions],
  ['Files', filesOptions],
  ['Elasticsearch', elasticsearchConnectionOptions],
  ['Sending to Elasticsearch', bulkOptions],
  ['The worker', workerOptions],
  ['Kibana', kibanaOptions],
  ['Configuration file and log', logOptions],
]

const commands: readonly (readonly [string, Options])[] = [
  ['run', runOptions],
  ['setup', setupOptions],
  ['dashboard', dashboardOptions],
  // `retryRejectedOptions` are those of `archiver retry-rejected`.
  ...Object.entries(archiveOptions).map(
    ([name, options]) => [flagName(name.replace(/Options$/, '')), options] as const,
  ),
]

function without(options: Options, left: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([key]) => !(key in left)))
}

export function configurationReference(): string {
  const shared = Object.assign({}, ...groups.map(([, options]) => options)) as Options
  return `${[
    '# Configuration',
    'Written by `npm run docs` from the declarations in `src/`; do not edit.',
    'Each option is a flag, an environment variable or a key of the YAML file at `--config`; a flag wins over a variable, a variable over the file. ' +
      '`--flush-interval 10` is `ARCHIVER_FLUSH_INTERVAL=10` and `flush-interval: 10`. A list is written with commas, in YAML also as a list. ' +
      'What is on is switched off by `--no-…` or `ARCHIVER_NO_…=true`, in the file by `files: false` for `--no-files`. One file may serve all commands: each takes its own keys; one that no command has is a mistake. ' +
      'A variable that begins with `ARCHIVER_` and is that of no option is named on standard error, and passed over.',
    'A mistake is one line that names the option, the value and what is allowed, with exit code 2. Secrets are better given as variables or as files than as flags, which other users of the machine can read.',
    '```yaml\nbrokers: [kafka-1:9092, kafka-2:9092]\ntopics-regex: ^events\\.\narchive-dir: /archive\nelasticsearch: https://elasticsearch:9200\nelasticsearch-ca: /etc/archiver/ca.pem\nflush-interval: 30\n```',
    ...groups.flatMap(([title, options]) => [`## ${title}`, table(options)]),
    '## Commands',
    'Options that a command has beside those above. `archiver <command> --help` lists all that it takes.',
    ...commands.flatMap(([name, options]) => {
      const own = Object.fromEntries(Object.entries(options).filter(([key, option]) => shared[key] !== option))
      return Object.keys(own).length === 0 ? [] : [`### archiver ${name}`, table(own)]
    }),
  ].join('\n\n')}\n`
}

function table(options: Options): string {
  const rows = Object.entries(options).map(([key, option]) => row(key, option))
  return ['| option | default | |', '|---|---|---|', ...rows].join('\n')
}

function row(key: string, option: Option<unknown>): string {
  const { placeholder, defaultText, explanation, negated, isSwitch } = option
  const name = flagName(key)
  const isOn = isSwitch && option.defaultValue === true
  const flag = isOn ? `--no-${name}` : `--${name}${placeholder === '' ? '' : ` ${placeholder}`}`
  const flags = [flag, ...(negated !== undefined && !isSwitch ? [`--no-${name}`] : [])]
  const variable = isOn ? negatedVariableName(key) : variableName(key)
  const named = [...flags, variable].map((text) => `\`${escapeCell(text)}\``).join('<br>')
  // A switch is listed by the name that changes something: where it is on, that is its opposite, which is off.
  const standard = isSwitch ? 'off' : defaultText === undefined ? '' : `\`${defaultText}\``
  return `| ${named} | ${standard} | ${escapeCell(explanation)} |`
}

function escapeCell(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('|', '\\|')
}
