import { ArchiverError } from '../../runtime/errors.ts'
import { list, number, object, optional, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { RequestFailure } from '../client/failure.ts'

/**
 * Whose templates match the names of our indices. Elasticsearch refuses two index templates of one
 * priority whose patterns match a common name (Elasticsearch reference, "Create or update index
 * template", `priority`).
 */

/** An index template as the cluster has it. */
export interface ClusterTemplate {
  readonly name: string
  readonly index_template: {
    readonly index_patterns: readonly string[]
    readonly priority?: number
    readonly composed_of?: readonly string[]
    readonly _meta?: { readonly managed_by?: string; readonly index_prefix?: string }
  }
}

/** What is about to be installed. */
export interface WantedTemplate {
  readonly name: string
  readonly patterns: readonly string[]
  readonly priority: number
}

const namedShape = object({
  index_templates: list(
    object({
      name: text,
      index_template: object({
        index_patterns: list(text),
        priority: optional(number),
        composed_of: optional(list(text)),
        _meta: optional(object({})),
      }),
    }),
  ),
})

/** All index templates of the cluster. @throws RequestFailure */
export async function readClusterTemplates(
  client: Elasticsearch,
): Promise<readonly ClusterTemplate[]> {
  const { body } = await client.request<{ readonly index_templates: readonly ClusterTemplate[] }>(
    'GET',
    ['_index_template'],
    { shape: namedShape },
  )
  return body.index_templates
}

/**
 * The same, or none if this user may not see them: then the cluster itself refuses what conflicts.
 */
export async function visibleTemplates(client: Elasticsearch): Promise<readonly ClusterTemplate[]> {
  try {
    return await readClusterTemplates(client)
  } catch (error) {
    if (error instanceof RequestFailure && [401, 403, 404].includes(error.status ?? 0)) return []
    throw error
  }
}

/**
 * To be asked before the first template is installed, so that nothing is left half-installed.
 * @throws ArchiverError `USAGE` if the cluster would refuse one of ours for a template of somebody
 *   else; names that template.
 */
export function refuseConflicts(
  wanted: readonly WantedTemplate[],
  present: readonly ClusterTemplate[],
  indexPrefix: string,
): void {
  const own = new Set(wanted.map(({ name }) => name))
  for (const { name, index_template: theirs } of present) {
    if (own.has(name)) continue
    for (const { name: ours, patterns, priority } of wanted) {
      if ((theirs.priority ?? 0) !== priority) continue
      const pair = theirs.index_patterns.flatMap((pattern) =>
        patterns.filter((mine) => haveCommonName(mine, pattern)).map((mine) => ({ pattern, mine })),
      )[0]
      if (pair === undefined) continue
      const why =
        theirs._meta?.managed_by === 'archiver'
          ? 'it is of another archive on this cluster, and one prefix begins with the other: indices of both could have one name'
          : `it has the same priority (${priority}), and Elasticsearch takes only one such template for a name`
      const advice = `Choose a prefix whose names it does not match, such as ${alternativeTo(indexPrefix)}`
      throw new ArchiverError(
        'USAGE',
        `--index-prefix ${indexPrefix}: index template ${name} (${theirs.index_patterns.join(', ')}) matches names of ${ours} (${pair.mine}); ${why}. ${advice}, or give template ${name} another priority. Nothing was installed`,
        { template: name },
      )
    }
  }
}

/** `archive-v2-` becomes `archivev2-`: no prefix of the other archive begins it. */
function alternativeTo(indexPrefix: string): string {
  const words = indexPrefix.split('-').filter((word) => word !== '')
  return `${words.length > 1 ? words.join('') : `my${words[0] ?? 'archive'}`}-`
}

/** True if some name matches both patterns; `*` stands for any text, as in index patterns. */
export function haveCommonName(one: string, other: string): boolean {
  // Positions in both from which the rests have a name in common: reached from the end.
  const width = other.length + 1
  const common = new Uint8Array((one.length + 1) * width)
  for (let i = one.length; i >= 0; i--) {
    for (let j = other.length; j >= 0; j--) {
      const at = i * width + j
      if (i === one.length && j === other.length) common[at] = 1
      else if (one[i] === '*')
        common[at] = common[at + width]! | (j < other.length ? common[at + 1]! : 0)
      else if (other[j] === '*')
        common[at] = common[at + 1]! | (i < one.length ? common[at + width]! : 0)
      else if (i < one.length && j < other.length && one[i] === other[j])
        common[at] = common[at + width + 1]!
    }
  }
  return common[0] === 1
}

/**
 * Patterns of other archives on the cluster whose prefix begins with ours: their indices match
 * `<prefix>*` and are not ours. One that could be an index of ours stays in: `isOwn` says whether a
 * type of this archive has indices that begin so.
 */
export function nestedArchives(
  present: readonly ClusterTemplate[],
  indexPrefix: string,
  isOwn: (literal: string) => boolean,
): string[] {
  const patterns = present
    .filter(
      ({ index_template }) =>
        index_template.composed_of?.includes('archive@envelope') === true &&
        // The mapping of a type of this archive.
        index_template._meta?.index_prefix !== indexPrefix,
    )
    .flatMap(({ index_template }) => index_template.index_patterns)
  return [...new Set(patterns)].filter((pattern) => {
    const literal = pattern.replace(/\*.*$/, '')
    const beyond = literal.slice(indexPrefix.length)
    // What begins with `_` is of our own types.
    return (
      literal.startsWith(indexPrefix) && beyond !== '' && !beyond.startsWith('_') && !isOwn(literal)
    )
  })
}
