import { readTemplates } from '../../src/elasticsearch/templates/shipped.ts'
import type { SavedObject } from '../../src/kibana/saved-object.ts'

/**
 * What a panel asks Elasticsearch, read from a saved object as Kibana reads it, independently of
 * what built it.
 */
export interface PanelSearch {
  readonly panel: string
  /** The title of the data view. */
  readonly index: string
  readonly kql: string
  /** Queries of Elasticsearch that the panel has besides. */
  readonly filters: readonly unknown[]
  readonly columns: Readonly<Record<string, PanelColumn>>
  readonly columnOrder: readonly string[]
  /** The ids of columns that the visualization draws. */
  readonly drawn: readonly string[]
}

export interface PanelColumn {
  readonly label: string
  readonly operationType: string
  readonly isBucketed: boolean
  readonly sourceField?: string
  readonly filter?: { readonly query: string }
  readonly references?: readonly string[]
  readonly params?: {
    readonly size?: number
    readonly orderBy?: { readonly type: string; readonly columnId?: string }
    readonly orderDirection?: string
    readonly filters?: readonly {
      readonly label: string
      readonly input: { readonly query: string }
    }[]
    readonly ranges?: readonly { readonly from: number | null; readonly to: number | null }[]
    readonly percentile?: number
    readonly interval?: string
  }
}

export interface PanelJson {
  readonly type: string
  readonly panelIndex: string
  readonly title?: string
  readonly panelRefName?: string
  readonly gridData: {
    readonly x: number
    readonly y: number
    readonly w: number
    readonly h: number
    readonly i: string
  }
  readonly embeddableConfig: {
    readonly attributes?: LensJson
    readonly savedVis?: { readonly params: { readonly markdown: string } }
  }
}

interface LensJson {
  readonly visualizationType: string
  readonly references: readonly {
    readonly id: string
    readonly name: string
    readonly type: string
  }[]
  readonly state: {
    readonly query: { readonly query: string }
    readonly filters: readonly { readonly query: unknown }[]
    readonly visualization: Readonly<Record<string, unknown>>
    readonly datasourceStates: {
      readonly formBased: {
        readonly layers: Readonly<
          Record<
            string,
            {
              readonly columns: Record<string, PanelColumn>
              readonly columnOrder: readonly string[]
            }
          >
        >
      }
    }
  }
}

export function panelsOf(dashboard: SavedObject): readonly PanelJson[] {
  return JSON.parse(dashboard.attributes.panelsJSON as string) as PanelJson[]
}

const accessorKeys = /^(x|y|value|split|metric)?Accessor$/i

/** Every id that a visualization names as a column. */
function drawnColumns(visualization: unknown): string[] {
  if (Array.isArray(visualization)) return visualization.flatMap(drawnColumns)
  if (typeof visualization !== 'object' || visualization === null) return []
  return Object.entries(visualization).flatMap(([key, value]) => {
    if (
      typeof value === 'string' &&
      (accessorKeys.test(key) || key === 'columnId' || key === 'forAccessor')
    )
      return [value]
    if (Array.isArray(value) && ['accessors', 'metrics', 'primaryGroups'].includes(key))
      return value as string[]
    return drawnColumns(value)
  })
}

/** The searches of all Lens panels of a dashboard. */
export function panelSearches(
  dashboard: SavedObject,
  objects: readonly SavedObject[],
): PanelSearch[] {
  return panelsOf(dashboard).flatMap(({ type, panelIndex, embeddableConfig: { attributes } }) => {
    if (type !== 'lens' || attributes === undefined) return []
    return Object.entries(attributes.state.datasourceStates.formBased.layers).map(
      ([layerId, layer]) => {
        const name = `indexpattern-datasource-layer-${layerId}`
        const reference = dashboard.references.find(
          (candidate) => candidate.name === `${panelIndex}:${name}`,
        )
        const view = objects.find(
          ({ type, id }) => type === 'index-pattern' && id === reference?.id,
        )
        if (view === undefined)
          throw new Error(`${dashboard.id}: panel ${panelIndex} has no data view`)
        return {
          panel: panelIndex,
          index: view.attributes.title as string,
          kql: attributes.state.query.query,
          filters: attributes.state.filters.map(({ query }) => query),
          columns: layer.columns,
          columnOrder: layer.columnOrder,
          drawn: drawnColumns(attributes.state.visualization),
        }
      },
    )
  })
}

/**
 * The few forms of KQL that our panels use, as a query of Elasticsearch: its query string differs
 * in spaces and letters alone.
 */
export function kqlToQuery(kql: string): unknown {
  if (kql === '') return { match_all: {} }
  const query = kql
    .split(/("(?:[^"\\]|\\.)*")/)
    .map((part, i) =>
      i % 2 === 1
        ? part
        : part
            .replace(/\s*(>=|<=|<|>)\s*/g, ':$1')
            .replace(/\s*:\s*/g, ':')
            .replace(/\b(and|or|not)\b/g, (word) => word.toUpperCase()),
    )
    .join('')
  return { query_string: { query, analyze_wildcard: true } }
}

