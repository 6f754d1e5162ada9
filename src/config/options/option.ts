import { ArchiverError } from '../../runtime/errors.ts'

/**
 * The one declaration of an option: its name, meaning, default and what is allowed. Flags,
 * environment variables, keys of the YAML file, the help text, the configuration reference and the
 * TypeScript type all come from it.
 *
 * The key `flushInterval` is the flag `--flush-interval`, the variable `ARCHIVER_FLUSH_INTERVAL`
 * and the YAML key `flush-interval`. A flag wins over a variable, a variable over the file.
 */
export interface Option<T> {
  /** What the option does; for a switch, what it does when it is on. */
  readonly explanation: string
  /** For a switch that is on by default: what its absence means, as the end of a sentence. */
  readonly whenOff?: string
  /** What the help text shows for the value, e.g. `<host:port,…>`; empty for a switch. */
  readonly placeholder: string
  /** The default as a person would type it; undefined if there is none. */
  readonly defaultText: string | undefined
  readonly defaultValue: T
  /** The value that counts as not given, besides undefined and false. */
  readonly nothing?: T
  /** Throws an Error whose message says what is allowed. */
  readonly parse: (text: string) => T
  /** Only for a list: its elements. A flag adds some each time it is given. */
  readonly elements?: {
    readonly split: (text: string) => readonly string[]
    /** Throws an Error whose message says what is allowed. */
    readonly parse: (elements: readonly string[]) => T
  }
  /** What `--no-<flag>` sets; absent if there is no such flag. */
  readonly negated?: { readonly value: T }
  readonly isSwitch: boolean
  /** No message shows the value; a function says whether a text holds a secret. */
  readonly isSecret?: boolean | ((text: string) => boolean)
  /** In the file it may be a mapping of names to mappings, whose elements are `name:key=text`. */
  readonly takesMapping?: true
  /** It may also be set for some topics alone: see `config/topic-settings.ts`. */
  readonly isPerTopic?: true
  /** For a time that something waits: how many ms one unit of the value is. */
  readonly waitUnitMs?: number
}

export type Options = Readonly<Record<string, Option<unknown>>>
/** The type of the values that `readOptions` returns for a set of declarations. */
export type Values<O extends Options> = {
  readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never
}

/** The same option, which may also be set for some topics alone. */
export function perTopic<T>(option: Option<T>): Option<T> {
  return { ...option, isPerTopic: true }
}

export const variablePrefix = 'ARCHIVER_'

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

export function usage(message: string): ArchiverError {
  return new ArchiverError('USAGE', message)
}
