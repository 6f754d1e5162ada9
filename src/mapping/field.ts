import { Distinct } from './distinct.ts'
import { NumberTally } from './numbers.ts'
import { TextTally } from './texts.ts'

/** Kinds of values, and the bytes that keep them apart among different values. */
export const kindMarks = { boolean: 1, number: 2, text: 3 } as const

/**
 * What is known of one field: all values under one path of keys. Lists are flattened, as
 * Elasticsearch does: their elements are values of the field. Every count is a sum or a set, so the
 * order of records does not matter, and two fields merge into what one would have been.
 */
export class Field {
  /** Records that have the field. */
  records = 0
  /** Times that the key is in an object; a list counts once. */
  occurrences = 0
  nulls = 0
  /** Those that are not in a list. */
  outerNulls = 0
  trues = 0
  falses = 0
  numberCount = 0
  textCount = 0
  objects = 0
  lists = 0
  emptyLists = 0
  /** Lists in lists. */
  innerLists = 0
  minElements = Number.POSITIVE_INFINITY
  maxElements = 0
  elements = 0
  /** Lists of two objects and more: whether they are nested matters. */
  objectLists = 0
  maxObjects = 0
  /** Lists whose second element is a number that is no latitude. */
  beyondLatitude = 0
  readonly children = new Map<string, Field>()
  /** All keys that are not tracked one by one, as if they were one. */
  anyKey: Field | undefined
  numbers: NumberTally | undefined
  texts: TextTally | undefined
  distinct: Distinct | undefined
  /** Values deeper than the deepest level that is tracked. */
  tooDeep = 0
  #lastRecord = -1

  /** The record `number` has this field. */
  seenIn(number: number): void {
    this.occurrences++
    if (this.#lastRecord === number) return
    this.#lastRecord = number
    this.records++
  }

  addDistinct(bytes: Buffer, start: number, end: number, kind: keyof typeof kindMarks): void {
    this.distinct ??= new Distinct()
    this.distinct.add(bytes, start, end, kindMarks[kind])
  }

  addList(elements: number, objects: number): void {
    this.lists++
    if (elements === 0) this.emptyLists++
    this.elements += elements
    this.minElements = Math.min(this.minElements, elements)
    this.maxElements = Math.max(this.maxElements, elements)
    this.maxObjects = Math.max(this.maxObjects, objects)
    if (objects > 1) this.objectLists++
  }

  get scalars(): number {
    return this.trues + this.falses + this.numberCount + this.textCount
  }

  /** Fields at and below this one. */
  get size(): number {
    let size = 1
    for (const child of this.children.values()) size += child.size
    return size + (this.anyKey?.size ?? 0)
  }

  /** Adds what another field knows. Neither is used afterwards to add values of the other. */
  merge(other: Field): void {
    this.records += other.records
    this.occurrences += other.occurrences
    this.nulls += other.nulls
    this.outerNulls += other.outerNulls
    this.trues += other.trues
    this.falses += other.falses
    this.numberCount += other.numberCount
    this.textCount += other.textCount
    this.objects += other.objects
    this.lists += other.lists
    this.emptyLists += other.emptyLists
    this.innerLists += other.innerLists
    this.minElements = Math.min(this.minElements, other.minElements)
    this.maxElements = Math.max(this.maxElements, other.maxElements)
    this.elements += other.elements
    this.objectLists += other.objectLists
    this.maxObjects = Math.max(this.maxObjects, other.maxObjects)
    this.beyondLatitude += other.beyondLatitude
    this.tooDeep += other.tooDeep
    this.numbers = merged(this.numbers, other.numbers, () => new NumberTally())
    this.texts = merged(this.texts, other.texts, () => new TextTally())
    this.distinct = merged(this.distinct, other.distinct, () => new Distinct())
    this.#mergeChildren(other)
  }

  /**
   * A key that one of the two does not track by name any more has occurrences among the others
   * there, so it is complete in neither: it joins them.
   */
  #mergeChildren(other: Field): void {
    const isComplete = (key: string) =>
      (this.anyKey === undefined || this.children.has(key)) &&
      (other.anyKey === undefined || other.children.has(key))
    for (const [key, child] of [...this.children]) if (!isComplete(key)) this.#forget(key, child)
    for (const [key, child] of other.children) {
      const own = isComplete(key) ? this.children.get(key) : this.#others()
      if (own === undefined) this.children.set(key, copyOf(child))
      else own.merge(child)
    }
    if (other.anyKey !== undefined) this.#others().merge(other.anyKey)
  }

  #others(): Field {
    this.anyKey ??= new Field()
    return this.anyKey
  }

  #forget(key: string, child: Field): void {
    this.children.delete(key)
    this.#others().merge(child)
  }

  /** Keeps the `kept` most frequent keys that came at least twice, and puts the others together. */
  collapse(kept: number): void {
    const byCount = [...this.children].sort(
      ([a, one], [b, two]) => two.occurrences - one.occurrences || (a < b ? -1 : 1),
    )
    for (const [i, [key, child]] of byCount.entries())
      if (i >= kept || child.occurrences < 2) this.#forget(key, child)
  }

  /** The child of a key; undefined if there is none yet. */
  childOf(key: string): Field | undefined {
    return this.children.get(key) ?? this.anyKey
  }
}

/** The other one stays as it is. */
function merged<T extends { merge(other: T): void }>(
  own: T | undefined,
  other: T | undefined,
  create: () => T,
): T | undefined {
  if (other === undefined) return own
  const target = own ?? create()
  target.merge(other)
  return target
}

function copyOf(field: Field): Field {
  const copy = new Field()
  copy.merge(field)
  return copy
}
