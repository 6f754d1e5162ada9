import type { RelatedOptions } from './groups.ts'
import { flagName, type Option, type Options } from './option.ts'
import { sentencesOf } from './relations.ts'

/** The width of a help text, unless the terminal is narrower. */
export const maxColumns = 100
/** A narrower terminal wraps by itself. */
const minColumns = 40

/** A text on lines of at most `columns`. All but the first begin with `indent`, in columns. */
export function wrapped(text: string, columns: number = maxColumns, indent = 0): string {
  const width = Math.max(minColumns, Math.min(columns, maxColumns)) - indent
  return wrap(text, width).join(`\n${' '.repeat(indent)}`)
}

/** Text of the help, indented under its heading. */
export function paragraph(text: string, columns?: number): string {
  return `      ${wrapped(text, columns, 6)}`
}

/** The options part of a help text: one paragraph an option, in the order of `shown`. */
export function describeOptions(
  set: RelatedOptions,
  shown: Options = set.options,
  columns?: number,
): string {
  return Object.entries(shown)
    .flatMap(([key, option]) => {
      const usual = option.defaultText === undefined ? '' : ` [${option.defaultText}]`
      return [
        `  ${flagsOf(key, option).join(', ')}${isOff(option) ? '' : usual}`,
        paragraph(explanationOf(key, set), columns),
      ]
    })
    .join('\n')
}

const isOff = ({ isSwitch, defaultValue }: Option<unknown>) => isSwitch && defaultValue === false

/** The flags of an option: with its value, and with `--no-` if that says something. */
export function flagsOf(key: string, option: Option<unknown>): readonly string[] {
  const name = flagName(key)
  const flag = `--${name}${option.placeholder === '' ? '' : ` ${option.placeholder}`}`
  return option.negated === undefined || isOff(option) ? [flag] : [flag, `--no-${name}`]
}

/** What an option does, how to switch it off, and how it goes together with others. */
export function explanationOf(key: string, set: RelatedOptions): string {
  const { explanation, isSwitch, defaultValue, whenOff, isPerTopic } = set.options[key]!
  const off = `--no-${flagName(key)} turns it off${whenOff === undefined ? '' : `: ${whenOff}`}.`
  const sentences = isSwitch && defaultValue === true ? [explanation, off] : [explanation]
  const settable = isPerTopic === true ? ['--topic-settings may set it for some topics.'] : []
  return [...sentences, ...settable, ...sentencesOf(key, set.relations)].join(' ')
}

function wrap(sentence: string, width: number): string[] {
  const lines = ['']
  for (const word of sentence.split(' ')) {
    const current = lines[lines.length - 1]!
    if (current !== '' && current.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = current === '' ? word : `${current} ${word}`
  }
  return lines
}
