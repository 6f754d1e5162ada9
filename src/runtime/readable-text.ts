/**
 * Foreign text that a terminal can show safely: nothing in it moves a cursor, forges a line or
 * reverses the writing.
 */

const unsafe = '\\p{Cc}\\u2028\\u2029\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069'
const unsafeCharacter = new RegExp(`[${unsafe}]`, 'gu')
const jsonEscape = /\\(?:u[0-9a-f]{4}|[\s\S])/g
const unsafeButLineFeed = new RegExp(`(?!\\n)[${unsafe}]`, 'gu')

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** A text on one line: control characters, line separators and direction marks become `\u001b`. */
export function readableText(text: string): string {
  return text.replace(unsafeCharacter, escaped)
}

/**
 * The same for a line of JSON: its parsed texts contain `\u001b` as six characters. The line feeds
 * of a stack stay.
 */
export function readableJsonText(line: string): string {
  const withoutEscapes = line.replace(jsonEscape, (found, at: number) => {
    if (found === '\\n') return line.startsWith('    at ', at + 2) ? found : '\\\\n'
    return /^\\[t"\\/]$/.test(found) ? found : `\\${found}`
  })
  return withoutEscapes.replace(unsafeCharacter, (character) => `\\${escaped(character)}`)
}

/** Like `readableText`, for a text of several lines, whose line feeds stay. */
export function readableLines(text: string): string {
  return text.replace(unsafeButLineFeed, escaped)
}
