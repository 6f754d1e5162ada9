import * as archiveOptions from '../src/config/archive.ts'
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
} from '../src/config/config.ts'
import {
  flagName,
  negatedVariableName,
  type Option,
  type Options,
  variableName,
} from '../src/config/options.ts'
import { fill } from './fill.ts'

/**
 * The configuration reference, from the declarations of the options: `npm run docs` writes it, a
 * test compares it.
 */

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
    ...[
      'Each option is a flag, an environment variable or a key of the YAML file at `--config`; a flag wins over a variable, a variable over the file. ' +
        '`--flush-interval 10` is `ARCHIVER_FLUSH_INTERVAL=10` and `flush-interval: 10`. ' +
        'What is on is switched off by `--no-…` or `ARCHIVER_NO_…=true`, in the file by `files: false` for `--no-files`. One file may serve all commands: each takes its own keys; one that no command has is a mistake. ' +
        'A variable that begins with `ARCHIVER_` and is that of no option is named on standard error, and passed over.',
      'The same text means the same in each of the three, character by character:',
      '- In the file every value is the text that is written there, with or without quotes: `0200`, `1e3`, `yes`, `null`, `~` and `2026-11-01` are no numbers, switches or dates of YAML. Quotes keep blanks at the ends, and are needed around a value that begins with one of ``* & ! @ % ` | >`` or has `: ` or ` #` in it. A secret with a comment behind it on its line is refused, as are anchors, aliases and tags. An empty variable counts as not set.\n' +
        '- A list has commas between its elements. `\\,` is a comma in an element and `\\\\` a backslash; a backslash before anything else is itself. A flag that is given again adds elements. In the file a list may also be one of YAML, of which each element is taken whole: `type: ["order,created"]` is `--type "order\\,created"`. No element is empty. Blanks around topics, brokers and URLs are passed over; types of messages and headers keep every character.\n' +
        '- A number is digits, with a point where fractions are allowed: no `0x10`, `1e3`, `1_000` or `+5`. A switch takes `true`, `on`, `1`, `false`, `off`, `0`.\n' +
        '- A file or directory is taken as it is written. What a shell may have left unexpanded (`~`, `$HOME`) and URLs (`s3://…`, `file://…`) are refused: object stores are not supported. A file with a secret holds it without or with one line break at its end.\n' +
        '- A broker is `host:port` or `[IPv6 address]:port`.',
      'Requests for Elasticsearch, Kibana and `--sasl-token-url` go through the proxies that the environment names: `http_proxy` and `https_proxy`, or the same in capitals, but for the hosts in `no_proxy` (`*`, `host`, `.domain`, an address, a network such as `10.0.0.0/8`, each with a port if only that is meant; a host of this machine needs its place there, too). Proxies for http and https count, not those for SOCKS; requests for https go through a tunnel, in which certificates and `--elasticsearch-fingerprint` are verified as without one. The start says which proxy is used. A redirect is not followed: the message names the new address.',
      'The archiver warns of a file at `--config` that holds secrets and can be read by all users of the machine.',
      'A mistake is one line that names the option, the value and what is allowed, with exit code 2. Secrets are better given as variables or as files than as flags, which other users of the machine can read.',
    ].map(fill),
    '```yaml\nbrokers: [kafka-1:9092, kafka-2:9092]\ntopics-regex: ^events\\.\narchive-dir: /archive\nelasticsearch: https://elasticsearch:9200\nelasticsearch-ca: /etc/archiver/ca.pem\nflush-interval: 30\n```',
    ...groups.flatMap(([title, options]) => [`## ${title}`, table(options)]),
    '## Commands',
    'Options that a command has beside those above. `archiver <command> --help` lists all that it takes.',
    ...commands.flatMap(([name, options]) => {
      const own = Object.fromEntries(
        Object.entries(options).filter(([key, option]) => shared[key] !== option),
      )
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
  // A switch is listed by the name that changes something: where it is on, that is its opposite,
  // which is off.
  const standard = isSwitch ? 'off' : defaultText === undefined ? '' : `\`${defaultText}\``
  return `| ${named} | ${standard} | ${escapeCell(explanation)} |`
}

function escapeCell(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('|', '\\|')
}
