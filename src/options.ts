import { readFileSync } from 'node:fs'
import { parse as parseYaml } from 'yaml'
import { ArchiverError, messageOf } from './errors.ts'

/**
 * One declaration for an option: what it is called, what it means, its default and what is allowed. Flags, environment
 * variables, keys of the YAML file, help text, the configuration reference and the TypeScript type all come from it.
 *
 * The key `flushInterval` is the flag `--flush-interval`, the variable `ARCHIVER_FLUSH_INTERVAL` and the YAML key
 * `flush-interval`; a flag wins over a variable, a variable over the file.
 */
export interface Option<T> {
  readonly explanation: string
  /** What stands for the value in the help text, e.g. `<host:port,…>`; empty for a switch. */
  readonly placeholder: string
  /** The default as a person would type it; undefined where there is none. */
  readonly defaultText: string | undefined
  readonly defaultValue: T
  /** Throws an Error whose message says what is allowed. */
  readonly parse: (text: string) => T
  /** What `--no-<flag>` sets; absent where there is no such flag. */
  readonly negated?: { readonly value: T }
  readonly isSwitch: boolean
  /** Its value is shown in no message. */
  readonly isSecret?: boolean
  /** Of a time that is waited for: how many ms one of the value is. */
  readonly waitUnitMs?: number
}

export type Options = Readonly<Record<string, Option<unknown>>>
/** The type of the values that `readOptions` returns for a set of declarations. */
export type Values<O extends Options> = { readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never }

interface Declaration<T> {
  explanation: string
  placeholder: string
  default: string | undefined
  parse: (text: string) => T
}

/** An option with a default; the default is written as a person would type it and goes through the same validation. */
function withDefault<T>(declaration: Declaration<T> & { default: string }): Option<T> {
  return {
    explanation: declaration.explanation,
    placeholder: declaration.placeholder,
    defaultText: declaration.default,
    defaultValue: declaration.parse(declaration.default),
    parse: declaration.parse,
    isSwitch: false,
  }
}

function withoutDefault<T>(declaration: Declaration<T>): Option<T | undefined> {
  return {
    explanation: declaration.explanation,
    placeholder: declaration.placeholder,
    defaultText: undefined,
    defaultValue: undefined,
    parse: declaration.parse,
    isSwitch: false,
  }
}

/** The longest that a timer waits, in ms: Node takes a longer one for 1 ms. */
export const maxTimerMs = 2 ** 31 - 1

/** The units of options that are times: whatever has one of them may become a timer. */
const timeUnits: ReadonlyMap<string | undefined, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['minutes', 60_000],
])

type Described = { explanation: string; placeholder?: string }

function make<T>(
  described: Described,
  fallbackPlaceholder: string,
  defaultText: string | undefined,
  parse: (text: string) => T,
  waitUnitMs?: number,
): Option<T | undefined> {
  const declaration = {
    explanation: described.explanation,
    placeholder: described.placeholder ?? fallbackPlaceholder,
    parse,
  }
  const option =
    defaultText === undefined
      ? withoutDefault({ ...declaration, default: undefined })
      : withDefault({ ...declaration, default: defaultText })
  return waitUnitMs === undefined ? option : { ...option, waitUnitMs }
}

/** A kind of option is called with a default (the value is always there) or without (it may be undefined). */
interface Kind<T, Extra> {
  (described: Described & Extra & { default: string }): Option<T>
  (described: Described & Extra): Option<T | undefined>
}

function kind<T, Extra = unknown>(
  placeholder: (described: Described & Extra) => string,
  parser: (described: Described & Extra) => (text: string) => T,
  waitUnitMs: (described: Described & Extra) => number | undefined = () => undefined,
): Kind<T, Extra> {
  return ((described: Described & Extra & { default?: string }) =>
    make(described, placeholder(described), described.default, parser(described), waitUnitMs(described))) as Kind<
    T,
    Extra
  >
}

export const text = kind<string>(
  () => '<text>',
  () => (value) => {
    if (value === '') throw new Error('a text that is not empty')
    return value
  },
)

export const list = kind<readonly string[]>(
  () => '<a,b,…>',
  () => (value) => {
    const items = value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
    if (items.length === 0) throw new Error('one or more, separated by commas')
    return items
  },
)

interface Limits {
  min: number
  max?: number
  /** A unit of time bounds the value by what a timer can wait. */
  unit?: string
}

function maxOf({ max, unit }: Limits): number | undefined {
  const unitMs = timeUnits.get(unit)
  return unitMs === undefined ? max : Math.min(max ?? Number.POSITIVE_INFINITY, Math.floor(maxTimerMs / unitMs))
}

