import type { ArchiveValues as ArchiveOptions } from '../../config/archive.ts'
import { type RunOptions, runSet } from '../../config/commands/run.ts'
import { flagName, type Options, readOptions } from '../../config/options.ts'
import { readIdentity } from '../../files/log/archive.ts'
import { listPartitions } from '../../files/log/commit-log.ts'
import type { ReadableHome } from '../../home/home.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { openArchive } from './archive-home.ts'

/**
 * Flags of `run` on the command line of a command that reads the same archive: people start both
 * with the same flags. Each is checked as for `run`. A flag that narrows what is read does so here
 * as well, one that the archive contradicts is refused, the others have no meaning here.
 */
export interface RunFlags {
  /** The command line without them. */
  readonly argv: readonly string[]
  readonly values: Partial<RunOptions>
}

/** @throws ArchiverError `USAGE` for a value that `run` refuses as well. */
export function takeRunFlags(argv: readonly string[], own: Options): RunFlags {
  const others: Options = Object.fromEntries(
    Object.entries(runSet.options).filter(([key]) => !(key in own)),
  )
  const words = [...argv]
  const left: string[] = []
  const taken: string[] = []
  const keys = new Set<string>()
  while (words.length > 0) {
    const word = words.shift()!
    const [name = ''] = word.replace(/^--/, '').split('=', 1)
    const found =
      word.startsWith('--') && find(own, name) === undefined ? find(others, name) : undefined
    const target = found === undefined ? left : taken
    if (found !== undefined) keys.add(found.key)
    target.push(word)
    const takesNext =
      (found ?? find(own, name))?.takesValue === true &&
      !word.includes('=') &&
      word.startsWith('--')
    if (takesNext && words.length > 0) target.push(words.shift()!)
  }
  const values = readOptions(others, { argv: taken, env: {} })
  return {
    argv: left,
    values: Object.fromEntries(Object.entries(values).filter(([key]) => keys.has(key))),
  }
}

function find(
  options: Options,
  name: string,
): { readonly key: string; readonly takesValue: boolean } | undefined {
  for (const [key, { isSwitch, negated }] of Object.entries(options)) {
    if (flagName(key) === name) return { key, takesValue: !isSwitch }
    if (negated !== undefined && `no-${flagName(key)}` === name) return { key, takesValue: false }
  }
  return undefined
}

interface ArchiveValues {
  readonly archiveDir?: ArchiveOptions['archiveDir']
  readonly topic?: readonly string[] | undefined
  readonly topics?: readonly string[] | undefined
}

/**
 * The values of a command, narrowed by the flags of `run`.
 * @throws ArchiverError `USAGE` if the archive belongs to another group, or if a command without
 *    topics would affect more than the named ones; `NOT_FOUND` if no topic of the archive matches
 */
export async function withRunFlags<V extends object>(
  values: V,
  run: RunFlags['values'],
  own: Options,
): Promise<V> {
  const { archiveDir, topic, topics } = values as ArchiveValues
  if (archiveDir === undefined) return values
  const { topicsExcludeRegex: excluded } = run
  const isNarrowed = (run.topics ?? run.topicsRegex ?? excluded) !== undefined
  if (run.group === undefined && !isNarrowed) return values
  await using home = await openArchive(values as unknown as ArchiveOptions)
  if (run.group !== undefined) await checkGroup(home, run.group)
  if (!isNarrowed) return values
  if ((topic ?? topics ?? run.topics) !== undefined && run.topicsRegex !== undefined) {
    throw new ArchiverError('USAGE', '--topics-regex and the names of topics exclude each other')
  }
  if (topic !== undefined)
    throw new ArchiverError('USAGE', '--topic and --topics exclude each other; give one')
  const archived = [...new Set((await listPartitions(home)).map(({ topic }) => topic))]
  const chosen = run.topics ?? archived.filter((name) => run.topicsRegex?.test(name) ?? true)
  const meant = chosen.filter((name) => excluded?.test(name) !== true)
  if ('topic' in own) return { ...values, topic: orNone(meant, run, archived) }
  if ('topics' in own) return { ...values, topics: orNone(meant, run, archived) }
  const others = archived.filter((name) => !meant.includes(name))
  // A command that only shows something may show more.
  if (!('olderThan' in own) || others.length === 0) return values
  throw new ArchiverError(
    'USAGE',
    `${run.topics === undefined ? '--topics-regex' : '--topics'} is not an option of this command, which takes all topics of the archive: also ${others.slice(0, 5).join(', ')}`,
  )
}

function orNone(
  meant: readonly string[],
  run: RunFlags['values'],
  archived: readonly string[],
): readonly string[] {
  if (meant.length > 0) return meant
  throw new ArchiverError(
    'NOT_FOUND',
    `no topic of the archive matches ${String(run.topicsRegex ?? run.topicsExcludeRegex)}; it holds ${archived.slice(0, 10).join(', ') || 'none'}`,
  )
}

async function checkGroup(home: ReadableHome, group: string): Promise<void> {
  const identity = await readIdentity(home)
  if (identity === undefined || identity.group === group) return
  throw new ArchiverError(
    'USAGE',
    `--group: "${group}" is not allowed; the archive ${home.title} belongs to group ${identity.group}`,
  )
}
