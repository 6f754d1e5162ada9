import type { TypeFacts } from './facts.ts'
import type { FieldFacts } from './field-facts.ts'
import { nameParts } from './field-names.ts'
import { isTakenBy, type Mapping } from './index-mapping.ts'
import { type FieldProposal, kindText, proposalOf } from './proposal.ts'
import { mayBeNearlyAll, sumOf } from './value-sums.ts'

/** What the cluster makes of the next index of a type. */
export interface ClusterMapping {
  /** Of `value` in the template of the type; undefined if there is none. */
  readonly mapping: Mapping | undefined
  /** Of that template; 0 if there is none. */
  readonly version: number
  /** Names below `value` that somebody else maps. */
  readonly own: readonly string[]
}

/** A field whose mapping fits its values no longer, or never did. */
export interface OutgrownField {
  readonly name: string
  /** As the template of the type maps it; `default` if it does not name the field. */
  readonly mapped: string
  readonly proposed: string
  readonly reason: string
}

/**
 * The fields whose values their mapping refuses or does not understand. Pure. A mapping that takes
 * more than these facts need is not outgrown: it may come from records that are not among them.
 */
export function outgrownFields(
  facts: TypeFacts,
  { mapping, own }: Pick<ClusterMapping, 'mapping' | 'own'>,
): OutgrownField[] {
  const byName = Map.groupBy(facts.fields, ({ path }) => nameParts(path).join('.'))
  return proposalOf(facts).fields.flatMap((field) => {
    if (own.some((name) => isTakenBy(name, field))) return []
    const found = mappingAt(mapping, field.name)
    if (found === 'covered') return []
    const values = byName.get(field.name) ?? []
    const fits = found === undefined ? isDefault(field, values) : takes(found, field, values)
    if (fits) return []
    const mapped = found === undefined ? 'default' : (found.type ?? 'object')
    const { name, reason } = field
    return [{ name, mapped: String(mapped), proposed: kindText(field), reason }]
  })
}

/** Undefined if it is not named; `covered` if a field above it is mapped as a whole. */
function mappingAt(root: Mapping | undefined, name: string): Mapping | 'covered' | undefined {
  let node = root
  for (const part of name.split('.')) {
    if (node === undefined) return undefined
    if (node !== root && !isObject(node)) return 'covered'
    const { properties } = node
    node =
      properties !== undefined && Object.hasOwn(properties, part) ? properties[part] : undefined
  }
  return node
}

function isObject({ type = 'object', enabled }: Mapping): boolean {
  return (type === 'object' || type === 'nested') && enabled !== false
}

const defaults = new Set<FieldProposal['as']>([
  'boolean',
  'double',
  'keyword',
  'keyword+text',
  'long',
  'object',
  'text',
])

/** The dynamic templates of the archive map it as well. */
function isDefault(
  { as, takesTexts, hasNumber, dateFormat }: FieldProposal,
  values: readonly FieldFacts[],
): boolean {
  if (takesTexts === true || hasNumber === true || dateFormat !== undefined) return false
  if (as === 'not indexed') return !values.some(({ kinds }) => kinds.object > 0)
  if (as === 'boolean') return values.every(({ kinds }) => kinds.text === 0)
  return defaults.has(as)
}

/** The mapping takes the values as what they are. */
function takes(node: Mapping, field: FieldProposal, values: readonly FieldFacts[]): boolean {
  const { as } = field
  if (node.enabled === false) return true
  if ((as === 'keyword' || as === 'keyword+text') && isRareByChance(node, values)) return true
  if (isObject(node)) return as === 'object'
  if (node.type === 'flattened') return as === 'object' || as === 'flattened'
  if (as === 'object' || as === 'flattened') return false
  if (as === 'not indexed' && values.some(({ kinds }) => kinds.object > 0)) return false
  return takesScalar(node, field, values)
}

/** A sample has more of what the field leaves out than all records may have. */
function isRareByChance(node: Mapping, values: readonly FieldFacts[]): boolean {
  const { objects, scalars, numbers, decimals, booleans, dates, formats } = sumOf(values)
  const of = (format: Parameters<typeof formats.get>[0]) => formats.get(format) ?? 0
  const filled = scalars - of('empty')
  if (objects > 0 || of('java-number') + of('digits') > 0) return false
  switch (node.type) {
    case 'date':
    case 'date_nanos':
      return numbers.count + decimals.count === 0 && mayBeNearlyAll(dates.count, filled)
    case 'ip':
      return mayBeNearlyAll(of('ipv4') + of('ipv6'), filled)
    case 'boolean':
      return of('empty') === 0 && mayBeNearlyAll(booleans + of('boolean'), scalars)
    case 'double':
      return node.coerce === true && mayBeNearlyAll(numbers.count + decimals.count, filled)
    default:
      return false
  }
}

function takesScalar(
  node: Mapping,
  { as, format, takesTexts }: FieldProposal,
  values: readonly FieldFacts[],
): boolean {
  switch (node.type) {
    case 'keyword':
      return (as !== 'keyword+text' && as !== 'text') || subField(node, 'text')?.type === 'text'
    case 'double':
      if (as === 'long') return subField(node, 'text') !== undefined
      return as === 'double' && (takesTexts !== true || node.coerce === true)
    case 'long':
      return as === 'long' || (as === 'double' && values.every(isOfLongs))
    case 'date':
    case 'date_nanos':
      return isDateOf(node, as, format)
    case 'ip':
    case 'boolean':
    case 'geo_point':
      return as === node.type
    default:
      return true
  }
}

function isOfLongs({ numbers, texts }: FieldFacts): boolean {
  if (texts !== undefined) return false
  return numbers === undefined || (numbers.whole === numbers.count && numbers.beyondLong === 0)
}

function isDateOf(node: Mapping, as: FieldProposal['as'], format = ''): boolean {
  if (as !== 'date' && as !== 'date_nanos') return false
  if (as === 'date_nanos' && node.type === 'date') return false
  const known = String(node.format ?? '').split('||')
  return format.split('||').every((one) => known.includes(one))
}

function subField({ fields = {} }: Mapping, name: string): Mapping | undefined {
  return (fields as Readonly<Record<string, Mapping>>)[name]
}