function numberOf(what: string, isNumber: (value: string) => boolean) {
  return (limits: Limits) => {
    const { min, unit } = limits
    const max = maxOf(limits)
    const range = max === undefined ? `of ${min} or more` : `from ${min} to ${max}`
    const allowed = `${what} ${range}${unit === undefined ? '' : ` (${unit})`}`
    return (value: string): number => {
      const number = Number(value)
      if (!isNumber(value) || number < min || (max !== undefined && number > max)) throw new Error(allowed)
      return number
    }
  }
}

const placeholderOf = ({ unit }: Limits) => (unit === undefined ? '<n>' : `<${unit}>`)
const unitMsOf = ({ unit }: Limits) => timeUnits.get(unit)

export const integer = kind<number, Limits>(
  placeholderOf,
  numberOf('a whole number', (value) => /^-?\d+$/.test(value) && Number.isSafeInteger(Number(value))),
  unitMsOf,
)

export const decimal = kind<number, Limits>(
  placeholderOf,
  numberOf('a number', (value) => value.trim() !== '' && Number.isFinite(Number(value))),
  unitMsOf,
)

/** A map: an object would have units that it inherits, such as `constructor`. */
const byteUnits: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['B', 1],
  ['kB', 1e3],
  ['KB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
])

/** A number of bytes: `256MiB`, `5MB`, `1048576`. */
export const bytes = kind<number, { min: number; max?: number }>(
  () => '<bytes>',
  ({ min, max = Number.POSITIVE_INFINITY }) =>
    (value) => {
      const match = /^(\d+(?:\.\d+)?)\s*([a-zA-Z]*)$/.exec(value)
      const unit = match === null ? undefined : byteUnits.get(match[2]!)
      if (match === null || unit === undefined) throw new Error('a number of bytes such as 5MB, 256MiB or 1048576')
      const number = Math.round(Number(match[1]) * unit)
      if (number < min) throw new Error(`${min} bytes or more`)
      if (number > max) throw new Error(`${max} bytes or less`)
      return number
    },
)

export const pattern = kind<RegExp>(
  () => '<regex>',
  () => (value) => {
    try {
      return new RegExp(value)
    } catch (error) {
      throw new Error(`a JavaScript regular expression (${messageOf(error)})`)
    }
  },
)

/** A moment in UTC, in ms since 1970: `2026-11-01`, `2026-11-01T06`, `2026-11-01T06:30:00Z`, or the ms themselves. */
export const instant = kind<number>(
  () => '<time>',
  () => (value) => {
    if (/^\d{12,14}$/.test(value)) return Number(value)
    const match = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d)(:\d\d(?::\d\d(?:\.\d+)?)?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(value)
    const [, day, hour = '00', rest = ':00', zone = 'Z'] = match ?? []
    const time = day === undefined ? Number.NaN : Date.parse(`${day}T${hour}${rest}${zone}`)
    if (Number.isNaN(time)) throw new Error('a time in UTC such as 2026-11-01, 2026-11-01T06 or 2026-11-01T06:30:00Z')
    return time
  },
)

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

function timeSpan(maxMs: number, shown: string, examples: string) {
  return () =>
    (value: string): number => {
      if (value === '0') return 0
      const [, number, unit] = /^(\d+)\s*(ms|s|m|h|d)$/.exec(value) ?? []
      const ms = Number(number) * (durationUnits[unit ?? ''] ?? Number.NaN)
      if (!(ms <= maxMs)) throw new Error(`a time span up to ${shown}, such as ${examples}`)
      return ms
    }
}

const msPerDay = 86_400_000

/** A time span in ms that may be waited for: `12h`, `30m`, `0`. */
export const duration = kind<number>(
  () => '<12h>',
  timeSpan(Math.floor(maxTimerMs / msPerDay) * msPerDay, '24d', '12h or 30m'),
  () => 1,
)

/** How old something is, in ms: compared and never waited for, so it may be years. */
export const age = kind<number>(() => '<90d>', timeSpan(36_500 * msPerDay, '36500d', '90d or 12h'))

/** Where to listen: a port alone means loopback. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export const listenAddress = kind<ListenAddress>(
  () => '<[address:]port>',
  () => (value) => {
    const [, , bracketed, plain, digits] = /^((?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(value) ?? []
    const port = Number(digits)
    if (digits === undefined || port > 65_535)
      throw new Error('a port such as 9464, or address:port such as 0.0.0.0:9464')
    return { host: bracketed ?? plain ?? '127.0.0.1', port }
  },
)

/** One of a few words. */
export function oneOf<const W extends string>(
  words: readonly W[],
  described: { explanation: string; default: NoInfer<W> },
): Option<W>
export function oneOf<const W extends string>(
  words: readonly W[],
  described: { explanation: string },
): Option<W | undefined>
export function oneOf<const W extends string>(
  words: readonly W[],
  described: { explanation: string; default?: NoInfer<W> },
): Option<W | undefined> {
  return make({ explanation: described.explanation }, words.join('|'), described.default, (value) => {
    const word = words.find((candidate) => candidate === value)
    if (word === undefined) throw new Error(`one of ${words.join(', ')}`)
    return word
  })
}

