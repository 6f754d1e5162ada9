import type { Panel, Row } from '../../dashboard.ts'
import { byQuery, byRange, byTime, type Columns, count, heatmap, table, xy } from '../../lens.ts'
import { distinctNames } from '../../text.ts'
import type { DescribedField, NumberField } from './described.ts'
import { rarest } from './fields.ts'
import { idPart, kqlField, label, percent } from './names.ts'
import { of, topOf, type View } from './view.ts'

/** Panels that any type has. */

export function overTime({ source }: View, split: DescribedField | undefined, width = 48): Row {
  const columns: Columns =
    split === undefined
      ? { time: byTime(), n: count() }
      : { split: topOf(split, { by: 'n', size: 8, other: true }), time: byTime(), n: count() }
  return {
    height: 12,
    panels: [
      {
        id: 'over-time',
        title: split === undefined ? 'Records over time' : `Records over time, by ${label(split)}`,
        width,
        chart: xy({
          ...source,
          columns,
          as: 'bar_stacked',
          x: 'time',
          y: ['n'],
          ...(split === undefined ? {} : { split: 'split', wideLegend: true }),
        }),
      },
    ],
  }
}

type Narrow = (panel: Panel) => Panel
const ofWidth =
  (width: number): Narrow =>
  (panel) => ({ ...panel, width })

export function topValues({ source }: View, field: DescribedField): Panel {
  const { name, present, distinct } = field
  const isRare = present < 1 - rarest
  return {
    id: `top-${idPart(name)}`,
    title: isRare ? `${label(field)} (on ${percent(present)} of records)` : label(field),
    width: 16,
    chart: xy({
      ...source,
      columns: {
        value: topOf(field, { by: 'n', size: 8, other: distinct <= 30 }),
        n: count(),
      },
      as: 'bar_horizontal',
      x: 'value',
      y: ['n'],
      legend: 'none',
    }),
  }
}

const panelsInRow = 3

/** Three panels in a row; those of a shorter last row are wider. */
export function inRows(panels: readonly Panel[], height: number): Row[] {
  const rows: Row[] = []
  for (let start = 0; start < panels.length; start += panelsInRow) {
    const inRow = panels.slice(start, start + panelsInRow)
    rows.push({ height, panels: inRow.map(ofWidth(48 / inRow.length)) })
  }
  return rows
}

/**
 * Panels of a number: its distribution, its change over time, and how it differs between the values
 * of a category.
 */
export function measureRow(view: View, field: NumberField, by: DescribedField | undefined): Row {
  const { source } = view
  const { name } = field
  const title = label(field)
  const id = idPart(name)
  return {
    height: 12,
    panels: [
      {
        id: `distribution-${id}`,
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
      course(view, field, 14),
      {
        id: `statistics-${id}`,
        title: by === undefined ? `${title}: statistics` : `${title}: by ${label(by)}`,
        width: 20,
        chart: table({
          ...source,
          columns: {
            ...(by === undefined ? {} : { by: topOf(by, { by: 'n', size: 10 }) }),
            n: count('Records'),
            median: of(view, 'median', field, 'Median'),
            average: of(view, 'average', field, 'Mean'),
            p95: of(view, { percentile: 95 }, field, '95 %'),
            max: of(view, 'max', field, 'Most'),
          },
          ...(by === undefined ? {} : { sortBy: 'n' }),
          widths: { n: 105, median: 95, average: 95, p95: 95, max: 105 },
        }),
      },
    ],
  }
}

/** The median and the 95th percentile of a number over time. */
export function course(view: View, field: NumberField, width: number): Panel {
  return {
    id: `course-${idPart(field.name)}`,
    title: `${label(field)}: over time`,
    width,
    chart: xy({
      ...view.source,
      columns: {
        time: byTime(),
        median: of(view, 'median', field, 'Median'),
        p95: of(view, { percentile: 95 }, field, '95 % below'),
      },
      as: 'line',
      x: 'time',
      y: ['median', 'p95'],
      legend: 'bottom',
    }),
  }
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
export function missingMap({ source }: View, partial: readonly DescribedField[]): Row | undefined {
  if (partial.length === 0) return undefined
  const names = distinctNames(
    partial.map((field) => `${label(field)} (on ${percent(field.present)})`),
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
