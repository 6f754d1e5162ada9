import { ArchiverError } from '../../runtime/errors.ts'

/**
 * One declaration for an option: what it is called, what it means, its default and what is allowed.
 * Flags, environment variables, keys of the YAML file, help text, the configuration reference and
 * the TypeScript type all come from it.
 *
 * The key `flushInterval` is the flag `--flush-interval`, the variable `ARCHIVER_FLUSH_INTERVAL`
 * and the YAML key `flush-interval`; a flag wins over a variable, a variable over the file.
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
  /** Only for a list: its elements, of which a flag can add some each time. */
  readonly elements?: {
    readonly split: (text: string) => readonly string[]
    /** Throws an Error whose message says what is allowed. */
    readonly parse: (elements: readonly string[]) => T
  }
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
export type Values<O extends Options> = {
  readonly [K in keyof O]: O[K] extends Option<infer T> ? T : never
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