/** A switch: `--until-end`, or `--no-files` for one that is on by default; `true` or `false` as a variable or in the file. */
export function flag(described: { explanation: string; default: boolean }): Option<boolean> {
  return {
    explanation: described.explanation,
    placeholder: '',
    defaultText: described.default ? 'on' : 'off',
    defaultValue: described.default,
    negated: { value: false },
    isSwitch: true,
    parse: trueOrFalse,
  }
}

function trueOrFalse(value: string): boolean {
  if (value === 'true' || value === '1' || value === 'on') return true
  if (value === 'false' || value === '0' || value === 'off') return false
  throw new Error('true or false')
}

/** The same option with a `--no-<flag>` that leaves it undefined. */
export function negatable<T>(option: Option<T>): Option<T | undefined> {
  return { ...option, negated: { value: undefined } }
}

/** The same option with a value that no message shows. */
export function secret<T>(option: Option<T>): Option<T> {
  return { ...option, isSecret: true }
}

const variablePrefix = 'ARCHIVER_'

/** `flushInterval` → `flush-interval`. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** `flushInterval` → `ARCHIVER_FLUSH_INTERVAL`. */
export function variableName(key: string): string {
  return `${variablePrefix}${flagName(key).replaceAll('-', '_').toUpperCase()}`
}

/** `files` → `ARCHIVER_NO_FILES`. */
export function negatedVariableName(key: string): string {
  return variableName(key).replace(variablePrefix, `${variablePrefix}NO_`)
}

function usage(message: string): ArchiverError {
  return new ArchiverError('USAGE', message)
}

/** The end of a message about a word that is none of the candidates; `prefix` is what stands before all of them. */
function didYouMean(word: string, candidates: readonly string[], prefix = ''): string {
  const meant = nearest(word, candidates)
  return meant === undefined ? '' : `; did you mean ${prefix}${meant}?`
}

function nearest(word: string, candidates: readonly string[]): string | undefined {
  const distance = (a: string, b: string): number => {
    let row = Array.from({ length: b.length + 1 }, (_, i) => i)
    for (let i = 1; i <= a.length; i++) {
      const next = [i]
      for (let j = 1; j <= b.length; j++) {
        next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
      }
      row = next
    }
    return row[b.length]!
  }
  const [best] = candidates
    .map((candidate) => ({ candidate, far: distance(word, candidate) }))
    .sort((a, b) => a.far - b.far)
  return best !== undefined && best.far <= Math.max(2, word.length / 3) ? best.candidate : undefined
}

function parsed<T>(shown: string, raw: string, parse: (text: string) => T, isSecret = false): T {
  try {
    return parse(raw)
  } catch (error) {
    throw usage(`${shown}: ${isSecret ? 'the value' : `"${raw}"`} is not allowed; expected ${messageOf(error)}`)
  }
}

