/**
 * Names that come from messages (types, fields), as Kibana shows them. A producer chooses them, so
 * they are text wherever a person reads them: never Markdown, never a link, never a part of a
 * query.
 */

/** Longer names are cut in titles and labels, in characters. */
const maxNameCharacters = 120

/**
 * Control characters, line separators, and what changes the direction of writing or cannot be seen.
 */
const invisible = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu

/** A name on one line, cut to the length of a title: Kibana shows titles and labels as they are. */
export function plainName(name: string): string {
  const shown = name.replace(invisible, ' ')
  if (shown.trim() === '') return '(no name)'
  const characters = [...shown]
  return characters.length <= maxNameCharacters
    ? shown
    : `${characters.slice(0, maxNameCharacters - 1).join('')}…`
}

/**
 * A name in Markdown: a code span, in which nothing has a meaning and nothing becomes a link
 * (CommonMark 0.31, section 6.1). Its fence is longer than any run of backticks inside. Escapes
 * would not do: Kibana's renderer makes links of bare addresses.
 */
export function markdownName(name: string): string {
  const shown = plainName(name)
  const longestRun = Math.max(0, ...[...shown.matchAll(/`+/g)].map(([run]) => run.length))
  const fence = '`'.repeat(longestRun + 1)
  const pad = longestRun > 0 || shown.startsWith(' ') || shown.endsWith(' ') ? ' ' : ''
  return `${fence}${pad}${shown}${pad}${fence}`
}

/**
 * The same names, in their order, with a number behind each that another one has already: some were
 * cut.
 */
export function distinctNames(names: readonly string[]): readonly string[] {
  const taken = new Set<string>()
  return names.map((name) => {
    let shown = name
    for (let i = 2; taken.has(shown); i++) shown = `${name} (${i})`
    taken.add(shown)
    return shown
  })
}
