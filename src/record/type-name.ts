import { malformedType, type RecordType, untypedType } from './record.ts'

/**
 * How people name a type of messages, on a command line and in a list. A type is named as messages
 * give it. `_untyped` and `_malformed` are the records that have none. A message may give itself
 * one of these two names: that type is named with the underscore as `%5F`, as in the path of its
 * files. A type that is such a name itself gets one more `%25`.
 */

const reserved = [malformedType, untypedType]
const escaped = /^%((?:25)*)(5[Ff](?:malformed|untyped))$/

/** The type that a name means. */
export function typeOfName(name: string): RecordType {
  const own = reserved.find((type) => type.name === name)
  if (own !== undefined) return own
  const [, levels, rest] = escaped.exec(name) ?? []
  if (levels === undefined || rest === undefined) return { name, reserved: false }
  return {
    name: levels === '' ? `_${rest.slice(2)}` : `%${levels.slice(2)}${rest}`,
    reserved: false,
  }
}

/** The name of a type. `typeOfName` is the inverse. */
export function nameOfType({ name, reserved: isReserved }: RecordType): string {
  if (isReserved) return name
  if (reserved.some((type) => type.name === name)) return `%5F${name.slice(1)}`
  return escaped.test(name) ? `%25${name.slice(1)}` : name
}

/** True for the same type of messages, or the same kind of records without one. */
export function isSameType(a: RecordType, b: RecordType): boolean {
  return a.name === b.name && a.reserved === b.reserved
}
