import { readFlags } from './flags.ts'
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
import { parsed } from './parsed.ts'
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
  for (const [written, value] of readYamlFile(file)) {
    // Topics with settings of their own.
    const isMapping = written === 'topics' && value.mapping !== undefined
    if (isMapping) chooseTopics(declared, `${file}: topics`, value.mapping, given)
    const name = isMapping ? 'topic-settings' : written
    const key = byName.get(name)
    if (key === undefined && !known.includes(name)) {
      throw usage(`${file}: ${name} is not an option${didYouMean(name.replace(/^no-/, ''), known)}`)
    }
    if (key !== undefined && !given.has(key))
      given.set(key, ofFile(`${file}: ${name}`, value, declared[key]!))
  }
}

/** Who says no topics means those that have settings. */
function chooseTopics(
  declared: Options,
  shown: string,
  elements: readonly string[],
  given: Given,
): void {
  const { topicsRegex, topicSettings } = declared
  if (topicsRegex === undefined || given.has('topics') || given.has('topicsRegex')) return
  // Its patterns are checked first.
  if (topicSettings !== undefined) parsed(shown, elements, topicSettings)
  const patterns = new Set(elements.map((element) => element.replace(/:([a-z0-9-]+=.*)?$/s, '')))
  if (patterns.size === 0) return
  const whole = [...patterns].map((pattern) => `^(?:${pattern})$`)
  given.set('topicsRegex', parsed(shown, whole, topicsRegex))
}

function ofFile(
  shown: string,
  { value, mapping, line, hasComment }: FileValue,
  option: Option<unknown>,
): unknown {
  if (mapping !== undefined && option.takesMapping === true) return parsed(shown, mapping, option)
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
