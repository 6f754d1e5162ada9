/** Prose and comments wrap at this many columns. */
export const proseColumns = 100

/** Words of a Markdown paragraph; inline code stays whole. */
const word = /(?:``.*?``|`[^`]*`|[^\s`])+/g
/** What would begin another block at the start of a line. */
const beginsBlock = /^([-+*#>|]|\d+[.)]$)/

/** A Markdown paragraph or list in lines of at most `proseColumns`; longer words stay whole. */
export function fill(paragraph: string): string {
  return paragraph
    .split('\n')
    .map((item) => fillItem(item))
    .join('\n')
}

function fillItem(item: string): string {
  const mark = /^(?:- |\d+\. )?/.exec(item)?.[0] ?? ''
  const lines: string[] = []
  let line = mark
  for (const [next] of item.slice(mark.length).matchAll(word)) {
    const isFirst = line === mark && lines.length === 0
    if (!isFirst && line.length + 1 + next.length > proseColumns && !beginsBlock.test(next)) {
      lines.push(line)
      line = ' '.repeat(mark.length) + next
    } else line += isFirst ? next : ` ${next}`
  }
  return [...lines, line].join('\n')
}
