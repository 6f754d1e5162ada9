import type { DescribedField, NumberField } from './described.ts'
import { ownName, wordsOf } from './names.ts'
import { isNumber, type Role } from './roles.ts'
import type { View } from './view.ts'

/** Finds fields of a kind of messages by their names. */

/**
 * A text by the words of its last key, of few enough values to group by and of more than one. Of
 * several, the least nested one says most about the whole record.
 */
export function textNamed(
  view: View,
  names: RegExp,
  maxDistinct = Number.POSITIVE_INFINITY,
): DescribedField | undefined {
  return leastNested(
    view,
    ({ kind, name, distinct }) =>
      kind === 'string' && distinct <= maxDistinct && names.test(wordsOf(name).join(' ')),
  )
}

/** The least nested field that a test finds; of those, the first by name. */
export function leastNested(
  { described }: View,
  is: (field: DescribedField) => boolean,
): DescribedField | undefined {
  const depth = ({ name }: DescribedField) => name.split('.').length
  return described.fields
    .filter((field) => field.of === undefined && is(field))
    .reduce<DescribedField | undefined>(
      (best, field) => (best !== undefined && depth(best) <= depth(field) ? best : field),
      undefined,
    )
}

/** A field by its name in the message. */
export function exactly({ described }: View, name: string): DescribedField | undefined {
  return described.fields.find((field) => ownName(field.name) === name)
}

export function numberNamed(view: View, name: string): NumberField | undefined {
  const field = exactly(view, name)
  return field !== undefined && isNumber(field) ? field : undefined
}

/** The currency of amounts. */
export function currencyOf(view: View): DescribedField | undefined {
  return textNamed(view, /^(\w+ )?(currency( code)?|ccy)$/, 200)
}

/** The best measure of a role. */
export function measureOf({ sorted }: View, role: Role): NumberField | undefined {
  return sorted.measures.find((field) => sorted.roleOf(field) === role)
}

export function present<T>(...items: readonly (T | undefined)[]): T[] {
  return items.filter((item) => item !== undefined)
}
