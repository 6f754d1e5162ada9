/** The rules of "Plain English" in CONTRIBUTING.md that a program can hold. */

export interface Violation {
  /** From 1. */
  readonly line: number
  readonly what: string
}

/** Prose and comments wrap at this many columns. */
const maxColumns = 100

/** Phrases that cost a second reading, and what to write. Only those that are never right. */
const phrases: readonly (readonly [phrase: RegExp, instead: string])[] = [
  [/\banew\b/gi, '"again"'],
  [/\bof which\b/gi, 'a sentence of its own'],
  [/\bso (many|much|few|often)\b(?! (that|as)\b)/gi, 'the number, "this many", or nothing'],
  [/\bnobody has met\b/gi, '"unrecognized"'],
  [/\bgoes without saying\b/gi, '"is implied"'],
  [/\b(is|are|was|were|be|been) told\b/gi, 'who tells whom: "knows", "gets", "logs"'],
  [/\b(get|gets|got) on\b/gi, '"progresses"'],
  [/\bnone of ours\b/gi, '"not ours"'],
  [/\bit is asked\b/gi, 'who asks'],
  [/\bat the (most|least)\b/gi, '"at most", "at least"'],
  [/\bunder way\b/gi, '"while it runs"'],
  [/\bin (question|the least)\b/gi, 'nothing'],
]

/** What a language writes in front of each line of a comment. */
function leaderOf(path: string): RegExp {
  if (isCode(path)) return /^\s*(\/\/|\/\*\*?|\*\/|\*) ?/
  if (path.endsWith('.md')) return /^\s*(> ?)?/
  return /^\s*# ?/
}

function isCode(path: string): boolean {
  return /\.(ts|mjs|java)$/.test(path)
}

/** Phrases that are not plain English, in comments, texts, names of tests and pages. */
export function bannedPhrases(path: string, text: string): Violation[] {
  const leader = leaderOf(path)
  const lines = text.split('\n').map((line) => line.replace(leader, '').trimEnd())
  // A phrase may go over the end of a line.
  const prose = lines.join(' ')
  const starts: number[] = []
  for (let i = 0, start = 0; i < lines.length; start += lines[i]!.length + 1, i++)
    starts.push(start)
  return phrases.flatMap(([phrase, instead]) =>
    [...prose.matchAll(phrase)].map(({ 0: found, index }) => ({
      line: starts.findLastIndex((start) => start <= index) + 1,
      what: `"${found}": write ${instead}`,
    })),
  )
}

/**
 * Lines of prose that are too wide: of a page, and of comments. Tables, code and addresses may be
 * as wide as they are, and a line that has no place to break.
 */
export function wideProse(path: string, text: string): Violation[] {
  const isProse = path.endsWith('.md') ? markdownProse() : isCode(path) ? isComment : isHashComment
  return text.split('\n').flatMap((line, i) => {
    // Every line passes: what is a block of code depends on the lines above.
    if (!isProse(line)) return []
    const { length } = line.trimEnd()
    if (length <= maxColumns || !canBreak(line)) return []
    return [{ line: i + 1, what: `${length} columns; prose wraps at ${maxColumns}` }]
  })
}

/** True for a line that is a comment or ends with one. */
function isComment(line: string): boolean {
  return /^\s*(\/\/|\/?\*)|\s\/\/ /.test(line)
}

function isHashComment(line: string): boolean {
  return /^\s*#(?!!)|\s# /.test(line)
}

/** True if a space, outside inline code and links, lies before the last column. */
function canBreak(line: string): boolean {
  return line
    .replace(/^\s*([-*#>/]+|\d+\.)?\s*/, (start) => '_'.repeat(start.length))
    .replace(/`[^`]*`|!?\[[^\]]*\]\([^)]*\)/g, (whole) => whole.replaceAll(' ', '_'))
    .slice(0, maxColumns + 1)
    .includes(' ')
}

/** Tells, line by line, what is neither a table nor code nor an address. */
function markdownProse(): (line: string) => boolean {
  let isFenced = false
  let isList = false
  return (line) => {
    if (/^\s*(```|~~~)/.test(line)) {
      isFenced = !isFenced
      return false
    }
    if (/^\s*([-*+]|\d+\.) /.test(line)) isList = true
    else if (/^\S/.test(line)) isList = false
    const isIndented = !isList && /^( {4}|\t)/.test(line)
    return !isFenced && !isIndented && !/^\s*\||^\[[^\]]+\]: |^!\[/.test(line)
  }
}
