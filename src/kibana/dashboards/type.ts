import { createHash } from 'node:crypto'
import { msPerDay, msPerHour } from '../../record/time.ts'
import { plural } from '../../runtime/format.ts'
import { dashboardObject, type Panel, type Row } from '../dashboard.ts'
import { archiveName, envelopeFormats, envelopeLabels } from '../data-views.ts'
import {
  byQuery,
  byRange,
  byTime,
  type Columns,
  count,
  heatmap,
  number,
  type Statistic,
  statistic,
  table,
  top,
  xy,
} from '../lens.ts'
import {
  type DataViewSpec,
  dataViewObject,
  quoted,
  type SavedObject,
  searchObject,
} from '../saved-object.ts'
import { distinctNames, markdownName, plainName } from '../text.ts'
import { overviewId } from './overview.ts'

/** What is known of a type: `TypeFacts` of Elasticsearch, as far as a dashboard needs it. */
export interface DescribedType {
  readonly type: string
  readonly indexPattern: string
  readonly records: number
  readonly first: number
  readonly last: number
  readonly fields: readonly DescribedField[]
  readonly conflicting: readonly string[]
}

export interface DescribedField {
  readonly name: string
  readonly kind: 'string' | 'boolean' | 'number'
  readonly present: number
  readonly distinct: number
  readonly isWhole?: boolean
  readonly min?: number
  readonly max?: number
  readonly low?: number
  readonly high?: number
}

type NumberField = DescribedField &
  Required<Pick<DescribedField, 'isWhole' | 'min' | 'max' | 'low' | 'high'>>

/** What a field is good for. */
export interface SortedFields {
  /** Few values, each on many records: the best first. */
  readonly categories: readonly DescribedField[]
  /** Numbers that measure something: the best first. */
  readonly measures: readonly NumberField[]
  /** Nearly every record has another value. */
  readonly identifiers: readonly DescribedField[]
  readonly constants: readonly DescribedField[]
  /** Only on some records: the field that is absent most often comes first. */
  readonly partial: readonly DescribedField[]
}

const mostCategories = 9
const mostMeasures = 5
const mostPartial = 15
const mostColumns = 8
const panelsInRow = 3

/** A field that fewer records have says something only about those. */
const rarest = 0.001

/** Sorts the fields by what they are good for. Deterministic: ties go by name. */
export function sortFields({
  fields,
  records,
}: Pick<DescribedType, 'fields' | 'records'>): SortedFields {
  const isUsed = ({ present }: DescribedField) => present >= rarest
  const shown = fields.filter(isUsed)
  const constants = shown.filter(({ distinct }) => distinct <= 1)
  const varied = shown.filter(({ distinct }) => distinct > 1)
  const identifiers = varied.filter((field) => isIdentifier(field, records))
  const others = varied.filter((field) => !identifiers.includes(field))
  const measures = others.filter(
    (field): field is NumberField => field.kind === 'number' && !isCode(field),
  )
  const categories = others.filter((field) => field.kind !== 'number' || isCode(field))
  const best = <F extends DescribedField>(from: readonly F[], score: (field: F) => number): F[] =>
    from
      .map((field) => ({ field, score: score(field) }))
      .filter(({ score }) => score > 0)
      .sort((a, b) => b.score - a.score || (a.field.name < b.field.name ? -1 : 1))
      .map(({ field }) => field)
  return {
    categories: best(categories, categoryScore),
    measures: best(measures, measureScore),
    identifiers: best(identifiers, ({ name }) => (/id$/i.test(name) ? 1 : 0.5) * shallowness(name)),
    constants,
    partial: best(shown, ({ present }) => (present > 1 - rarest ? 0 : 1 - present)),
  }
}

/** Nearly as many values as records, or so many that no single one says anything. */
function isIdentifier(
  { kind, present, distinct, isWhole, max }: DescribedField,
  records: number,
): boolean {
  const share = distinct / Math.max(1, present * records)
  if (kind === 'string') return distinct > 50 && share > 0.5
  return kind === 'number' && isWhole === true && share > 0.9 && (max ?? 0) > 1e9
}

