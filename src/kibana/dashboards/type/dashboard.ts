import { createHash } from 'node:crypto'
import { msPerDay, msPerHour } from '../../../record/time.ts'
import { plural } from '../../../runtime/format.ts'
import { dashboardObject, type Row } from '../../dashboard.ts'
import { archiveDataViews, archiveName, envelopeFormats, envelopeLabels } from '../../data-views.ts'
import {
  type DataViewSpec,
  dataViewObject,
  quoted,
  type SavedObject,
  searchObject,
} from '../../saved-object.ts'
import { plainName } from '../../text.ts'
import { changes } from './changes.ts'
import { conflictRow } from './conflicts.ts'
import type { DescribedField, DescribedType, NumberField } from './described.ts'
import { events } from './events.ts'
import { isLong, sortFields } from './fields.ts'
import { currencyOf, present } from './find.ts'
import { formatOf } from './formats.ts'
import { distribution, inRows, measureRow, missingRow, overTime, topValues } from './generic.ts'
import { head } from './head.ts'
import { logs } from './logs.ts'
import { amountsRow, money } from './money.ts'
import { idPart, label } from './names.ts'
import { requests } from './requests.ts'
import { isNumber } from './roles.ts'
import { namedPlaces, placeRow, timePanel } from './times.ts'
import type { Opening, View } from './view.ts'

/**
 * More panels than a person reads say less. Fields beyond these are named at the top, and one click
 * away in Discover.
 */
const mostCategories = 6
const mostMeasures = 4
/** Of these, the ones with a course and a comparison. */
const mostCourses = 2
const mostTimes = 3
const mostPlaces = 2
const mostColumns = 8
const mostControls = 3

type Open = (view: View) => Opening | undefined

/** What messages are about, by the fields that they have: the first that fits. */
const contents: readonly Open[] = [
  // An application logs requests as well, with a level.
  logs,
  requests,
  money,
]

/** The panels that come first. */
function openingOf(view: View): Opening | undefined {
  // The sums of changes are no sums of rows, so nothing else fits them.
  const changed = changes(view)
  if (changed !== undefined) return changed
  const found = present(
    events(view),
    contents.map((open) => open(view)).find((opening) => opening !== undefined),
  )
  if (found.length === 0) return undefined
  return {
    numbers: found.flatMap(({ numbers }) => numbers),
    rows: found.flatMap(({ rows }) => rows),
    controls: found.flatMap(({ controls }) => controls),
    shown: found.flatMap(({ shown }) => shown),
  }
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
  return { dashboard: id, dataView: `${id}-view`, family: `${id}-family`, search: `${id}-latest` }
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
  if (Math.abs(now - last) < msPerDay) {
    const windows = [
      ['24h', msPerDay],
      ['7d', 7 * msPerDay],
      ['30d', 30 * msPerDay],
    ] as const
    const [name] = windows.find(([, ms]) => now - first <= 1.1 * ms) ?? ['90d']
    return { from: `now-${name}`, to: 'now' }
  }
  const from = Math.max(first, last - 90 * msPerDay)
  const span = last - from
  const minute = msPerHour / 60
  const step = span >= 2 * msPerHour ? msPerHour : span >= 10 * minute ? 10 * minute : minute
  const moment = (ms: number) => new Date(ms).toISOString()
  return {
    from: moment(Math.floor(from / step) * step),
    to: moment(Math.ceil((last + 1) / step) * step),
  }
}

/**
 * A dashboard for a type without any description, with its data views and its search. Each object
 * comes after those that it needs. Pure: the same facts at the same time make the same objects.
 */
export function typeDashboard(
  indexPrefix: string,
  described: DescribedType,
  now: number,
): readonly SavedObject[] {
  const { type, records } = described
  const view = viewOf(indexPrefix, described)
  const { source } = view
  const opening = openingOf(view)
  const ids = idsOf(indexPrefix, type)
  const shownType = plainName(type)
  const latest = searchObject({
    id: ids.search,
    title: `${archiveName(indexPrefix)}: latest ${shownType}`,
    description: `The newest records of type ${shownType}.`,
    dataView: source.dataView,
    columns: ['kafka.key', ...latestColumns(view, opening)],
    sort: [['@timestamp', 'desc']],
    query: source.query,
    widths: { '@timestamp': 190 },
    rowHeight: 1,
  })
  const { from, to } = timeRange(described.first, described.last, now)
  const rows = rowsOf(view, opening, indexPrefix, to === 'now' ? now : undefined)
  const dashboard = dashboardObject({
    id: ids.dashboard,
    title: source.dataView.name,
    description: `Records of type ${shownType}, by what their ${described.fields.length} fields hold; made from ${plural(records, 'record')}.`,
    from,
    to,
    controls: controlsOf(view, opening).map((field) => ({
      id: `control-${idPart(field.name)}`,
      field: field.name,
      title: label(field),
      dataView: source.dataView,
    })),
    rows: [
      ...rows,
      {
        height: 16,
        panels: [{ id: 'latest', title: `Latest ${shownType}`, width: 48, search: latest }],
      },
    ],
  })
  const needed = new Set(dashboard.references.map(({ id }) => id))
  const views = [source.dataView, view.family, archiveDataViews(indexPrefix).rejected]
  return [
    ...views
      .filter(({ id }) => id === ids.dataView || needed.has(id))
      .map((spec) => dataViewObject(spec)),
    latest,
    dashboard,
  ]
}

