import type { FieldProposal, Proposal } from './proposal.ts'

/** The mapping of a field or of an object, as Elasticsearch takes it. */
export interface Mapping {
  [key: string]: unknown
  properties?: Record<string, Mapping>
}

/** What a proposal makes of `value`, for an index template. */
export interface ValueMapping {
  /** `{"properties":{…}}` for the object `value`. */
  readonly mapping: Mapping
  /** Fields, objects and sub-fields that it names. */
  readonly size: number
}

const keyword = { type: 'keyword', ignore_above: 1024 }
const words = { type: 'text', norms: false }
const asWritten = { ...keyword, doc_values: false }
const double = { type: 'double', coerce: false }
/** `verify --values` reads it: the field counts numbers in texts as well. */
export const takesTexts = { archiver: 'texts' } as const

/** Fields that a template names; the others are mapped when they come. */
const maxFields = 3000

/**
 * The mapping of `value` that a proposal means. Fields that it does not name are mapped when they
 * come, by the dynamic templates of the archive.
 *
 * @param nested lists of objects that become nested; their fields stay searchable as before
 * @param own fields that somebody else maps: neither they nor what is around them is named
 */
export function valueMapping(
  { fields }: Pick<Proposal, 'fields'>,
  {
    nested = [],
    own = [],
  }: { readonly nested?: readonly string[]; readonly own?: readonly string[] } = {},
): ValueMapping {
  const root: Mapping = {}
  propertiesOf(root)
  let size = 0
  for (const field of mostFrequent(fields)) {
    if (own.some((name) => isTakenBy(name, field))) continue
    const parts = field.name.split('.')
    const mapping = mappingOf(field, nested.includes(field.name))
    let parent = root
    for (const part of parts.slice(0, -1)) parent = propertiesOf(parent)[part] ??= {}
    const all = propertiesOf(parent)
    const last = parts.at(-1)!
    all[last] = { ...all[last], ...mapping }
    size += 1 + Object.keys((mapping.fields ?? {}) as object).length
  }
  nameEmptyObjects(root)
  return { mapping: root, size }
}

function mostFrequent(fields: readonly FieldProposal[]): readonly FieldProposal[] {
  if (fields.length <= maxFields) return fields
  const least = fields.map(({ records }) => records).sort((a, b) => b - a)[maxFields - 1]!
  return fields.filter(({ records }) => records >= least).slice(0, maxFields)
}

/** The field is this one, is below it, or is no object although this one is below it. */
export function isTakenBy(own: string, { name, as }: Pick<FieldProposal, 'name' | 'as'>): boolean {
  if (name === own || name.startsWith(`${own}.`)) return true
  return as !== 'object' && own.startsWith(`${name}.`)
}

/** Without a prototype: a message may have a field `__proto__`. */
function propertiesOf(mapping: Mapping): Record<string, Mapping> {
  mapping.properties ??= Object.create(null) as Record<string, Mapping>
  return mapping.properties
}

/** Elasticsearch takes a mapping without a type for an object only if it names fields below it. */
function nameEmptyObjects({ properties = {} }: Mapping): void {
  for (const mapping of Object.values(properties))
    if (mapping.properties !== undefined) nameEmptyObjects(mapping)
    else mapping.type ??= 'object'
}

function mappingOf(field: FieldProposal, isNested: boolean): Mapping {
  const subFields = {
    ...(field.hasText === true ? { text: asWritten } : {}),
    ...(field.hasNumber === true ? { number: double } : {}),
    ...(field.dateFormat === undefined ? {} : { date: { type: 'date', format: field.dateFormat } }),
  }
  const main = mainOf(field, isNested)
  const fields = { ...(main.fields as object | undefined), ...subFields }
  return Object.keys(fields).length === 0 ? main : { ...main, fields }
}

function mainOf({ as, format, takesTexts: coerces }: FieldProposal, isNested: boolean): Mapping {
  switch (as) {
    case 'object':
      return isNested ? { type: 'nested', include_in_parent: true } : {}
    case 'double':
      return coerces === true ? { type: 'double', coerce: true, meta: takesTexts } : double
    case 'long':
      return { type: 'long', coerce: false }
    case 'date':
    case 'date_nanos':
      // The names of months and days are English.
      return { type: as, format, locale: 'en' }
    case 'keyword':
      return keyword
    case 'keyword+text':
      return { ...keyword, fields: { text: words } }
    case 'text':
      return words
    case 'flattened':
      // An object that is deeper would be refused.
      return { type: 'flattened', ignore_above: 1024, depth_limit: 100 }
    case 'not indexed':
      return { type: 'object', enabled: false }
    case 'boolean':
    case 'ip':
    case 'geo_point':
      return { type: as }
  }
}
