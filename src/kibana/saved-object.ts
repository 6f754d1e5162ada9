import { createHash } from 'node:crypto'

/**
 * Kibana's saved objects, as an import takes them. Every Kibana from 8.12 to 9.x understands the
 * stamps. It migrates older objects up and rejects newer ones. Without a stamp it runs migrations
 * of version 7 over modern state and fails.
 */
const coreMigrationVersion = '8.8.0'
const typeMigrationVersions = {
  'index-pattern': '8.0.0',
  search: '8.0.0',
  lens: '8.9.0',
  dashboard: '8.9.0',
} as const

export type SavedObjectType = keyof typeof typeMigrationVersions

/** A reference to another object; Kibana finds it by `name`. */
export interface Reference {
  readonly type: string
  readonly id: string
  readonly name: string
}

/** One line of an import file. */
export interface SavedObject {
  readonly id: string
  readonly type: SavedObjectType
  readonly coreMigrationVersion: string
  readonly typeMigrationVersion: string
  readonly managed: false
  readonly attributes: Readonly<Record<string, unknown>>
  readonly references: readonly Reference[]
}

/** The query of a panel or a search, in Kibana's query language. */
export interface Kql {
  readonly query: string
  readonly language: 'kuery'
}

export function kql(query: string): Kql {
  return { query, language: 'kuery' }
}

const kqlEscapes: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** A text as a quoted value, or a quoted field name, of KQL: nothing in it has a meaning. */
export function quoted(text: string): string {
  return `"${text.replace(/["\\\n\r\t]/g, (character) => kqlEscapes[character] ?? `\\${character}`)}"`
}

/** A data view: which indices, under which name, and how its fields are shown. */
export interface DataViewSpec {
  readonly id: string
  readonly title: string
  readonly name: string
  /** The names of fields as a person reads them. */
  readonly labels?: Readonly<Record<string, string>>
  readonly formats?: Readonly<Record<string, FieldFormat>>
}

/** How a number is written: Kibana's field formatters. */
export interface FieldFormat {
  readonly id: 'bytes' | 'number' | 'percent' | 'duration' | 'date'
  readonly params?: Readonly<Record<string, unknown>>
}

const ownerMark = 'Made by the archiver'

/**
 * The end of the description of each of our objects: a mark that it is ours, and a digest of its
 * content. The mark distinguishes it from a foreign object with the same id. The digest
 * distinguishes an older version from this one, whatever Kibana's migrations did to it.
 */
function mark(description: string, content: unknown): string {
  const digest = createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 8)
  return `${description} ${ownerMark} (${digest}).`.trimStart()
}

/** The mark at the end of a description, with its digest; undefined if it is not ours. */
export function markOf(description: unknown): string | undefined {
  return typeof description === 'string'
    ? new RegExp(`${ownerMark} \\(\\w+\\)\\.$`).exec(description)?.[0]
    : undefined
}

function savedObject(
  type: SavedObjectType,
  id: string,
  attributes: Readonly<Record<string, unknown>>,
  references: readonly Reference[],
): SavedObject {
  return {
    id,
    type,
    coreMigrationVersion,
    typeMigrationVersion: typeMigrationVersions[type],
    managed: false,
    attributes,
    references,
  }
}

/** The same with its description marked as ours. */
export function markedObject(
  type: Exclude<SavedObjectType, 'index-pattern'>,
  id: string,
  attributes: Readonly<Record<string, unknown>> & { readonly description: string },
  references: readonly Reference[],
): SavedObject {
  const description = mark(attributes.description, { attributes, references })
  return savedObject(type, id, { ...attributes, description }, references)
}

export function dataViewObject({
  id,
  title,
  name,
  labels = {},
  formats = {},
}: DataViewSpec): SavedObject {
  const fieldAttrs = Object.fromEntries(
    Object.entries(labels).map(([field, customLabel]) => [field, { customLabel }]),
  )
  return savedObject(
    'index-pattern',
    id,
    {
      title,
      name,
      timeFieldName: '@timestamp',
      fields: '[]',
      fieldAttrs: JSON.stringify(fieldAttrs),
      fieldFormatMap: JSON.stringify(formats),
      runtimeFieldMap: '{}',
      sourceFilters: '[]',
      typeMeta: '{}',
      allowHidden: false,
      // An archive without a single rejected record has no such index, and that is no error.
      allowNoIndex: true,
    },
    [],
  )
}

/** A search of Discover. */
export interface Search {
  readonly id: string
  readonly title: string
  readonly description: string
  readonly dataView: DataViewSpec
  readonly columns: readonly string[]
  readonly sort: readonly (readonly [field: string, direction: 'asc' | 'desc'])[]
  readonly query?: string
  /** Widths of columns in pixels; the others share what is left. */
  readonly widths?: Readonly<Record<string, number>>
  /** Lines of a row. If it is absent: the lines that its longest text needs, up to a few. */
  readonly rowHeight?: number
}

const searchIndexName = 'kibanaSavedObjectMeta.searchSourceJSON.index'

export function searchObject(search: Search): SavedObject {
  const {
    id,
    title,
    description,
    dataView,
    columns,
    sort,
    query = '',
    widths = {},
    rowHeight,
  } = search
  const columnSettings = Object.fromEntries(
    Object.entries(widths).map(([field, width]) => [field, { width }]),
  )
  return markedObject(
    'search',
    id,
    {
      title,
      description,
      columns,
      sort,
      grid: Object.keys(widths).length === 0 ? {} : { columns: columnSettings },
      hideChart: false,
      ...(rowHeight === undefined ? {} : { rowHeight }),
      isTextBasedQuery: false,
      timeRestore: false,
      kibanaSavedObjectMeta: {
        searchSourceJSON: JSON.stringify({
          highlightAll: true,
          version: true,
          query: kql(query),
          filter: [],
          indexRefName: searchIndexName,
        }),
      },
    },
    [{ type: 'index-pattern', id: dataView.id, name: searchIndexName }],
  )
}

/**
 * The id of an object in a space. Ids of dashboards, searches and data views are unique across all
 * spaces of a Kibana: an import of one that another space has gives it a new id, and links to it
 * lead nowhere. So every space but the default one has ids of its own.
 */
export function idInSpace(id: string, space: string | undefined): string {
  return space === undefined || space === 'default' ? id : `${id}.${space}`
}

/**
 * The same objects with the ids of a space, in their references and in their links to each other.
 */
export function objectsInSpace(
  objects: readonly SavedObject[],
  space: string | undefined,
): readonly SavedObject[] {
  const inSpace = <T extends { readonly id: string }>(named: T): T => ({
    ...named,
    id: idInSpace(named.id, space),
  })
  return objects.map((object) => {
    const attributes = JSON.stringify(object.attributes).replace(
      /#\/view\/([\w.-]+)/g,
      (_link, id: string) => `#/view/${idInSpace(id, space)}`,
    )
    return {
      ...inSpace(object),
      attributes: JSON.parse(attributes) as SavedObject['attributes'],
      references: object.references.map(inSpace),
    }
  })
}

/** The file that Kibana imports: one object a line. */
export function ndjson(objects: readonly SavedObject[]): string {
  return objects.map((object) => `${JSON.stringify(object)}\n`).join('')
}
