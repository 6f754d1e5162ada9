import { isoDate, msPerDay, msPerHour } from '../../record/time.ts'
import { maxTimerMs } from '../../runtime/retry.ts'
import type { Option } from './option.ts'

/** The units of options that are times: a value with one of them may become a timer. */
const timeUnits: ReadonlyMap<string | undefined, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['minutes', 60_000],
])

export type Described = { explanation: string; placeholder?: string }

/** A default is written as a person would type it, and goes through the same validation. */
function make<T>(
  { explanation, placeholder }: Described,
  usualPlaceholder: string,
  defaultText: string | undefined,
  parse: (text: string) => T,
  waitUnitMs?: number,
): Option<T | undefined> {
  return {
    explanation,
    placeholder: placeholder ?? usualPlaceholder,
    defaultText,
    defaultValue: defaultText === undefined ? undefined : parse(defaultText),
    parse,
    isSwitch: false,
    ...(waitUnitMs === undefined ? {} : { waitUnitMs }),
  }
}

/** With a default the value is always there; without one it may be undefined. */
interface Kind<T, Extra> {
  (described: Described & Extra & { default: string }): Option<T>
  (described: Described & Extra): Option<T | undefined>
}

export function kind<T, Extra = unknown>(
  placeholder: (described: Described & Extra) => string,
  parser: (described: Described & Extra) => (text: string) => T,
  waitUnitMs: (described: Described & Extra) => number | undefined = () => undefined,
): Kind<T, Extra> {
  return ((described: Described & Extra & { default?: string }) =>
    make(
      described,
      placeholder(described),
      described.default,
      parser(described),
      waitUnitMs(described),
    )) as Kind<T, Extra>
}

/** `check` throws an Error whose message says what is allowed. */
export const text = kind<string, { check?: (text: string) => unknown }>(
  () => '<text>',
  ({ check }) =>
    (value) => {
      if (value === '') throw new Error('a text that is not empty')
      check?.(value)
      return value
    },
)

interface Limits {
  min: number
  max?: number
  /** With a unit of time, the value is at most what a timer can wait. */
  unit?: string
}

function maxOf({ max, unit }: Limits): number | undefined {
  const unitMs = timeUnits.get(unit)
  return unitMs === undefined
    ? max
    : Math.min(max ?? Number.POSITIVE_INFINITY, Math.floor(maxTimerMs / unitMs))
}

function numberOf(what: string, isNumber: (value: string) => boolean) {
  return (limits: Limits) => {
    const { min, unit } = limits
    const max = maxOf(limits)
    const range = max === undefined ? `of ${min} or more` : `from ${min} to ${max}`
    const allowed = `${what} ${range}${unit === undefined ? '' : ` (${unit})`}`
    return (value: string): number => {
      const number = Number(value)
      if (!isNumber(value) || number < min || (max !== undefined && number > max))
        throw new Error(allowed)
      return number
    }
  }
}

const placeholderOf = ({ unit }: Limits) => (unit === undefined ? '<n>' : `<${unit}>`)
const unitMsOf = ({ unit }: Limits) => timeUnits.get(unit)

export const integer = kind<number, Limits>(
  placeholderOf,
  numberOf(
    'a whole number',
    (value) => /^-?\d+$/.test(value) && Number.isSafeInteger(Number(value)),
  ),
  unitMsOf,
)

export const decimal = kind<number, Limits>(
  placeholderOf,
  numberOf('a number', (value) => /^-?\d+(\.\d+)?$/.test(value) && Number.isFinite(Number(value))),
  unitMsOf,
)

/** A map, because an object inherits names, e.g. `constructor`, that would count as units. */
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
      const match = /^(\d+(?:\.\d+)?)(?: ?([a-zA-Z]+))?$/.exec(value)
      const unit = match === null ? undefined : byteUnits.get(match[2] ?? '')
      if (match === null || unit === undefined)
        throw new Error('a number of bytes such as 5MB, 256MiB or 1048576')
      const number = Math.round(Number(match[1]) * unit)
      if (number < min) throw new Error(`${min} bytes or more`)
      if (number > max) throw new Error(`${max} bytes or less`)
      return number
    },
)

/**
 * A time in UTC, as ms since 1970: `2026-11-01`, `2026-11-01T06`, `2026-11-01T06:30:00Z`, or ms.
 */
export const instant = kind<number>(
  () => '<time>',
  () => (value) => {
    if (/^\d{12,14}$/.test(value)) return Number(value)
    const match =
      /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d)(:\d\d(?::\d\d(?:\.\d+)?)?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(value)
    const [, day, hour = '00', rest = ':00', zone = 'Z'] = match ?? []
    const time = day === undefined ? Number.NaN : Date.parse(`${day}T${hour}${rest}${zone}`)
    if (Number.isNaN(time))
      throw new Error('a time in UTC such as 2026-11-01, 2026-11-01T06 or 2026-11-01T06:30:00Z')
    return time
  },
)

/** Days since 1970, both included. */
export interface Days {
  readonly first: number
  readonly last: number
}