/** A whole number with few values is a name: a status code, a version. */
function isCode({ kind, isWhole, distinct }: DescribedField): boolean {
  return kind === 'number' && isWhole === true && distinct <= 15
}

function categoryScore({ kind, present, distinct, name }: DescribedField): number {
  const telling = distinct <= 30 ? 1 : distinct <= 200 ? 0.7 : distinct <= 5000 ? 0.4 : 0.1
  const aboutState = stateNames.test(name) ? 1.2 : 1
  return (
    Math.sqrt(present) * telling * aboutState * (kind === 'boolean' ? 0.8 : 1) * shallowness(name)
  )
}

function measureScore({ name, present, isWhole }: NumberField): number {
  return present * (isWhole ? 0.9 : 1) * (placeNames.test(name) ? 0.2 : 1) * shallowness(name)
}

/** Half of a place is no measure: a mean of coordinates is no place. */
const placeNames = /[._](lat|lon|lng|latitude|longitude)$/i

/** Names of fields that say how something went: what people look at first. */
const stateNames = /[._](status|state|level|severity|result|outcome|error|alarm|code)(_\w+)?$/i

/** If two fields say as much, the less nested one says more about the whole record. */
function shallowness(name: string): number {
  return 1 - 0.02 * Math.min(10, name.split('.').length)
}

/** The name of a field without the envelope's part. */
function ownName(name: string): string {
  return name.replace(/^value\./, '')
}

/** The name of a field as a person reads it. */
function label(name: string): string {
  return plainName(ownName(name))
}

/**
 * A field in the id of a panel or a control: the same for the same field. A colon separates
 * references to panels, so it has none.
 */
function idPart(name: string): string {
  if (/^[\w.-]{1,100}$/.test(name)) return name
  return `field-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`
}

/**
 * A field name in KQL. Quoted, blanks, wildcards, operators and words such as `or` have no meaning
 * in it.
 */
function kqlField(name: string): string {
  return /^[\w.@-]+$/.test(name) ? name : quoted(name)
}

/** The identifiers of the objects of a type: the same for the same type, whatever its letters. */
function idsOf(indexPrefix: string, type: string) {
  const plain = type
    .toLowerCase()
    .replace(/[^a-z0-9._-]/g, '-')
    .slice(0, 80)
  // Types that differ in what is lost here must not share a dashboard.
  const hash =
    plain === type ? '' : `-${createHash('sha256').update(type).digest('hex').slice(0, 6)}`
  const id = `${indexPrefix}type-${plain}${hash}`
  return { dashboard: id, dataView: `${id}-view`, search: `${id}-latest` }
}

/** The id of the dashboard of a type. */
export function typeDashboardId(indexPrefix: string, type: string): string {
  return idsOf(indexPrefix, type).dashboard
}

/**
 * The time range that shows the data: up to now if records still come, else the range of the
 * records.
 */
export function timeRange(
  first: number,
  last: number,
  now: number,
): { readonly from: string; readonly to: string } {
  if (now - last < msPerDay) {
    const windows = [
      ['24h', msPerDay],
      ['7d', 7 * msPerDay],
      ['30d', 30 * msPerDay],
    ] as const
    const [name] = windows.find(([, ms]) => now - first <= 1.1 * ms) ?? ['90d']
    return { from: `now-${name}`, to: 'now' }
  }
  const from = Math.max(first, last - 90 * msPerDay)
  const hour = (ms: number) => new Date(ms).toISOString()
  return {
    from: hour(Math.floor(from / msPerHour) * msPerHour),
    to: hour(Math.ceil((last + 1) / msPerHour) * msPerHour),
  }
}

/**
 * A dashboard for a type without any description, with its data view and its search. Each object
 * comes after those that it needs. Pure: the same facts at the same time make the same objects.
 */