/** Where the options may come from; `argv` without the program's and the command's name. */
export interface OptionSources {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * Reads every declared option from flags, environment and the YAML file that `--config` names, in that order. `inFile` has the
 * options of all commands that share the file: a key that is none of them is a mistake, one of another command is passed over.
 *
 * @throws ArchiverError `USAGE`: one line that names the option, the value and what is allowed.
 */
export function readOptions<O extends Options>(
  declared: O,
  sources: OptionSources,
  inFile: Options = declared,
): Values<O> {
  const byFlag = new Map(Object.keys(declared).map((key) => [flagName(key), key]))
  const given = new Map<string, { value: unknown; from: string }>()

  const put = (key: string, shown: string, raw: string) => {
    const { parse, isSecret } = declared[key]!
    given.set(key, { value: parsed(shown, raw, parse, isSecret), from: shown })
  }

  const flags = [...sources.argv]
  while (flags.length > 0) {
    const word = flags.shift()!
    if (!word.startsWith('--')) throw usage(`"${word}" is not an option; options begin with -- (see --help)`)
    const equals = word.indexOf('=')
    const name = equals === -1 ? word.slice(2) : word.slice(2, equals)
    const inline = equals === -1 ? undefined : word.slice(equals + 1)
    const key = byFlag.get(name)
    const negatedKey = name.startsWith('no-') ? byFlag.get(name.slice(3)) : undefined
    if (key === undefined && negatedKey !== undefined && declared[negatedKey]!.negated !== undefined) {
      if (inline !== undefined) throw usage(`--${name} takes no value`)
      given.set(negatedKey, { value: declared[negatedKey]!.negated.value, from: `--${name}` })
      continue
    }
    if (key === undefined) {
      throw usage(`--${name} is not an option${didYouMean(name, [...byFlag.keys()], '--')} (see --help)`)
    }
    if (given.has(key)) throw usage(`--${name} is given twice`)
    if (declared[key]!.isSwitch && inline === undefined) {
      given.set(key, { value: true, from: `--${name}` })
      continue
    }
    const value = inline ?? flags.shift()
    if (value === undefined) throw usage(`--${name} needs a value: ${declared[key]!.placeholder}`)
    put(key, `--${name}`, value)
  }

  for (const key of Object.keys(declared)) {
    const variable = variableName(key)
    const value = sources.env[variable]
    if (given.has(key)) continue
    if (value !== undefined && value !== '') put(key, variable, value)
    const { negated } = declared[key]!
    const noVariable = negatedVariableName(key)
    const no = sources.env[noVariable]
    if (negated !== undefined && no !== undefined && no !== '' && parsed(noVariable, no, trueOrFalse)) {
      given.set(key, { value: negated.value, from: noVariable })
    }
  }

  const file = given.get('config')?.value
  if (typeof file === 'string') {
    const known = Object.keys(inFile).map(flagName)
    for (const [name, value] of Object.entries(readYaml(file))) {
      const key = byFlag.get(name)
      if (key === undefined && !known.includes(name)) {
        throw usage(`${file}: ${name} is not an option${didYouMean(name.replace(/^no-/, ''), known)}`)
      }
      if (key === undefined || given.has(key)) continue
      const shown = `${file}: ${name}`
      if (value === false && declared[key]!.negated !== undefined) {
        given.set(key, { value: declared[key]!.negated.value, from: shown })
      } else if (Array.isArray(value)) put(key, shown, value.map(String).join(','))
      else if (value === null || typeof value === 'object') {
        throw usage(`${shown}: expected ${declared[key]!.placeholder || 'true or false'}`)
      } else put(key, shown, String(value))
    }
  }

  return Object.fromEntries(
    Object.entries(declared).map(([key, option]) => [
      key,
      given.has(key) ? given.get(key)?.value : option.defaultValue,
    ]),
  ) as Values<O>
}

/** Variables of ours that are no options: `src/fault.ts`, and what points tests at servers. */
const otherVariables = /^ARCHIVER_(FAULT$|TEST_)/

/**
 * A line for every variable that begins as ours do and is none of these options, so that a mistyped one is not passed over in silence.
 * It is no error: Kubernetes makes such variables of its own for a service of that name.
 */
export function unknownVariables(options: Options, env: OptionSources['env']): readonly string[] {
  const known = Object.entries(options).flatMap(([key, { negated }]) =>
    negated === undefined ? [variableName(key)] : [variableName(key), negatedVariableName(key)],
  )
  const candidates = known.map((name) => name.slice(variablePrefix.length))
  return Object.keys(env)
    .filter((name) => name.startsWith(variablePrefix) && !known.includes(name) && !otherVariables.test(name))
    .map((name) => {
      const meant = didYouMean(name.slice(variablePrefix.length), candidates, variablePrefix)
      return `${name} is the variable of no option and is passed over${meant}`
    })
}

function readYaml(path: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = parseYaml(readFileSync(path, 'utf8'))
  } catch (error) {
    // Behind its first line the parser draws the place.
    const [what] = messageOf(error).split(/:?\n/)
    throw usage(`--config ${path}: cannot be read as YAML: ${what}`)
  }
  if (parsed === null || parsed === undefined) return {}
  if (typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw usage(`--config ${path}: expected a mapping of option names to values`)
  }
  return parsed as Record<string, unknown>
}

/** The options part of a help text, one option a paragraph. */
export function describeOptions(declared: Options): string {
  const lines: string[] = []
  for (const [key, option] of Object.entries(declared)) {
    const name = flagName(key)
    const onByDefault = option.isSwitch && option.defaultValue === true
    const head = onByDefault ? `--no-${name}` : `--${name}${option.placeholder === '' ? '' : ` ${option.placeholder}`}`
    const also = option.negated !== undefined && !option.isSwitch ? `, --no-${name}` : ''
    const standard = option.isSwitch || option.defaultText === undefined ? '' : ` [${option.defaultText}]`
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
