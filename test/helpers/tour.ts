/** What a page of documentation tells its reader to type. */

export interface TourCommand {
  /** From 1. */
  readonly line: number
  /** As a shell takes it, perhaps over several lines. */
  readonly text: string
  /** In a block of its own, or only named in a sentence. */
  readonly isInline: boolean
  /** The heading above. */
  readonly section: string
}

/** A code span that begins with one of these is a command. */
const inlineCommand = /`((?:npm|npx|node|archiver|curl|kill|docker|tsx) [^`]+)`/g
/** A drawing: its lines have arrows or boxes, which no command has. */
const drawn = /[─│└┬├►◄]/

/**
 * The commands of a Markdown page in their order: the indented blocks that are no drawing, each
 * line or each quoted text over several lines a command, and the code spans that begin as one.
 */
export function commandsOf(page: string): TourCommand[] {
  const found: TourCommand[] = []
  let section = ''
  let isFenced = false
  const lines = page.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i]!
    if (line.startsWith('```')) isFenced = !isFenced
    if (isFenced) continue
    if (line.startsWith('#')) section = line.replace(/^#+ /, '')
    if (!line.startsWith('    ')) {
      // A span may go over the end of a line.
      const next = /^(?:\s|$)/.test(lines[i + 1] ?? '') ? '' : ` ${lines[i + 1]}`
      for (const { 1: text, index } of `${line}${next}`.matchAll(inlineCommand)) {
        if (index < line.length) found.push({ line: i + 1, text: text!, isInline: true, section })
      }
      continue
    }
    const first = i
    let text = line.slice(4)
    while (isOpen(text) && i + 1 < lines.length) text += `\n${lines[++i]!.slice(4)}`
    const isDrawing = drawn.test(blockAround(lines, first))
    if (!isDrawing) found.push({ line: first + 1, text, isInline: false, section })
  }
  return found
}

/** The indented block that a line is in. */
function blockAround(lines: readonly string[], at: number): string {
  const isIn = (i: number) => lines[i]?.startsWith('    ') === true
  let [from, to] = [at, at]
  while (isIn(from - 1)) from--
  while (isIn(to + 1)) to++
  return lines.slice(from, to + 1).join('\n')
}

/** A quoted text has not ended yet. */
function isOpen(text: string): boolean {
  return (text.match(/'/g)?.length ?? 0) % 2 === 1
}

/** Without its comment and its spacing: what two ways to write one command share. */
export function bare(text: string): string {
  return text
    .replace(/\s+# .*$/, '')
    .replace(/ +/g, ' ')
    .trim()
}