export function typeDashboard(
  indexPrefix: string,
  described: DescribedType,
  now: number,
): readonly SavedObject[] {
  const { type, indexPattern, records } = described
  const sorted = sortFields(described)
  const categories = sorted.categories.slice(0, mostCategories)
  const measures = sorted.measures.slice(0, mostMeasures)
  const ids = idsOf(indexPrefix, type)
  const query = `type : ${quoted(type)}`
  const shownType = plainName(type)
  const title = `${archiveName(indexPrefix)}: ${shownType}`
  const dataView: DataViewSpec = {
    id: ids.dataView,
    title: indexPattern,
    name: title,
    labels: {
      ...envelopeLabels,
      ...Object.fromEntries(described.fields.map(({ name }) => [name, label(name)])),
    },
    formats: {
      ...envelopeFormats,
      // Codes and identifiers are names, not quantities: no separators in them.
      ...Object.fromEntries(
        described.fields
          .filter(
            (field) =>
              field.kind === 'number' && (isCode(field) || sorted.identifiers.includes(field)),
          )
          .map(({ name }) => [name, { id: 'number', params: { pattern: '0' } }] as const),
      ),
    },
  }
  const columns = [...categories.slice(0, 5), ...measures]
    .slice(0, mostColumns)
    .map(({ name }) => name)
  const latest = searchObject({
    id: ids.search,
    title: `${archiveName(indexPrefix)}: latest ${shownType}`,
    description: `The newest records of type ${shownType}.`,
    dataView,
    columns: ['kafka.key', ...columns],
    sort: [['@timestamp', 'desc']],
    query,
    widths: { '@timestamp': 190 },
    rowHeight: 1,
  })
  const source = { dataView, query }
  const rows: Row[] = [
    head(source, described, sorted, indexPrefix),
    overTime(source, categories),
    ...inRows(
      categories.map((field) => topValues(source, field)),
      10,
    ),
    ...measures.map((field) => measureRow(source, field, categories)),
  ]
  const missing = missingMap(source, sorted.partial.slice(0, mostPartial))
  if (missing !== undefined) rows.push(missing)
  rows.push({
    height: 16,
    panels: [{ id: 'latest', title: `Latest ${shownType}`, width: 48, search: latest }],
  })
  const { from, to } = timeRange(described.first, described.last, now)
  const dashboard = dashboardObject({
    id: ids.dashboard,
    title,
    description: `Records of type ${shownType}, by what their ${described.fields.length} fields hold; made from ${plural(records, 'record')}.`,
    from,
    to,
    controls: categories.slice(0, 3).map(({ name }) => ({
      id: `control-${idPart(name)}`,
      field: name,
      title: label(name),
      dataView,
    })),
    rows,
  })
  return [dataViewObject(dataView), latest, dashboard]
}

interface Source {
  readonly dataView: DataViewSpec
  readonly query: string
}

/** What the type is, in numbers and words. */
function head(
  source: Source,
  described: DescribedType,
  sorted: SortedFields,
  indexPrefix: string,
): Row {
  const numberPanel = (id: string, title: string, columns: Columns, subtitle: string): Panel => ({
    id,
    title,
    width: 6,
    chart: number({ ...source, columns, value: 'n', subtitle }),
  })
  const whole = { format: { id: 'number' } } as const
  const measure = sorted.measures[0]
  return {
    height: 8,
    panels: [
      numberPanel('records', 'Records', { n: count() }, 'of this type'),
      numberPanel(
        'keys',
        'Keys',
        { n: statistic('unique_count', 'kafka.key', 'Keys', whole) },
        'different',
      ),
      ...(measure === undefined
        ? []
        : [
            numberPanel(
              'measure',
              label(measure.name),
              { n: statistic('median', measure.name, label(measure.name), formatOf(measure)) },
              'median',
            ),
          ]),
      {
        id: 'about',
        width: measure === undefined ? 36 : 30,
        markdown: about(described, sorted, indexPrefix),
      },
    ],
  }
}

