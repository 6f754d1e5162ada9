import type { TypeFacts } from './facts.ts'
import type { FieldFacts } from './field-facts.ts'
import { type Shape, shapeOf } from './reader-shape.ts'

/**
 * Schemas by which other programs read a type, without guessing it from the first records. They
 * leave texts as texts: one bad date must not stop a reader.
 */

/** `segments`: of the directories of the type, without `type=`. */
export interface SchemaSource {
  readonly facts: TypeFacts
  readonly segments: readonly string[]
}

/** The longest line that DuckDB is to read, in bytes. */
const maxLine = 2 ** 26

const duckdbTypes = {
  boolean: 'BOOLEAN',
  whole: 'BIGINT',
  number: 'DOUBLE',
  text: 'VARCHAR',
  any: 'JSON',
} as const

/** A query of DuckDB over all files of the type, to be run in the root of the archive. */
export function duckdbQuery({ facts, segments }: SchemaSource): string {
  const paths = segments.map((segment) => `'type=${segment}/*/*/*.gz'`)
  const columns = [
    ["'@timestamp'", "'TIMESTAMP'"],
    ['kafka', `'${duckdbEnvelope}'`],
    ['value', quoted(duckdbType(shapeOf(facts)))],
  ]
  return [
    'SELECT *',
    `FROM read_json([${paths.join(', ')}], format = 'newline_delimited',`,
    `  columns = {${columns.map(([name, type]) => `${name}: ${type}`).join(', ')}},`,
    `  maximum_object_size = ${maxLine}, hive_partitioning = true,`,
    "  hive_types = {'type': 'VARCHAR', 'dt': 'VARCHAR', 'hr': 'VARCHAR'})",
  ].join('\n')
}

const duckdbEnvelope =
  'STRUCT("topic" VARCHAR, "partition" INTEGER, "offset" BIGINT, "timestamp" BIGINT, "key" VARCHAR)'

function duckdbType(shape: Shape): string {
  switch (shape.is) {
    case 'list':
      return `${duckdbType(shape.of)}[]`
    case 'struct':
      return `STRUCT(${shape.fields.map((field) => `${identifier(field.name)} ${duckdbType(field.shape)}`).join(', ')})`
    default:
      return duckdbTypes[shape.is]
  }
}

/** As SQL quotes a name. */
function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** As SQL quotes a text. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

const sparkTypes = {
  boolean: 'BOOLEAN',
  whole: 'BIGINT',
  number: 'DOUBLE',
  text: 'STRING',
  any: 'STRING',
} as const

/** A schema of Spark in the language of its `CREATE TABLE`, for `spark.read.schema(…)`. */
export function sparkSchema(facts: TypeFacts): string {
  return [
    '`@timestamp` TIMESTAMP',
    'kafka STRUCT<topic: STRING, `partition`: INT, `offset`: BIGINT, `timestamp`: BIGINT, key: STRING>',
    `value ${sparkType(shapeOf(facts))}`,
  ].join(',\n')
}

function sparkType(shape: Shape): string {
  switch (shape.is) {
    case 'list':
      return `ARRAY<${sparkType(shape.of)}>`
    case 'struct':
      return `STRUCT<${shape.fields.map(({ name, shape: inner }) => `\`${name.replaceAll('`', '``')}\`: ${sparkType(inner)}`).join(', ')}>`
    default:
      return sparkTypes[shape.is]
  }
}

/** A JSON Schema (2020-12) of the values of a type, as they were so far. */
export function jsonSchema(name: string, facts: TypeFacts): Record<string, unknown> {
  const root: Node = { properties: {}, required: [] }
  for (const field of facts.fields) {
    let parent = root
    for (const key of field.path.slice(0, -1)) parent = childOf(parent, key)
    const own = childOf(parent, field.path.at(-1)!, field.isAnyKey)
    own.facts = field
    if (field.occurrences === field.parents && !field.isAnyKey)
      parent.required.push(field.path.at(-1)!)
  }
  const { type, ...rest } = describeObject(root)
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: name,
    // Rules for fields hold for objects alone.
    ...(facts.notObjects + facts.lists + facts.nulls > 0 ? {} : { type }),
    ...rest,
  }
}

interface Node {
  readonly properties: Record<string, Node>
  readonly required: string[]
  others?: Node
  facts?: FieldFacts
}

function childOf(parent: Node, key: string, isAnyKey = false): Node {
  if (isAnyKey || (key === '*' && parent.others !== undefined)) {
    parent.others ??= { properties: {}, required: [] }
    return parent.others
  }
  const known = Object.hasOwn(parent.properties, key) ? parent.properties[key] : undefined
  if (known !== undefined) return known
  const node: Node = { properties: {}, required: [] }
  // An own property, whatever the name is.
  Object.defineProperty(parent.properties, key, { value: node, enumerable: true })
  return node
}

function describeObject({ properties, required, others }: Node): Record<string, unknown> {
  const entries = Object.entries(properties).map(([key, node]) => [key, describe(node)] as const)
  return {
    type: 'object',
    properties: Object.fromEntries(entries),
    ...(required.length === 0 ? {} : { required }),
    ...(others === undefined ? {} : { additionalProperties: describe(others) }),
  }
}

function describe(node: Node): Record<string, unknown> {
  const { facts } = node
  if (facts === undefined) return describeObject(node)
  const { lists } = facts
  const one = describeValue(node, facts)
  if (lists === undefined) return one
  // Lists in lists have no common depth.
  const many = { type: 'array', ...(lists.inner > 0 ? {} : { items: one }) }
  if (lists.outside > 0) return { anyOf: [many, one] }
  return facts.kinds.null > 0 ? { anyOf: [many, { type: 'null' }] } : many
}

function describeValue(node: Node, facts: FieldFacts): Record<string, unknown> {
  const { kinds, numbers, texts } = facts
  const isWhole = numbers !== undefined && numbers.whole === numbers.count
  const types = [
    ...(kinds.null > 0 ? ['null'] : []),
    ...(kinds.boolean > 0 ? ['boolean'] : []),
    ...(kinds.number > 0 ? [isWhole ? 'integer' : 'number'] : []),
    ...(kinds.text > 0 ? ['string'] : []),
    ...(kinds.object > 0 ? ['object'] : []),
  ]
  const object = kinds.object > 0 ? describeObject(node) : {}
  const format = texts === undefined ? undefined : formatOf(texts)
  return {
    ...object,
    ...(types.length === 0 ? {} : { type: types.length === 1 ? types[0] : types }),
    ...(format === undefined ? {} : { format }),
  }
}

function formatOf({ count, dates, formats }: NonNullable<FieldFacts['texts']>): string | undefined {
  if (dates?.rfc3339 === count) return 'date-time'
  if (dates?.forms.date === count) return 'date'
  // No `uri`: validators refuse what people write, such as `https://example.org/ü`.
  const named = { uuid: 'uuid', ipv4: 'ipv4', ipv6: 'ipv6' } as const
  return Object.entries(named).find(([key]) => formats[key as keyof typeof named] === count)?.[1]
}
