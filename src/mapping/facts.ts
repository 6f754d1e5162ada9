import { type JsonHandler, readJson } from '../record/json-events.ts'
import { rangeOfValue } from '../record/line/decoder.ts'
import { LineHead } from '../record/line/head.ts'
import { Field } from './field.ts'
import { type FieldFacts, snapshotOf } from './field-facts.ts'
import { NumberTally } from './numbers.ts'
import { TextTally } from './texts.ts'

/** What bounds the memory of facts, whatever messages say. */
export const factLimits = {
  /** Keys of one object that are tracked by name; of more, the most frequent. */
  keys: 4000,
  /** How many stay when there are more. */
  keptKeys: 500,
  /** Fields of a type. */
  fields: 10_000,
  /** Levels of objects. */
  levels: 100,
  /** Characters of a key; a longer one is tracked by its beginning. */
  keyLength: 512,
  /** Characters of a text that are looked at. */
  textLength: 65_536,
}

export type FactLimits = typeof factLimits

/** What is known of the fields of a type. Plain data: `--json` prints it. */
export interface TypeFacts {
  /** Records with a JSON value. */
  readonly records: number
  /** Records whose value is a number, a text or a boolean, or a list of them: it has no fields. */
  readonly notObjects: number
  /** Records whose value is a list, whatever is in it, and those whose value is null. */
  readonly lists: number
  readonly nulls: number
  /** In the order of their paths; a field behind the object that has it. */
  readonly fields: readonly FieldFacts[]
  /** True if there were more fields than are tracked one by one. */
  readonly isCapped: boolean
}

/**
 * Collects facts of records in any order. Memory is bounded by `factLimits`. As long as no limit is
 * reached, facts depend on the set of records alone: not on their order, nor on how they are split
 * among collectors that are merged. Beyond a limit, each count is still exact; which keys of an
 * object are tracked by name depends on what came first.
 */
export class FactsCollector implements JsonHandler {
  readonly #limits: FactLimits
  readonly #root = new Field()
  readonly #head = new LineHead()
  #records = 0
  #notObjects = 0
  #lists = 0
  #nulls = 0
  #fields = 0
  #isCapped = false

  // The value that is read.
  #bytes: Buffer = Buffer.alloc(0)
  #at: number | undefined
  /** The field whose value comes next; undefined below the deepest level. */
  #field: Field | undefined
  /** The fields of the open containers. */
  readonly #open: (Field | undefined)[] = []
  /** Elements of the open containers, and how many of them are objects; not used for objects. */
  readonly #elements: number[] = []
  readonly #objects: number[] = []
  readonly #isList: boolean[] = []

  constructor(limits: FactLimits = factLimits) {
    this.#limits = limits
  }

  get records(): number {
    return this.#records
  }

  /** Fields so far. */
  get fieldCount(): number {
    return this.#fields
  }

  /** Adds the record of a line, with or without its LF. A value that is no JSON adds nothing. */
  addLine(line: Buffer): void {
    const range = rangeOfValue(line)
    if (range === undefined) return
    const at = this.#head.read(line, 0) ? this.#head.timestamp : undefined
    this.addValue(line, range, at)
  }