/** Fields that a KQL expression names. */
export function kqlFields(kql: string): string[] {
  return [...kql.replace(/"(?:[^"\\]|\\.)*"/g, '""').matchAll(/([^\s()]+)\s*:/g)].map(
    ([, field]) => field!,
  )
}

function metricAggregation(
  id: string,
  { operationType, sourceField: field, params }: PanelColumn,
): unknown {
  switch (operationType) {
    case 'count':
      return field === '___records___' ? undefined : { value_count: { field } }
    case 'unique_count':
      return { cardinality: { field } }
    case 'average':
      return { avg: { field } }
    case 'median':
      return { percentiles: { field, percents: [50] } }
    case 'percentile':
      return { percentiles: { field, percents: [params!.percentile] } }
    case 'sum':
    case 'min':
    case 'max':
      return { [operationType]: { field } }
    case 'formula':
    case 'math':
      // Computed in Kibana, of the other columns.
      return undefined
    default:
      throw new Error(`column ${id}: ${operationType} is not known here`)
  }
}

function bucketAggregation(
  column: PanelColumn,
  orderable: ReadonlySet<string>,
): Record<string, unknown> {
  const { operationType, sourceField: field, params = {} } = column
  switch (operationType) {
    case 'date_histogram':
      return { date_histogram: { field, fixed_interval: '1h' } }
    case 'terms': {
      const { type, columnId } = params.orderBy!
      const key = type !== 'column' ? '_key' : orderable.has(columnId!) ? columnId! : '_count'
      return { terms: { field, size: params.size, order: { [key]: params.orderDirection } } }
    }
    case 'filters':
      return {
        filters: {
          filters: Object.fromEntries(
            params.filters!.map(({ label, input }) => [label, kqlToQuery(input.query)]),
          ),
        },
      }
    case 'range':
      return {
        range: {
          field,
          ranges: params.ranges!.map(({ from, to }) => ({
            ...(from === null ? {} : { from }),
            ...(to === null ? {} : { to }),
          })),
        },
      }
    default:
      throw new Error(`a group by ${operationType} is not known here`)
  }
}

/** The request that a panel's search makes. */
export function searchBody(
  { kql, filters: own, columns, columnOrder }: PanelSearch,
  filter?: unknown,
): Record<string, unknown> {
  const leaves: Record<string, unknown> = {}
  for (const id of columnOrder) {
    const column = columns[id]!
    if (column.isBucketed) continue
    const aggregation = metricAggregation(id, column)
    if (column.filter !== undefined) {
      const inner = aggregation === undefined ? {} : { aggs: { [id]: aggregation } }
      leaves[id] = { filter: kqlToQuery(column.filter.query), ...inner }
    } else if (aggregation !== undefined) leaves[id] = aggregation
  }
  const orderable = new Set(Object.keys(leaves))
  let aggs = leaves
  for (const id of [...columnOrder].reverse()) {
    const column = columns[id]!
    if (!column.isBucketed) continue
    const ordered = column.params?.orderBy?.columnId
    const needed =
      ordered !== undefined && orderable.has(ordered) ? { [ordered]: leaves[ordered] } : {}
    const inner = { ...needed, ...aggs }
    aggs = {
      [id]: {
        ...bucketAggregation(column, orderable),
        ...(Object.keys(inner).length > 0 ? { aggs: inner } : {}),
      },
    }
  }
  const filters = [kqlToQuery(kql), ...own, ...(filter === undefined ? [] : [filter])]
  return { size: 0, track_total_hits: true, query: { bool: { filter: filters } }, aggs }
}

/** The fields that the index templates map, with their types, by the prefix of the indices. */
export function templateFields(pattern: string): ReadonlyMap<string, string> {
  const templates = readTemplates('archive-')
  const index = templates.find(
    ({ api, body }) =>
      api === '_index_template' && (body.index_patterns as string[]).includes(pattern),
  )
  if (index === undefined) throw new Error(`no index template for ${pattern}`)
  const parts = (index.body.composed_of as string[])
    .map((name) => templates.find((template) => template.name === name)?.body)
    .filter((body) => body !== undefined)
  const fields = new Map<string, string>()
  for (const body of [...parts, index.body]) {
    const { mappings } = (body.template ?? {}) as {
      readonly mappings?: { readonly properties?: Properties }
    }
    addFields(fields, mappings?.properties ?? {}, '')
  }
  return fields
}

type Properties = Readonly<
  Record<
    string,
    { readonly type?: string; readonly properties?: Properties; readonly fields?: Properties }
  >
>

function addFields(fields: Map<string, string>, properties: Properties, prefix: string): void {
  for (const [name, { type, properties: inner, fields: also }] of Object.entries(properties)) {
    if (type !== undefined) fields.set(`${prefix}${name}`, type)
    if (inner !== undefined) addFields(fields, inner, `${prefix}${name}.`)
    if (also !== undefined) addFields(fields, also, `${prefix}${name}.`)
  }
}