function about(described: DescribedType, sorted: SortedFields, indexPrefix: string): string {
  const names = (fields: readonly { readonly name: string }[]) => {
    const shown = fields.slice(0, 6).map(({ name }) => markdownName(ownName(name)))
    const more = fields.length - shown.length
    return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
  }
  const notShown = [
    ...sorted.categories.slice(mostCategories),
    ...sorted.measures.slice(mostMeasures),
  ]
  const facts = [
    sorted.identifiers.length > 0
      ? `Another value on nearly every record: ${names(sorted.identifiers)}.`
      : undefined,
    sorted.constants.length > 0 ? `Always the same: ${names(sorted.constants)}.` : undefined,
    described.conflicting.length > 0
      ? `Of different kinds on different days, so that no panel can show it: ${names(described.conflicting.map((name) => ({ name })))}.`
      : undefined,
    notShown.length > 0 ? `Not shown, for there are many: ${names(notShown)}.` : undefined,
    described.fields.length === 0 ? 'Its values have no fields that are indexed.' : undefined,
  ].filter((fact) => fact !== undefined)
  return [
    `Type ${markdownName(described.type)} · ${described.fields.length} fields · [Archive overview](#/view/${overviewId(indexPrefix)})`,
    '',
    ...facts.map((fact) => `- ${fact}`),
    '- Click a bar to filter, or to see its records in Discover. Made again by `archiver dashboard`, so change a copy.',
  ].join('\n')
}

function overTime(source: Source, categories: readonly DescribedField[]): Row {
  const [split] = categories
  const columns: Columns =
    split === undefined
      ? { time: byTime(), n: count() }
      : {
          split: top(split.name, label(split.name), {
            by: 'n',
            size: 8,
            other: true,
            ...dataTypeOf(split),
          }),
          time: byTime(),
          n: count(),
        }
  return {
    height: 12,
    panels: [
      {
        id: 'over-time',
        title:
          split === undefined ? 'Records over time' : `Records over time, by ${label(split.name)}`,
        width: 48,
        chart: xy({
          ...source,
          columns,
          as: 'bar_stacked',
          x: 'time',
          y: ['n'],
          ...(split === undefined ? {} : { split: 'split' }),
        }),
      },
    ],
  }
}

function dataTypeOf({ kind }: DescribedField): {
  readonly dataType: 'string' | 'number' | 'boolean'
} {
  return { dataType: kind }
}

function topValues(
  source: Source,
  field: DescribedField,
): Omit<Panel, 'width'> & { readonly width?: number } {
  const { name, present, distinct } = field
  const isRare = present < 1 - rarest
  const title = isRare ? `${label(name)} (on ${percent(present)} of records)` : label(name)
  return {
    id: `top-${idPart(name)}`,
    title,
    chart: xy({
      ...source,
      columns: {
        value: top(name, label(name), {
          by: 'n',
          size: 8,
          other: distinct <= 30,
          ...dataTypeOf(field),
        }),
        n: count(),
      },
      as: 'bar_horizontal',
      x: 'value',
      y: ['n'],
      legend: 'none',
    }),
  } as Omit<Panel, 'width'>
}

function percent(share: number): string {
  return share < 0.01 ? 'under 1 %' : `${Math.round(share * 100)} %`
}

/** Three panels in a row; those of a shorter last row are wider. */
function inRows(
  panels: readonly (Omit<Panel, 'width'> & { readonly width?: number })[],
  height: number,
): Row[] {
  const rows: Row[] = []
  for (let start = 0; start < panels.length; start += panelsInRow) {
    const inRow = panels.slice(start, start + panelsInRow)
    rows.push({
      height,
      panels: inRow.map((panel) => ({ ...panel, width: 48 / inRow.length }) as Panel),
    })
  }
  return rows
}

/**
 * Panels of a number: its distribution, its change over time, and how it differs between the values
 * of the best category.
 */