  /** Adds a value. @param at the record's timestamp in ms */
  addValue(
    bytes: Buffer,
    { start, end }: { readonly start: number; readonly end: number },
    at?: number,
  ): void {
    this.#records++
    this.#bytes = bytes
    this.#at = at
    this.#field = this.#root
    this.#root.seenIn(this.#records)
    const before = this.#root.scalars
    const { lists, outerNulls } = this.#root
    readJson(bytes, start, end, this)
    if (this.#root.lists > lists) this.#lists++
    if (this.#root.outerNulls > outerNulls) this.#nulls++
    if (this.#root.scalars > before) this.#notObjects++
    if (this.#fields > this.#limits.fields) this.#collapseLargest()
  }

  key(start: number, end: number, escaped: boolean): void {
    const parent = this.#open.at(-1)
    if (parent === undefined) {
      this.#field = undefined
      return
    }
    const key = this.#keyOf(start, end, escaped)
    this.#field = parent.childOf(key) ?? this.#newChild(parent, key)
    this.#field?.seenIn(this.#records)
  }

  #newChild(parent: Field, key: string): Field | undefined {
    if (this.#open.length > this.#limits.levels) {
      parent.tooDeep++
      return undefined
    }
    const child = new Field()
    parent.children.set(key, child)
    this.#fields++
    if (parent.children.size <= this.#limits.keys) return child
    this.#collapse(parent)
    return parent.childOf(key)
  }

  #collapse(field: Field): void {
    const before = field.size
    field.collapse(this.#limits.keptKeys)
    this.#fields += field.size - before
    this.#isCapped = true
  }

  /** Collapses the object with the most keys until few fields are left. */
  #collapseLargest(): void {
    this.#isCapped = true
    while (this.#fields > this.#limits.fields * 0.75) {
      const largest = withMostKeys(this.#root)
      const before = this.#fields
      largest.collapse(Math.min(this.#limits.keptKeys, largest.children.size >> 1))
      this.#fields = this.#root.size - 1
      if (this.#fields >= before) return
    }
  }

  #keyOf(start: number, end: number, escaped: boolean): string {
    const text = escaped
      ? (JSON.parse(this.#bytes.toString('utf8', start - 1, end + 1)) as string)
      : this.#bytes.toString('utf8', start, end)
    const { keyLength } = this.#limits
    return text.length > keyLength ? `${text.slice(0, keyLength)}…` : text
  }

  text(start: number, end: number, escaped: boolean): void {
    const field = this.#value()
    if (field === undefined) return
    field.textCount++
    field.addDistinct(this.#bytes, start, end, 'text')
    const { textLength } = this.#limits
    const isHuge = end - start > textLength
    const raw = this.#bytes.toString('utf8', start, isHuge ? start + textLength : end)
    const text = escaped && !isHuge ? (JSON.parse(`"${raw}"`) as string) : raw
    field.texts ??= new TextTally()
    field.texts.add(text, this.#at)
  }

  number(start: number, end: number): void {
    const field = this.#value()
    if (field === undefined) return
    field.numberCount++
    field.addDistinct(this.#bytes, start, end, 'number')
    field.numbers ??= new NumberTally()
    const written = this.#bytes.toString('latin1', start, end)
    field.numbers.add(written, this.#at)
    // GeoJSON: the longitude comes first.
    const isSecond = this.#isList.at(-1) === true && this.#elements.at(-1) === 2
    if (isSecond && Math.abs(Number(written)) > 90) field.beyondLatitude++
  }

  literal(byte: number): void {
    const field = this.#value()
    if (field === undefined) return
    if (byte === LETTER_N) {
      field.nulls++
      if (this.#isList.at(-1) !== true) field.outerNulls++
    } else {
      if (byte === LETTER_T) field.trues++
      else field.falses++
      field.addDistinct(booleans, byte === LETTER_T ? 0 : 1, byte === LETTER_T ? 1 : 2, 'boolean')
    }
  }

  open(isObject: boolean): void {
    const field = this.#value(isObject)
    if (isObject) {
      if (field !== undefined) field.objects++
    } else if (field !== undefined && this.#isList.at(-1) === true) field.innerLists++
    this.#open.push(field)
    this.#isList.push(!isObject)
    this.#elements.push(0)
    this.#objects.push(0)
  }

  close(): void {
    const field = this.#open.pop()
    const elements = this.#elements.pop()!
    const objects = this.#objects.pop()!
    if (this.#isList.pop() === true) field?.addList(elements, objects)
  }

  /** The field of a value that begins here: that of the key, or of the list that is open. */
  #value(isObject = false): Field | undefined {
    const last = this.#isList.length - 1
    if (this.#isList[last] !== true) return this.#field
    this.#elements[last]!++
    if (isObject) this.#objects[last]!++
    return this.#open[last]
  }

  /** Adds what another collector knows, which stays as it is. */
  merge(other: FactsCollector): void {
    this.#records += other.#records
    this.#notObjects += other.#notObjects
    this.#lists += other.#lists
    this.#nulls += other.#nulls
    this.#isCapped ||= other.#isCapped
    this.#root.merge(other.#root)
    this.#fields = this.#root.size - 1
    if (this.#fields > this.#limits.fields) this.#collapseLargest()
  }

  facts(): TypeFacts {
    const fields: FieldFacts[] = []
    const walk = (parent: Field, path: readonly string[]) => {
      const add = (key: string, field: Field, isAnyKey: boolean) => {
        const inner = [...path, key]
        fields.push(snapshotOf(field, parent, inner, isAnyKey))
        walk(field, inner)
      }
      for (const key of [...parent.children.keys()].sort())
        add(key, parent.children.get(key)!, false)
      if (parent.anyKey !== undefined) add('*', parent.anyKey, true)
    }
    walk(this.#root, [])
    return {
      records: this.#records,
      notObjects: this.#notObjects,
      lists: this.#lists,
      nulls: this.#nulls,
      fields,
      isCapped: this.#isCapped,
    }
  }
}

const LETTER_T = 0x74
const LETTER_N = 0x6e
const booleans = Buffer.from('tf')

function withMostKeys(root: Field): Field {
  let most = root
  const pending: Field[] = [root]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next.children.size > most.children.size) most = next
    pending.push(...next.children.values())
    if (next.anyKey !== undefined) pending.push(next.anyKey)
  }
  return most
}

/** Facts of the values of some messages, as JSON texts. */
export function factsOf(values: Iterable<string | Buffer>): TypeFacts {
  const collector = new FactsCollector()
  for (const value of values) {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value
    collector.addValue(bytes, { start: 0, end: bytes.length })
  }
  return collector.facts()
}
