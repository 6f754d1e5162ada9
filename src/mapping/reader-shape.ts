import type { TypeFacts } from './facts.ts'
import type { FieldFacts } from './field-facts.ts'
import { mapKeysOf } from './object-rules.ts'

/**
 * What readers with typed columns make of a field. `any` is JSON as it is written: several kinds,
 * keys that are data, or names that such a reader cannot tell apart.
 */
export type Shape =
  | { readonly is: 'boolean' | 'whole' | 'number' | 'text' | 'any' }
  | { readonly is: 'list'; readonly of: Shape }
  | { readonly is: 'struct'; readonly fields: readonly ShapeField[] }

export interface ShapeField {
  readonly name: string
  readonly shape: Shape
  readonly facts: FieldFacts
}

const any: Shape = { is: 'any' }

/** Deeper values are JSON as it is written. */
const maxLevels = 32

/** The shape of the values of a type. */
export function shapeOf({ fields, notObjects, lists, isCapped }: TypeFacts): Shape {
  if (notObjects > 0 || lists > 0 || isCapped) return any
  const children = new Map<string, FieldFacts[]>()
  for (const field of fields) {
    const parent = JSON.stringify(field.path.slice(0, -1))
    const known = children.get(parent)
    if (known === undefined) children.set(parent, [field])
    else known.push(field)
  }
  const structOf = (path: readonly string[], own?: FieldFacts): Shape => {
    const below = children.get(JSON.stringify(path)) ?? []
    if (below.length === 0 || path.length > maxLevels) return any
    if (own !== undefined && mapKeysOf([own], below) !== undefined) return any
    if (below.some(({ isAnyKey }) => isAnyKey) || !areDistinct(below)) return any
    return {
      is: 'struct',
      fields: below.map((facts) => ({
        name: facts.path.at(-1)!,
        shape: asList(facts, elementOf(facts)),
        facts,
      })),
    }
  }
  const elementOf = (facts: FieldFacts): Shape => {
    const { boolean, number, text, object } = facts.kinds
    if ([boolean, number, text, object].filter((count) => count > 0).length !== 1) return any
    if (object > 0) return structOf(facts.path, facts)
    if (boolean > 0) return { is: 'boolean' }
    if (text > 0) return { is: 'text' }
    return numberShape(facts)
  }
  return structOf([])
}

/** Readers fold the case of names, and take no empty ones. */
function areDistinct(fields: readonly FieldFacts[]): boolean {
  const names = fields.map(({ path }) => path.at(-1)!.toLowerCase())
  return new Set(names).size === names.length && names.every((name) => name.trim() !== '')
}

/** A whole number of 64 bits, or a double; any other number is read as it is written. */
function numberShape({ numbers }: FieldFacts): Shape {
  if (numbers === undefined || numbers.beyondLong > 0 || numbers.infinite > 0) return any
  if (numbers.whole === numbers.count) return { is: 'whole' }
  return numbers.beyondDouble > 0 ? any : { is: 'number' }
}

/** A field that is a list in some records and a value in others is JSON as it is written. */
function asList({ lists }: FieldFacts, element: Shape): Shape {
  if (lists === undefined) return element
  return lists.inner > 0 || lists.outside > 0 ? any : { is: 'list', of: element }
}
