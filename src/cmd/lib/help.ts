import {
  bulkOptions,
  elasticsearchConnectionOptions,
  filesOptions,
  kafkaOptions,
  kibanaOptions,
  logOptions,
  mysqlOptions,
  topicsOptions,
  typeOptions,
  workerOptions,
} from '../../config/config.ts'
import { describeOptions, type Options } from '../../config/options.ts'

/** What most people need of the options that several commands share. */
const few = new Set([
  'config',
  'brokers',
  'topics',
  'topicsRegex',
  'group',
  'archiveDir',
  'flushInterval',
  'elasticsearch',
  'indexPrefix',
  'mysql',
  'kibana',
  'http',
  'untilEnd',
])

const groups: readonly (readonly [title: string, options: Options])[] = [
  ['Kafka', kafkaOptions],
  ['Topics', topicsOptions],
  ['Types of messages', typeOptions],
  ['Files', filesOptions],
  ['Elasticsearch', { ...elasticsearchConnectionOptions, ...bulkOptions }],
  ['MySQL', mysqlOptions],
  ['Kibana', kibanaOptions],
  ['The worker', workerOptions],
  ['Log', logOptions],
]

const maxLeft = 2

/**
 * The options of a command for `--help`: the few that everybody needs, which are those of the
 * command alone and some that are shared. With `all` the others follow, in groups.
 */
export function describeGroups(declared: Options, all: boolean): string {
  const left = { ...declared }
  const take = (isTaken: (key: string) => boolean): Options => {
    const taken = Object.fromEntries(Object.entries(left).filter(([key]) => isTaken(key)))
    for (const key of Object.keys(taken)) delete left[key]
    return taken
  }
  const first = take((key) => few.has(key) || !groups.some(([, options]) => key in options))
  const rest = groups
    .map(([title, options]) => [title, take((key) => key in options)] as const)
    .filter(([, options]) => Object.keys(options).length > 0)
  // Not worth a second look.
  const isShort = rest.flatMap(([, options]) => Object.keys(options)).length <= maxLeft
  if (isShort)
    return describeOptions(Object.assign({}, first, ...rest.map(([, options]) => options)))
  if (all) {
    return [
      describeOptions(first),
      ...rest.map(([title, options]) => `${title}:\n${describeOptions(options)}`),
    ].join('\n\n')
  }
  const counts = rest.map(([title, options]) => `${title} (${Object.keys(options).length})`)
  return `${describeOptions(first)}\n\nMore with --help --all: ${counts.join(', ')}.`
}
