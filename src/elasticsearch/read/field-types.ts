import { each, list, object, optional, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { lenient } from './search.ts'

/** What a panel can do with a field. */
export type FieldKind = 'string' | 'boolean' | 'number' | 'date' | 'ip' | 'place'

/** A field of a type as the mappings of all its indices have it. */
export interface MappedField {
  /** With `value.`, as in queries. */
  readonly name: string
  readonly kind: FieldKind
  /** A number without fractions by its mapping. */
  readonly isWhole: boolean
  /** `meta.unit` of the mapping. */
  readonly unit?: string
  /** The field that has it as a sub-field. */
  readonly of?: string
}

const kinds: Readonly<Record<string, FieldKind>> = {
  keyword: 'string',
  wildcard: 'string',
  constant_keyword: 'string',
  boolean: 'boolean',
  long: 'number',
  integer: 'number',
  short: 'number',
  byte: 'number',
  unsigned_long: 'number',
  double: 'number',
  float: 'number',
  half_float: 'number',
  scaled_float: 'number',
  date: 'date',
  date_nanos: 'date',
  ip: 'ip',
  geo_point: 'place',
}
const decimalTypes = new Set(['double', 'float', 'half_float', 'scaled_float'])

/** A person reads no more fields than this; the mapping's own limit is 1000. */
const maxFields = 600

interface FieldCaps {
  readonly fields: Readonly<
    Record<
      string,
      Readonly<
        Record<
          string,
          {
            readonly type: string
            readonly aggregatable?: boolean
            readonly meta?: Readonly<Record<string, readonly string[]>>
          }
        >
      >
    >
  >
}

const capsShape = object({
  fields: each(each(object({ type: text, meta: optional(each(list(text))) }))),
})

/**
 * The fields of the indices of a type, in the order of their names, and those that are of different
 * kinds in different indices. Among them are the sub-fields by which a mapping makes times and
 * numbers of other values (`archiver mapping`).
 */
export async function readFieldTypes(
  client: Elasticsearch,
  indexPattern: string,
): Promise<{ fields: readonly MappedField[]; conflicting: readonly string[] }> {
  const caps = async (filters: string) => {
    const { body } = await client.request<FieldCaps>('GET', [indexPattern, '_field_caps'], {
      query: { ...lenient, fields: 'value.*', filters },
      shape: capsShape,
    })
    return body.fields
  }
  const main = await caps('-metadata,-parent,-multifield')
  const all = await caps('-metadata,-parent')
  const fields: MappedField[] = []
  const conflicting: string[] = []
  for (const name of Object.keys(all).sort()) {
    // A name with `*` stands for others as well, wherever fields are named.
    if (name.includes('*')) continue
    const isMain = Object.hasOwn(main, name)
    const of = isMain ? undefined : parentOf(name, main)
    if (!isMain && of === undefined) continue
    const types = Object.values(all[name]!).filter(({ type }) => type !== 'unmapped')
    const found = new Set(types.map(({ type }) => kinds[type]))
    if (found.size > 1 && isMain) conflicting.push(name)
    const [kind] = found
    if (found.size !== 1 || kind === undefined || fields.length >= maxFields) continue
    const units = new Set(types.flatMap(({ meta }) => meta?.unit ?? []))
    const [unit] = units
    fields.push({
      name,
      kind,
      isWhole: kind === 'number' && !types.some(({ type }) => decimalTypes.has(type)),
      ...(units.size === 1 ? { unit: unit! } : {}),
      ...(of === undefined ? {} : { of }),
    })
  }
  return { fields, conflicting }
}

/** Of a sub-field that holds the times or the numbers of a field. */
function parentOf(name: string, main: FieldCaps['fields']): string | undefined {
  const [, parent] = /^(.+)\.(?:date|number)$/.exec(name) ?? []
  return parent !== undefined && Object.hasOwn(main, parent) ? parent : undefined
}