/** Days in UTC: `2019-08-01`, or `2019-08-01..2019-08-31`. */
export const days = kind<Days>(
  () => '<day..day>',
  () => (value) => {
    const [first, last] = (/^([\d-]+)(?:\.\.([\d-]+))?$/.exec(value) ?? [])
      .slice(1)
      .map((text, i, all) => dayOfText(text ?? all[i - 1]))
    if (first === undefined || last === undefined || first > last)
      throw new Error('a day such as 2019-08-01, or the first and the last: 2019-08-01..2019-08-31')
    return { first, last }
  },
)

function dayOfText(text: string | undefined): number | undefined {
  const ms = Date.parse(`${text}T00:00:00Z`)
  return Number.isFinite(ms) && isoDate(ms) === text ? ms / msPerDay : undefined
}

const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: msPerHour,
  d: msPerDay,
}

function timeSpan(maxMs: number, shown: string, examples: string) {
  return () =>
    (value: string): number => {
      if (value === '0') return 0
      const [, number, unit] = /^(\d+) ?(ms|s|m|h|d)$/.exec(value) ?? []
      const ms = Number(number) * (durationUnits[unit ?? ''] ?? Number.NaN)
      if (!(ms <= maxMs)) throw new Error(`a time span up to ${shown}, such as ${examples}`)
      return ms
    }
}

/** A time span that something may wait, in ms: `12h`, `30m`, `0`. */
export const duration = kind<number>(
  () => '<12h>',
  timeSpan(Math.floor(maxTimerMs / msPerDay) * msPerDay, '24d', '12h or 30m'),
  () => 1,
)

/** An age in ms. Nothing waits that long, so it may be years. */
export const age = kind<number, { min?: { ms: number; text: string; because: string } }>(
  () => '<90d>',
  ({ min }) => {
    const parse = timeSpan(36_500 * msPerDay, '36500d', '90d or 12h')()
    return (value) => {
      const ms = parse(value)
      if (min !== undefined && ms < min.ms) throw new Error(`${min.text} or more: ${min.because}`)
      return ms
    }
  },
)

/** An address to listen at. A port alone means the loopback interface. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export const listenAddress = kind<ListenAddress>(
  () => '<[address:]port>',
  () => (value) => {
    const [, , bracketed, plain, digits] =
      /^((?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(value) ?? []
    const port = Number(digits)
    if (digits === undefined || port > 65_535)
      throw new Error('a port such as 9464, or address:port such as 0.0.0.0:9464')
    return { host: bracketed ?? plain ?? '127.0.0.1', port }
  },
)

interface Choice<W extends string> {
  readonly explanation: string
  readonly default?: W
  /** The word that counts as not given. */
  readonly nothing?: W
}

/** One of a few words. */
export function oneOf<const W extends string>(
  words: readonly W[],
  described: Choice<NoInfer<W>> & { readonly default: NoInfer<W> },
): Option<W>
export function oneOf<const W extends string>(
  words: readonly W[],
  described: Choice<NoInfer<W>>,
): Option<W | undefined>
export function oneOf<const W extends string>(
  words: readonly W[],
  { explanation, default: usual, nothing }: Choice<NoInfer<W>>,
): Option<W | undefined> {
  const option = make({ explanation }, words.join('|'), usual, (value) => {
    const word = words.find((candidate) => candidate === value)
    if (word === undefined)
      throw new Error(words.length === 1 ? words.join('') : `one of ${words.join(', ')}`)
    return word
  })
  return nothing === undefined ? option : { ...option, nothing }
}

/**
 * A switch: `--until-end`, or `--no-files` for one that is on by default; `true` or `false` as a
 * variable or in the file. `explanation` says what it does when it is on. `whenOff` says what is
 * different without it, as the end of a sentence.
 */
export function flag(
  described: { explanation: string } & ({ default: false } | { default: true; whenOff?: string }),
): Option<boolean> {
  return {
    ...('whenOff' in described ? { whenOff: described.whenOff } : {}),
    explanation: described.explanation,
    placeholder: '',
    defaultText: described.default ? 'on' : 'off',
    defaultValue: described.default,
    negated: { value: false },
    isSwitch: true,
    parse: trueOrFalse,
  }
}

/** The words of YAML 1.2 (section 10.3.2), and words that people write into variables. */
export function trueOrFalse(value: string): boolean {
  if (/^(true|True|TRUE|1|on)$/.test(value)) return true
  if (isFalse(value)) return false
  throw new Error('true or false')
}

function isFalse(value: string): boolean {
  return /^(false|False|FALSE|0|off)$/.test(value)
}

/** The same option with a `--no-<flag>`. That flag and the value `false` set it to `none`. */
export function negatable<T>(option: Option<T>): Option<T | undefined>
export function negatable<T, N>(option: Option<T>, none: N): Option<T | N>
export function negatable<T>(option: Option<T>, none?: unknown): Option<unknown> {
  const { elements } = option
  return {
    ...option,
    parse: (value) => (isFalse(value) ? none : option.parse(value)),
    negated: { value: none },
    ...(elements === undefined
      ? {}
      : {
          elements: {
            split: elements.split,
            parse: (items: readonly string[]) =>
              items.length === 1 && isFalse(items[0]!) ? none : elements.parse(items),
          },
        }),
  }
}

/**
 * The same option with a value that no message shows, or whose value only some messages show.
 * `isSecret` says whether a text holds a secret.
 */
export function secret<T>(option: Option<T>, isSecret?: (text: string) => boolean): Option<T> {
  return { ...option, isSecret: isSecret ?? true }
}
