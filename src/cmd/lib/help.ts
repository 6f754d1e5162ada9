import { sharedGroups } from '../../config/commands.ts'
import { describeOptions, type OptionSet, type Options } from '../../config/options.ts'

/** The options that most people need, among those that several commands share. */
const common = new Set([
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

/** Up to this many other options are shown as well. */
const maxRest = 2

/**
 * The options of a command for `--help`: its own and the common ones. With `all` the others follow,
 * in groups.
 */
export function describeGroups(set: OptionSet, all: boolean): string {
  const titleOf = new Map(
    sharedGroups.flatMap(({ title, options }) => Object.keys(options).map((key) => [key, title])),
  )
  const isFirst = (key: string) => common.has(key) || !titleOf.has(key)
  const options = Object.entries(set.options)
  const first: Options = Object.fromEntries(options.filter(([key]) => isFirst(key)))
  const rest = options.filter(([key]) => !isFirst(key))
  if (rest.length <= maxRest) return describeOptions(set, { ...first, ...Object.fromEntries(rest) })
  const titles = [...new Set(sharedGroups.map(({ title }) => title))]
  const groups = titles
    .map((title) => ({ title, found: rest.filter(([key]) => titleOf.get(key) === title) }))
    .filter(({ found }) => found.length > 0)
  if (all) {
    const described = groups.map(
      ({ title, found }) => `${title}:\n${describeOptions(set, Object.fromEntries(found))}`,
    )
    return [describeOptions(set, first), ...described].join('\n\n')
  }
  const counts = groups.map(({ title, found }) => `${title} (${found.length})`)
  return `${describeOptions(set, first)}\n\nMore with --help --all: ${counts.join(', ')}.`
}