function measureRow(
  source: Source,
  field: NumberField,
  categories: readonly DescribedField[],
): Row {
  const { name } = field
  const title = label(name)
  const format = formatOf(field)
  const of = (what: Statistic, words: string) => statistic(what, name, words, format)
  // The first category is that of the panel over time; the next one says something new. With many
  // values, none would be visible.
  const by =
    categories.find(({ distinct, present }, i) => i > 0 && distinct <= 30 && present > 0.5) ??
    categories[0]
  return {
    height: 12,
    panels: [
      {
        id: `distribution-${idPart(name)}`,
        title: `${title}: distribution`,
        width: 14,
        chart: xy({
          ...source,
          columns: { range: byRange(name, title, binsOf(field)), n: count() },
          as: 'bar',
          x: 'range',
          y: ['n'],
          legend: 'none',
        }),
      },
      {
        id: `course-${idPart(name)}`,
        title: `${title}: over time`,
        width: 14,
        chart: xy({
          ...source,
          columns: {
            time: byTime(),
            median: of('median', 'Median'),
            p95: of({ percentile: 95 }, '95 % below'),
          },
          as: 'line',
          x: 'time',
          y: ['median', 'p95'],
          legend: 'bottom',
        }),
      },
      {
        id: `statistics-${idPart(name)}`,
        title: by === undefined ? `${title}: statistics` : `${title}: by ${label(by.name)}`,
        width: 20,
        chart: table({
          ...source,
          columns: {
            ...(by === undefined
              ? {}
              : { by: top(by.name, label(by.name), { by: 'n', size: 10, ...dataTypeOf(by) }) }),
            n: count('Records'),
            median: of('median', 'Median'),
            average: of('average', 'Mean'),
            p95: of({ percentile: 95 }, '95 %'),
            max: of('max', 'Most'),
          },
          ...(by === undefined ? {} : { sortBy: 'n' }),
          widths: { n: 100, median: 85, average: 85, p95: 85, max: 85 },
        }),
      },
    ],
  }
}

/** The decimals that distinguish values of the field. */
function formatOf({ isWhole, low, high }: NumberField) {
  const range = high - low
  const decimals = isWhole || range >= 1000 ? 0 : range >= 10 ? 1 : range >= 0.1 ? 3 : 6
  return { format: { id: 'number', params: { decimals } } } as const
}

const wantedBins = 10

/**
 * About ten ranges of one round width between the 5th and the 95th percentile, with all other
 * values at the ends.
 */
export function binsOf({
  low,
  high,
  min,
  max,
}: NumberField): readonly (readonly [number | null, number | null])[] {
  const span = high - low || max - min || 1
  const raw = span / wantedBins
  const magnitude = 10 ** Math.floor(Math.log10(raw))
  const step =
    magnitude * ([1, 2, 2.5, 5, 10].find((factor) => raw <= factor * magnitude * 1.0001) ?? 10)
  const round = (value: number) => Number(value.toPrecision(12))
  const begin = Math.floor(low / step)
  const end = Math.max(begin + 1, Math.ceil(high / step))
  const bins: [number | null, number | null][] = []
  for (let i = begin; i < end; i++) bins.push([round(i * step), round((i + 1) * step)])
  if (min < bins[0]![0]!) bins.unshift([null, bins[0]![0]!])
  const last = bins.at(-1)![1]!
  if (max >= last) bins.push([last, null])
  return bins
}

/** When which fields were absent: a field that vanishes is a producer that changed. */
function missingMap(source: Source, partial: readonly DescribedField[]): Row | undefined {
  if (partial.length === 0) return undefined
  const names = distinctNames(
    partial.map(({ name, present }) => `${label(name)} (on ${percent(present)})`),
  )
  const queries = Object.fromEntries(
    partial.map(({ name }, i) => [names[i]!, `not ${kqlField(name)} : *`]),
  )
  return {
    height: Math.max(10, 5 + Math.ceil(partial.length * 1.4)),
    panels: [
      {
        id: 'missing',
        title: 'Missing fields: when how many records were without them',
        width: 32,
        chart: heatmap({
          ...source,
          columns: {
            time: byTime(),
            field: byQuery('Field', queries),
            n: count('Records without it'),
          },
          x: 'time',
          y: 'field',
          value: 'n',
        }),
      },
      {
        id: 'missing-table',
        title: 'Missing fields: records without them',
        width: 16,
        chart: table({
          ...source,
          columns: { field: byQuery('Field', queries), n: count('Records without it') },
          sortBy: 'n',
        }),
      },
    ],
  }
}
