import { sharedGroups } from '../../config/commands.ts'
import { describeOptions, type OptionSet, type Options, wrapped } from '../../config/options.ts'

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

/** A group of up to this many other options is shown as well, beside one larger group at most. */
const maxShown = 2

/**
 * The options of a command for `--help`: its own and the common ones. With `all` the others follow,
 * in groups. `columns`: the width of the terminal, if there is one.
 */
export function describeGroups(set: OptionSet, all: boolean, columns?: number): string {
  const titleOf = new Map(
    sharedGroups.flatMap(({ title, options }) => Object.keys(options).map((key) => [key, title])),
  )
  const isFirst = (key: string) => common.has(key) || !titleOf.has(key)
  const options = Object.entries(set.options)
  const rest = options.filter(([key]) => !isFirst(key))
  const titles = [...new Set(sharedGroups.map(({ title }) => title))]
  const every = titles
    .map((title) => ({ title, found: rest.filter(([key]) => titleOf.get(key) === title) }))
    .filter(({ found }) => found.length > 0)
  const large = every.filter(({ found }) => found.length > maxShown)
  const groups = large.length > 1 ? every : large
  const isShown = (key: string) => !groups.some(({ title }) => titleOf.get(key) === title)
  const first: Options = Object.fromEntries(options.filter(([key]) => isFirst(key) || isShown(key)))
  const described = (options: Options) => describeOptions(set, options, columns)
  if (groups.length === 0) return described(first)
  if (all) {
    const titled = groups.map(
      ({ title, found }) => `${title}:\n${described(Object.fromEntries(found))}`,
    )
    return [described(first), ...titled].join('\n\n')
  }
  const counts = groups.map(({ title, found }) => `${title} (${found.length})`)
  const more = wrapped(`More with --help --all: ${counts.join(', ')}.`, columns)
  return `${described(first)}\n\n${more}`
}
