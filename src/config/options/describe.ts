import { flagName, type Options } from './option.ts'

/** The options part of a help text, one option a paragraph. */
export function describeOptions(declared: Options): string {
  const lines: string[] = []
  for (const [key, option] of Object.entries(declared)) {
    const name = flagName(key)
    const onByDefault = option.isSwitch && option.defaultValue === true
    const head = onByDefault
      ? `--no-${name}`
      : `--${name}${option.placeholder === '' ? '' : ` ${option.placeholder}`}`
    const also = option.negated !== undefined && !option.isSwitch ? `, --no-${name}` : ''
    const standard =
      option.isSwitch || option.defaultText === undefined ? '' : ` [${option.defaultText}]`
    lines.push(`  ${head}${also}${standard}`)
    for (const line of wrap(option.explanation, 94)) lines.push(`      ${line}`)
  }
  return lines.join('\n')
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