function viewOf(indexPrefix: string, described: DescribedType): View {
  const { type, indexPattern, fields, family = [] } = described
  const sorted = sortFields(described)
  const ids = idsOf(indexPrefix, type)
  const title = `${archiveName(indexPrefix)}: ${plainName(type)}`
  const dataView: DataViewSpec = {
    id: ids.dataView,
    title: indexPattern,
    name: title,
    labels: {
      ...envelopeLabels,
      ...Object.fromEntries(fields.map((field) => [field.name, label(field)])),
    },
    formats: {
      ...envelopeFormats,
      ...Object.fromEntries(
        fields
          .filter(isNumber)
          .filter((field) => sorted.roleOf(field) !== 'amount')
          .map((field) => [field.name, formatOf(field, sorted.roleOf(field))] as const),
      ),
    },
  }
  return {
    source: { dataView, query: `type : ${quoted(type)}` },
    family: {
      ...dataView,
      id: ids.family,
      title: family.map((member) => member.indexPattern).join(','),
      name: `${title} and its like`,
    },
    described,
    sorted,
  }
}

/** What is chosen by above the panels. */
function controlsOf({ sorted }: View, opening: Opening | undefined): readonly DescribedField[] {
  const { controls = [], shown = [] } = opening ?? {}
  const others = sorted.categories.filter((field) => !shown.includes(field) && !isLong(field))
  return [...new Set([...controls, ...others])].slice(0, mostControls)
}

function latestColumns(view: View, opening: Opening | undefined): readonly string[] {
  const { categories, measures, times } = view.sorted
  const isHidden = (field: DescribedField) =>
    opening?.shown.includes(field) === true && !opening.controls.includes(field)
  const all = [
    ...controlsOf(view, opening),
    ...categories.filter((field) => !isHidden(field)).slice(0, 5),
    ...times.slice(0, 1),
    ...measures.slice(0, mostMeasures),
  ]
  return [...new Set(all.map(({ name }) => name))].slice(0, mostColumns)
}

/** The panels. @param now if records still come: ms since 1970 */
function rowsOf(
  view: View,
  opening: Opening | undefined,
  indexPrefix: string,
  now: number | undefined,
): readonly Row[] {
  const { sorted } = view
  const left = <F extends DescribedField>(from: readonly F[]) =>
    from.filter((field) => opening?.shown.includes(field) !== true)
  const places = sorted.places.slice(0, mostPlaces)
  const named = places.length === 0 ? undefined : namedPlaces(view)
  const categories = left(sorted.categories).filter((field) => field !== named)
  const currency = currencyOf(view)
  const isMixed = (field: NumberField) =>
    currency !== undefined && currency.distinct > 1 && sorted.roleOf(field) === 'money'
  const measures = left(sorted.measures).filter((field) => !isMixed(field))
  const amounts = left(sorted.measures).filter(isMixed)
  const notShown = [...categories.slice(mostCategories), ...measures.slice(mostMeasures)]
  const small = [
    ...categories.slice(0, mostCategories).map((field) => topValues(view, field)),
    ...measures.slice(mostCourses, mostMeasures).map((field) => distribution(view, field)),
    ...left(sorted.times)
      .slice(0, mostTimes)
      .map((field) => timePanel(view, field, now)),
  ]
  return withoutRepeats([
    head(view, opening, notShown, indexPrefix),
    ...(opening?.rows ?? [
      overTime(
        view,
        sorted.categories.find((field) => !isLong(field)),
      ),
    ]),
    ...places.slice(0, 1).map((field) => placeRow(view, field, named)),
    ...inRows(small, 10),
    ...measures
      .slice(0, mostCourses)
      .map((field) => measureRow(view, field, comparedBy(view, field))),
    ...present(currency === undefined ? undefined : amountsRow(view, amounts, currency)),
    ...places.slice(1).map((field) => placeRow(view, field, undefined)),
    ...present(conflictRow(view, indexPrefix), missingRow(view, left(sorted.partial))),
  ])
}

/** Leaves out panels that an earlier row has. Those beside them take their place. */
function withoutRepeats(rows: readonly Row[]): Row[] {
  const seen = new Set<string>()
  return rows.flatMap((row) => {
    const panels = row.panels.filter(({ id }) => !seen.has(id))
    for (const { id } of panels) seen.add(id)
    if (panels.length === 0) return []
    const gone = widthOf(row.panels) - widthOf(panels)
    const share = Math.floor(gone / panels.length)
    const wider = panels.map((panel, i) => ({
      ...panel,
      width: panel.width + (i === panels.length - 1 ? gone - i * share : share),
    }))
    return { ...row, panels: wider }
  })
}

const widthOf = (panels: Row['panels']) => panels.reduce((sum, { width }) => sum + width, 0)

/**
 * The category that a number is compared by. The first one is that of the panel over time; the next
 * one says something new. With many values, none would be visible. Money goes by its currency.
 */
function comparedBy(view: View, field: NumberField): DescribedField | undefined {
  const { categories, roleOf } = view.sorted
  const currency = currencyOf(view)
  if (currency !== undefined && roleOf(field) === 'money') return currency
  const others = categories.filter((category) => category !== currency && !isLong(category))
  return (
    others.find(({ distinct, present }, i) => i > 0 && distinct <= 30 && present > 0.5) ?? others[0]
  )
}
