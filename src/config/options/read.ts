import { messageOf } from '../../runtime/errors.ts'
import { trueOrFalse } from './kinds.ts'
import { didYouMean } from './nearest.ts'
import {
  flagName,
  negatedVariableName,
  type Option,
  type Options,
  usage,
  type Values,
  variableName,
} from './option.ts'
import { type FileValue, readYamlFile } from './yaml-file.ts'

/** What the options are read from; `argv` has neither the program's nor the command's name. */
export interface OptionSources {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
}

type Given = Map<string, unknown>

/**
 * Reads every declared option from flags, environment and the YAML file that `--config` names, in
 * that order. The same text means the same in each. `inFile` has the options of all commands that
 * share the file: a key of another command is ignored, a key of none is a mistake.
 *
 * @throws ArchiverError `USAGE`: one line that names the option, the value and what is allowed.
 */
export function readOptions<O extends Options>(
  declared: O,
  sources: OptionSources,
  inFile: Options = declared,
): Values<O> {
  const given: Given = readFlags(declared, sources.argv)
  readVariables(declared, sources.env, given)
  const file = given.get('config')
  if (typeof file === 'string') readFile(declared, file, inFile, given)
  return Object.fromEntries(
    Object.entries(declared).map(([key, option]) => [
      key,
      given.has(key) ? given.get(key) : option.defaultValue,
    ]),
  ) as Values<O>
}

/** The values of the flags, by the key of their option. */
function readFlags(declared: Options, argv: readonly string[]): Given {
  const byFlag = new Map(Object.keys(declared).map((key) => [flagName(key), key]))
  const given: Given = new Map()
  const lists = new Map<string, string[]>()
  const words = [...argv]
  const once = (key: string, name: string) => {
    if (given.has(key) || lists.has(key)) throw usage(`--${name} is given twice`)
  }
  while (words.length > 0) {
    const word = words.shift()!
    if (!word.startsWith('--'))
      throw usage(`"${word}" is not an option; options begin with -- (see --help)`)
    const equals = word.indexOf('=')
    const name = equals === -1 ? word.slice(2) : word.slice(2, equals)
    const inline = equals === -1 ? undefined : word.slice(equals + 1)
    const key = byFlag.get(name)
    const negatedKey = name.startsWith('no-') ? byFlag.get(name.slice(3)) : undefined
    if (
      key === undefined &&
      negatedKey !== undefined &&
      declared[negatedKey]!.negated !== undefined
    ) {
      if (inline !== undefined) throw usage(`--${name} takes no value`)
      // After a value, it revokes that value: a wrapper may append it to a command line.
      lists.delete(negatedKey)
      given.set(negatedKey, declared[negatedKey]!.negated.value)
      continue
    }
    if (key === undefined) {
      throw usage(
        `--${name} is not an option${didYouMean(name, [...byFlag.keys()], '--')} (see --help)`,
      )
    }
    const option = declared[key]!
    const isList = option.elements !== undefined
    if (!isList || given.has(key)) once(key, name)
    if (option.isSwitch && inline === undefined) {
      given.set(key, true)
      continue
    }
    const value = inline ?? words.shift()
    if (value === undefined) throw usage(`--${name} needs a value: ${option.placeholder}`)
    if (isList) lists.set(key, [...(lists.get(key) ?? []), ...option.elements!.split(value)])
    else given.set(key, parsed(`--${name}`, value, option))
  }
  for (const [key, elements] of lists)
    given.set(key, parsed(`--${flagName(key)}`, elements, declared[key]!))
  return given
}

/** An empty variable counts as not set: Compose sets one for `${NAME:-}`. */
function readVariables(declared: Options, env: OptionSources['env'], given: Given): void {
  for (const [key, option] of Object.entries(declared)) {
    if (given.has(key)) continue
    const variable = variableName(key)
    const value = env[variable]
    if (value !== undefined && value !== '') given.set(key, parsed(variable, value, option))
    const noVariable = negatedVariableName(key)
    const no = env[noVariable]
    if (option.negated === undefined || no === undefined || no === '') continue
    if (parsed(noVariable, no, { parse: trueOrFalse })) given.set(key, option.negated.value)
  }
}

function readFile(declared: Options, file: string, inFile: Options, given: Given): void {
  const byName = new Map(Object.keys(declared).map((key) => [flagName(key), key]))
  const known = Object.keys(inFile).map(flagName)
  for (const [name, value] of readYamlFile(file)) {
    const key = byName.get(name)
    if (key === undefined && !known.includes(name)) {
      throw usage(`${file}: ${name} is not an option${didYouMean(name.replace(/^no-/, ''), known)}`)
    }
    if (key !== undefined && !given.has(key))
      given.set(key, ofFile(`${file}: ${name}`, value, declared[key]!))
  }
}

function ofFile(
  shown: string,
  { value, line, hasComment }: FileValue,
  option: Option<unknown>,
): unknown {
  if (option.isSecret !== undefined && hasComment) {
    throw usage(
      `${shown}: line ${line} has a # that begins a comment in YAML; quote the value, or move the comment to a line of its own`,
    )
  }
  if (value === undefined || (typeof value !== 'string' && option.elements === undefined)) {
    const several = option.elements === undefined ? '' : ', or a list of texts'
    throw usage(
      `${shown}: line ${line}: expected ${option.placeholder || 'true or false'}${several}`,
    )
  }
  return parsed(shown, value, option)
}

/** The value of a text, or of the elements of a list. */
function parsed<T>(
  shown: string,
  raw: string | readonly string[],
  { parse, elements, isSecret = false }: Pick<Option<T>, 'parse' | 'elements' | 'isSecret'>,
): T {
  try {
    return typeof raw === 'string' ? parse(raw) : elements!.parse(raw)
  } catch (error) {
    const text = typeof raw === 'string' ? raw : raw.join(',')
    const isHidden = typeof isSecret === 'function' ? isSecret(text) : isSecret
    const value = isHidden ? 'the value' : `"${text}"`
    throw usage(`${shown}: ${value} is not allowed; expected ${messageOf(error)}`)
  }
}
