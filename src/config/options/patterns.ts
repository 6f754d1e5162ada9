import { messageOf } from '../../runtime/errors.ts'
import type { Described } from './kinds.ts'
import type { Option } from './option.ts'

/**
 * Regular expressions: several flags, or a list in the file. One of them has to match. They become
 * one, so that whoever gets it has one thing to ask. A comma is part of an expression.
 */
export function patterns(described: Described): Option<RegExp | undefined> {
  return {
    explanation: described.explanation,
    placeholder: described.placeholder ?? '<regex>',
    defaultText: undefined,
    defaultValue: undefined,
    parse: (text) => anyOf([text]),
    elements: { split: (text) => [text], parse: anyOf },
    isSwitch: false,
  }
}

/** @throws Error whose message says what is allowed. */
function anyOf(sources: readonly string[]): RegExp {
  if (sources.length === 0 || sources.includes(''))
    throw new Error('a regular expression that is not empty')
  const all = sources.map(expression)
  if (all.length === 1) return all[0]!
  return expression(sources.map((source) => `(?:${alone(source)})`).join('|'))
}

function expression(source: string): RegExp {
  try {
    return new RegExp(source)
  } catch (error) {
    throw new Error(`a JavaScript regular expression (${messageOf(error)})`)
  }
}

/** Groups are numbered over all expressions, so a number would mean the group of another one. */
function alone(source: string): string {
  if (/(?<!\\)(?:\\\\)*\\[1-9]/.test(source))
    throw new Error('no reference to a group by number (\\1) beside other expressions')
  return source
}

/** Matches what `wanted` matches, unless `unwanted` does. @throws Error as `patterns` */
export function butNot(wanted: RegExp, unwanted: RegExp): RegExp {
  return expression(`^(?![^]*(?:${alone(unwanted.source)}))[^]*(?:${alone(wanted.source)})`)
}
