import type { TypeFacts } from './facts.ts'
import type { FieldFacts } from './field-facts.ts'
import { isOfUse, nameParts } from './field-names.ts'
import { shareOf } from './formulas.ts'
import { notesOf } from './notes.ts'
import { nestedOffer, proposeObject } from './object-rules.ts'
import { proposeScalar } from './scalar-rules.ts'
import { sumOf, type ValueSums } from './value-sums.ts'

/** How a field is mapped. */
export type FieldKind =
  | 'boolean'
  | 'date'
  | 'date_nanos'
  | 'double'
  | 'flattened'
  | 'geo_point'
  | 'ip'
  | 'keyword'
  | 'keyword+text'
  | 'long'
  | 'not indexed'
  | 'object'
  | 'text'

/** A decision about one field, and why. */
export interface Decision {
  readonly as: FieldKind
  /** For people; one sentence. It quotes no value: workers log it. */
  readonly reason: string
  /** For dates: formats of Elasticsearch, joined by `||`. */
  readonly format?: string
  /** Numbers in texts count as numbers, too (`coerce`). */
  readonly takesTexts?: boolean
  /** The texts as they are written, in a sub-field `.text`. */
  readonly hasText?: boolean
  /** The numbers among other values, in a sub-field `.number`. */
  readonly hasNumber?: boolean
  /** The time that a number means, in a sub-field `.date`: `epoch_second` or `epoch_millis`. */
  readonly dateFormat?: string
}

export interface FieldProposal extends Decision {
  /** As a query writes it behind `value.`. */
  readonly name: string
  /** Records that have it. */
  readonly records: number
  /** What `nested` would give and cost; only for lists of objects. */
  readonly nested?: string
}

/** A field that is not mapped by name, and why. */
export interface LeftField {
  readonly name: string
  readonly reason: string
}

export interface Proposal {
  readonly records: number
  /** In the order of their names, an object before what it holds. */
  readonly fields: readonly FieldProposal[]
  readonly left: readonly LeftField[]
  /** What a person should know before applying it. */
  readonly notes: readonly string[]
}

/** The mapping in a word or two: `date`, `double + date`. */
export function kindText({ as, dateFormat }: Decision): string {
  return dateFormat === undefined ? as : `${as} + date`
}

/** A conflict of an object and a scalar in fewer values than this is left to rejects. */
const rareConflict = 0.01
/**
 * Elasticsearch allows 20 levels of objects (`index.mapping.depth.limit`); `value` is one of them.
 */
const maxLevels = 17

/**
 * Proposes how Elasticsearch maps the fields of a type. Pure: the same facts give the same
 * proposal. Each rule keeps what aggregates say: a numeric field holds the numbers of the files and
 * no others. The thresholds are in `docs/mapping.md`.
 */
export function proposalOf(facts: TypeFacts): Proposal {
  const fields: FieldProposal[] = []
  const left: LeftField[] = []
  /** Fields that are mapped as a whole: what is below them is not named. */
  const closed = new Set<string>()
  const groups = groupsOf(facts.fields, left)
  const names = [...groups.keys()]
  const parents = new Set(names.flatMap(parentsOf))
  for (const [name, group] of [...groups].sort(([a], [b]) => compareNames(a, b))) {
    if (parentsOf(name).some((parent) => closed.has(parent))) continue
    const isParent = parents.has(name)
    const below = isParent ? names.filter((other) => other.startsWith(`${name}.`)) : []
    const decided = decide(name, group, {
      isParent,
      below: below.flatMap((other) => groups.get(other)!),
    })
    if ('left' in decided) left.push({ name, reason: decided.left })
    else {
      const records = Math.max(...group.map((one) => one.records))
      fields.push({ name, records, ...decided })
    }
    if (!('left' in decided) && decided.as !== 'object') closed.add(name)
  }
  const isBelowWhole = ({ name }: LeftField) => parentsOf(name).some((one) => closed.has(one))
  const shown = left.filter((one) => !isBelowWhole(one))
  return { records: facts.records, fields, left: shown, notes: notesOf(facts, fields, groups) }
}

