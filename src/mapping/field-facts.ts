import type { Field } from './field.ts'
import type { NumberFacts } from './numbers.ts'
import type { TextFacts } from './texts.ts'

export interface FieldFacts {
  /** The keys that lead to it, as the messages spell them. */
  readonly path: readonly string[]
  /** The same as a query writes it; `*` stands for any key of an object. */
  readonly name: string
  /** The field stands for all keys of its object that are not tracked one by one. */
  readonly isAnyKey: boolean
  /** Records that have the field. */
  readonly records: number
  /** Objects that have it, and objects that may have it. */
  readonly occurrences: number
  readonly parents: number
  /** Values by kind; elements of lists count each. */
  readonly kinds: {
    readonly null: number
    readonly boolean: number
    readonly number: number
    readonly text: number
    readonly object: number
  }
  readonly lists: ListFacts | undefined
  readonly numbers: NumberFacts | undefined
  readonly texts: TextFacts | undefined
  /** Different booleans, numbers and texts; an estimate if it is not exact. */
  readonly distinct: number
  readonly isDistinctExact: boolean
  /** Some values as they are written. */
  readonly examples: readonly string[]
  /** Keys of its objects that are tracked by name. */
  readonly keys: number
  /** Other keys of its objects are counted together. */
  readonly hasAnyKey: boolean
  /** Values below the deepest level that is tracked. */
  readonly tooDeep: number
}

export interface ListFacts {
  readonly count: number
  readonly empty: number
  /** Lists in lists; `count` has them, too. */
  readonly inner: number
  /** Values of the field that are neither in a list nor null. */
  readonly outside: number
  readonly minElements: number
  readonly maxElements: number
  readonly meanElements: number
  /** Lists with two objects and more, and the most objects in one. */
  readonly ofObjects: number
  readonly maxObjects: number
  /** Lists whose second element is a number beyond ±90, which is no latitude. */
  readonly beyondLatitude: number
}

/** What is known of a field, as plain data. */
export function snapshotOf(
  field: Field,
  parent: Field,
  path: readonly string[],
  isAnyKey: boolean,
): FieldFacts {
  return {
    path,
    name: path.join('.'),
    isAnyKey,
    records: Math.min(field.records, parent.records),
    occurrences: field.occurrences,
    parents: parent.objects,
    kinds: {
      null: field.nulls,
      boolean: field.trues + field.falses,
      number: field.numberCount,
      text: field.textCount,
      object: field.objects,
    },
    lists: field.lists === 0 ? undefined : listFactsOf(field),
    numbers: field.numbers?.facts(),
    texts: field.texts?.facts(),
    // An estimate may be above the number of values; the truth never is.
    distinct: Math.min(field.distinct?.count ?? 0, field.scalars),
    isDistinctExact: field.distinct?.isExact ?? true,
    examples: field.distinct?.examples ?? [],
    keys: field.children.size,
    hasAnyKey: field.anyKey !== undefined,
    tooDeep: field.tooDeep,
  }
}

function listFactsOf(field: Field): ListFacts {
  return {
    count: field.lists,
    empty: field.emptyLists,
    inner: field.innerLists,
    outside: field.occurrences - (field.lists - field.innerLists) - field.outerNulls,
    minElements: field.minElements,
    maxElements: field.maxElements,
    meanElements: Math.round((field.elements / field.lists) * 10) / 10,
    ofObjects: field.objectLists,
    maxObjects: field.maxObjects,
    beyondLatitude: field.beyondLatitude,
  }
}
