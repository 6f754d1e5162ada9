import { commandSets, sharedGroups } from '../src/config/commands.ts'
import {
  explanationOf,
  flagsOf,
  type Options,
  type RelatedOptions,
  variableName,
} from '../src/config/options.ts'
import { fill } from './fill.ts'

/**
 * The configuration reference, from the declarations of the options: `npm run docs` writes it, a
 * test compares it.
 */

export function configurationReference(): string {
  const shared = Object.assign({}, ...sharedGroups.map(({ options }) => options)) as Options
  const titles = [...new Set(sharedGroups.map(({ title }) => title))]
  return `${[
    '# Configuration',
    'Written by `npm run docs` from the declarations in `src/`; do not edit.',
    ...[
      'Each option is a flag, an environment variable or a key of the YAML file at `--config`. A flag wins over a variable, a variable over the file. ' +
        '`--flush-interval 10` is `ARCHIVER_FLUSH_INTERVAL=10` and `flush-interval: 10`. ' +
        '`--no-files`, `ARCHIVER_NO_FILES=true`, `ARCHIVER_FILES=false` and `files: false` in the file all turn files off. One file may serve all commands: each command takes its own keys, and a key of no command is a mistake. ' +
        'A variable that begins with `ARCHIVER_` and belongs to no option is named on standard error and ignored.',
      'The same text means the same in each of the three, character by character:',
      '- In the file every value is its text, with or without quotes: YAML does not turn `0200`, `1e3`, `yes`, `null`, `~` and `2026-11-01` into numbers, switches or dates. Quotes keep blanks at the ends. A value needs quotes if it begins with one of ``* & ! @ % ` | >`` or contains `: ` or ` #`. A secret with a comment on its line is refused, as are anchors, aliases and tags. An empty variable counts as not set.\n' +
        '- A list has commas between its elements. `\\,` is a comma in an element and `\\\\` a backslash; a backslash before anything else is itself. A repeated flag adds elements. In the file a list may also be a YAML list, whose elements are taken whole: `type: ["order,created"]` is `--type "order\\,created"`. No element is empty. Blanks around topics, brokers and URLs are ignored; types of messages and headers keep every character.\n' +
        '- A number is digits, with a point if fractions are allowed: no `0x10`, `1e3`, `1_000` or `+5`. A switch takes `true`, `on`, `1`, `false`, `off`, `0`.\n' +
        '- A file or directory is taken as it is written. Unexpanded shell syntax (`~`, `$HOME`) and URLs (`file://…`) are refused, but for `--archive-dir s3://…`. One line break at the end of a file with a secret is ignored.\n' +
        '- A broker is `host:port` or `[IPv6 address]:port`.',
      'Requests to Elasticsearch, Kibana, the object store and `--sasl-token-url` go through the proxies in the environment: `http_proxy` and `https_proxy`, or the same in capitals. Hosts in `no_proxy` are excepted (`*`, `host`, `.domain`, an address, a network, e.g. `10.0.0.0/8`, each optionally with a port). A host of this machine needs an entry there, too. HTTP and HTTPS proxies count, SOCKS proxies do not. Requests over https use a tunnel, in which certificates and `--elasticsearch-fingerprint` are verified as without a proxy. The log names the proxies at the start. A redirect is not followed: the message names the new address.',
      'The archiver warns of a file at `--config` that holds secrets and that all users of the machine can read.',
      'A mistake is one line that names the option, the value and what is allowed, with exit code 2. Prefer variables or files for secrets: other users of the machine can read flags.',
    ].map(fill),
    '```yaml\nbrokers: [kafka-1:9092, kafka-2:9092]\ntopics-regex: ^events\\.\narchive-dir: /archive\nelasticsearch: https://elasticsearch:9200\nelasticsearch-ca: /etc/archiver/ca.pem\nflush-interval: 30\n```',
    ...titles.flatMap((title) => [
      `## ${title}`,
      table(sharedGroups.filter((group) => group.title === title).map(asForRun)),
    ]),
    '## Commands',
    'Options that a command has besides those above. `archiver <command> --help` lists all that it takes.',
    ...Object.entries(commandSets).flatMap(([name, set]) => {
      const own = Object.keys(set.options).filter(
        (key) => shared[key] !== (set.options as Options)[key],
      )
      return own.length === 0 ? [] : [`### archiver ${name}`, table([set], own)]
    }),
  ].join('\n\n')}\n`
}

/** What `run` says of the options of a group, if it has them. */
function asForRun(group: RelatedOptions): RelatedOptions {
  const { options, relations }: RelatedOptions = commandSets.run
  const isOfRun = Object.keys(group.options).every((key) => options[key] === group.options[key])
  return isOfRun ? { ...group, relations } : group
}

function table(sets: readonly RelatedOptions[], shown?: readonly string[]): string {
  const rows = sets.flatMap((set) =>
    Object.keys(set.options)
      .filter((key) => shown?.includes(key) ?? true)
      .map((key) => row(key, set)),
  )
  return ['| option | default | |', '|---|---|---|', ...rows].join('\n')
}

function row(key: string, set: RelatedOptions): string {
  const option = set.options[key]!
  const names = [...flagsOf(key, option), variableName(key)]
  const named = names.map((text) => `\`${escapeCell(text)}\``).join('<br>')
  const { defaultText: text, isSwitch } = option
  const usual = text === undefined ? '' : isSwitch ? text : `\`${text}\``
  return `| ${named} | ${usual} | ${escapeCell(explanationOf(key, set))} |`
}

function escapeCell(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('|', '\\|')
}