type Decided = (Decision & { readonly nested?: string }) | { readonly left: string }

interface Surroundings {
  /** A field lies below it, by a dot in a name or in an object. */
  readonly isParent: boolean
  readonly below: readonly FieldFacts[]
}

function decide(name: string, group: readonly FieldFacts[], around: Surroundings): Decided {
  const sums = sumOf(group)
  const isObject = sums.objects > 0 || around.isParent
  if (!isObject && sums.scalars === 0)
    return { left: 'no value yet, only null or empty lists; mapped when one comes' }
  if (isObject && sums.scalars > 0) return decideConflict(name, sums, group, around)
  if (!isObject) return proposeScalar(name, sums)
  return decideObject(name, sums, group, around)
}

function decideObject(
  name: string,
  sums: ValueSums,
  group: readonly FieldFacts[],
  { below }: Surroundings,
): Decided {
  if (name.split('.').length > maxLevels)
    return {
      as: 'not indexed',
      reason: `an object below ${maxLevels} others; Elasticsearch refuses documents with more than 20 levels`,
    }
  const decision = proposeObject(name, group, below)
  const nested = decision.as === 'object' ? nestedOffer(sums, group) : undefined
  return nested === undefined ? decision : { ...decision, nested }
}

/** An object here, a text or a number there: Elasticsearch takes one of them. */
function decideConflict(
  name: string,
  sums: ValueSums,
  group: readonly FieldFacts[],
  around: Surroundings,
): Decided {
  const { objects, scalars } = sums
  const all = objects + scalars
  if (scalars / all < rareConflict && objects > 0) {
    const decided = decideObject(name, sums, group, around)
    return withRemark(decided, `${shareOf(scalars, all)} are no objects and become rejects`)
  }
  if (objects / all < rareConflict && !hasDotted(around)) {
    const decided = proposeScalar(name, sums)
    return withRemark(decided, `${shareOf(objects, all)} are objects and become rejects`)
  }
  return {
    as: 'not indexed',
    reason: `an object in ${shareOf(objects, all)}, a value in the others: no mapping takes both, and one that is not indexed refuses neither`,
  }
}

/** A field of another name lies below, although no value is an object: `a` and `a.b`. */
function hasDotted({ below }: Surroundings): boolean {
  return below.some(({ path }) => path.some((key) => key.includes('.')))
}

function withRemark(decided: Decided, remark: string): Decided {
  return 'left' in decided ? decided : { ...decided, reason: `${decided.reason}; ${remark}` }
}

/** Fields by the name that Elasticsearch gives them: `{"a":{"b":1}}` and `{"a.b":1}` are one. */
function groupsOf(fields: readonly FieldFacts[], left: LeftField[]): Map<string, FieldFacts[]> {
  const groups = new Map<string, FieldFacts[]>()
  const seen = new Set<string>()
  for (const field of fields) {
    if (field.isAnyKey || isBelowAnyKey(field, fields, seen)) continue
    const why = isOfUse(field.path)
    if (why !== undefined) {
      left.push({ name: field.name, reason: why })
      continue
    }
    const name = nameParts(field.path).join('.')
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [field])
    else group.push(field)
  }
  return groups
}

/** Remembers the paths of fields that stand for any key, so that what is below them is left out. */
function isBelowAnyKey(
  field: FieldFacts,
  fields: readonly FieldFacts[],
  seen: Set<string>,
): boolean {
  if (seen.size === 0)
    for (const { isAnyKey, path } of fields) if (isAnyKey) seen.add(JSON.stringify(path))
  return (
    seen.size > 0 &&
    field.path.some((key, i) => key === '*' && seen.has(JSON.stringify(field.path.slice(0, i + 1))))
  )
}

function parentsOf(name: string): string[] {
  const parts = name.split('.')
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('.'))
}

/** An object before what it holds. */
function compareNames(a: string, b: string): number {
  const [one, two] = [a.split('.'), b.split('.')]
  for (const [i, part] of one.entries()) {
    const other = two[i]
    if (other === undefined) return 1
    if (part !== other) return part < other ? -1 : 1
  }
  return one.length - two.length
}
