import { createRequire } from 'node:module'
import { ArchiverError } from '../../runtime/errors.ts'

/** Modules of kafkajs by their name below `kafkajs/src`, for repairs that replace a part of one. */

const require = createRequire(import.meta.url)

/** kafkajs is not built as the version that a repair was written for. */
export function unexpectedKafkajs(what: string): ArchiverError {
  return new ArchiverError('INTERNAL', `kafkajs is not as expected (2.2.4): ${what}`)
}

/** The module's path on this machine. */
export function pathOf(module: string): string {
  return require.resolve(`kafkajs/src/${module}`)
}

export function isLoaded(module: string): boolean {
  return pathOf(module) in require.cache
}

export function load(module: string): unknown {
  return require(pathOf(module))
}

/**
 * Replaces what a module exports, before anything has loaded it.
 * @throws ArchiverError `INTERNAL` if it was loaded before, or is not a function
 */
export function replaceModule<T>(module: string, replace: (original: T) => T): void {
  if (isLoaded(module)) throw unexpectedKafkajs(`${module} was loaded before it could be repaired`)
  const original = load(module) as T
  const loaded = require.cache[pathOf(module)]
  if (typeof original !== 'function' || loaded === undefined)
    throw unexpectedKafkajs(`${module} is not a function`)
  loaded.exports = replace(original)
}

/**
 * The prototype of the class that a module exports, to replace methods of it.
 * @throws ArchiverError `INTERNAL` if it lacks one of these methods
 */
export function prototypeOf<T extends object>(
  module: string,
  methods: readonly (keyof T & string)[],
): T {
  const { prototype } = load(module) as { readonly prototype?: Partial<T> }
  const missing = methods.filter((method) => typeof prototype?.[method] !== 'function')
  if (missing.length > 0) throw unexpectedKafkajs(`${module} has no ${missing.join(' and no ')}`)
  return prototype as T
}
