/**
 * The answer of a server does not match its documentation: it is another product, a proxy, or an
 * impostor.
 */
export class UnlikeAnswer extends Error {
  override readonly name = 'UnlikeAnswer'
}

/**
 * Checks a parsed answer before its reader relies on it. `at` names the place in the answer. Fields
 * that the reader ignores may be anything, because servers add fields.
 * @throws UnlikeAnswer
 */
export type Shape = (value: unknown, at: string) => void

function ofType(name: 'string' | 'number' | 'boolean', words: string): Shape {
  return (value, at) => {
    if (typeof value !== name) throw unlike(at, words)
  }
}

export const text = ofType('string', 'a text')
export const number = ofType('number', 'a number')
export const flag = ofType('boolean', 'true or false')
export const anything: Shape = () => {}

/** A number, or its digits. */
export const digits: Shape = (value, at) => {
  if (typeof value !== 'number' && !(typeof value === 'string' && /^-?\d+$/.test(value)))
    throw unlike(at, 'a number')
}

/** An exact whole number of 0 or more. */
export const count: Shape = (value, at) => {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw unlike(at, 'a count')
}

export function optional(shape: Shape): Shape {
  return (value, at) => {
    if (value !== undefined) shape(value, at)
  }
}

export function nullable(shape: Shape): Shape {
  return (value, at) => {
    if (value !== null) shape(value, at)
  }
}

export function list(shape: Shape): Shape {
  return (value, at) => {
    if (!Array.isArray(value)) throw unlike(at, 'a list')
    for (const [i, element] of value.entries()) shape(element, `${at}[${i}]`)
  }
}

/** An object with any names. */
export function each(shape: Shape): Shape {
  return (value, at) => {
    for (const [name, inner] of Object.entries(objectAt(value, at)))
      shape(inner, `${at}.${name.slice(0, 80)}`)
  }
}

/** An object with these fields, among others. */
export function object(fields: Readonly<Record<string, Shape>>): Shape {
  const shapes = Object.entries(fields)
  return (value, at) => {
    const found = objectAt(value, at)
    for (const [name, shape] of shapes)
      shape(Object.hasOwn(found, name) ? found[name] : undefined, `${at}.${name}`)
  }
}

function objectAt(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw unlike(at, 'an object')
  return value as Readonly<Record<string, unknown>>
}

function unlike(at: string, expected: string): UnlikeAnswer {
  return new UnlikeAnswer(`${at} is not ${expected}`)
}
