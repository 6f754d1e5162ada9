import type { Panel, Row } from '../../dashboard.ts'
import { byHistogram, byRange, byTime, type Columns, count, share, table, xy } from '../../lens.ts'
import { distinctNames } from '../../text.ts'
import { binsOf } from './bins.ts'
import { valueColors } from './colors.ts'
import type { DescribedField, NumberField } from './described.ts'
import { isLong, rarest } from './fields.ts'
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
          ...(split === undefined
            ? {}
            : { split: 'split', wideLegend: true, valueColors: valueColors(split) }),
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
  const head = {
    id: `top-${idPart(name)}`,
    title: isRare ? `${label(field)} (on ${percent(present)} of records)` : label(field),
    width: 16,
  }
  if (isLong(field)) {
    const columns = { value: topOf(field, { by: 'n', size: 8 }), n: count() }
    return { ...head, chart: table({ ...source, columns, sortBy: 'n', widths: { n: 105 } }) }
  }
  return {
    ...head,
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

/** At most three panels in a row, and as many in each as can be: none is alone. */
export function inRows(panels: readonly Panel[], height: number): Row[] {
  const count = Math.ceil(panels.length / panelsInRow)
  return Array.from({ length: count }, (_, row) => {
    const at = (n: number) => Math.round((n * panels.length) / count)
    const inRow = panels.slice(at(row), at(row + 1))
    return { height, panels: inRow.map(ofWidth(48 / inRow.length)) }
  })
}

/**
 * Panels of a number: its distribution, its change over time, and how it differs between the values
 * of a category.
 */
export function measureRow(view: View, field: NumberField, by: DescribedField | undefined): Row {
  const { source } = view
  const title = label(field)
  return {
    height: 12,
    panels: [
      distribution(view, field, 15),
      course(view, field, 16),
      {
        id: `statistics-${idPart(field.name)}`,
        title: by === undefined ? `${title}: statistics` : `${title}: by ${label(by)}`,
        width: 17,
        chart: table({
          ...source,
          columns: {
            ...(by === undefined ? {} : { by: topOf(by, { by: 'n', size: 10 }) }),
            n: count('Records'),
            median: of(view, 'median', field, 'Median'),
            p95: of(view, { percentile: 95 }, field, '95 %'),
            max: of(view, 'max', field, 'Most'),
          },
          ...(by === undefined ? {} : { sortBy: 'n' }),
          widths: { n: 105, median: 85, p95: 85, max: 85 },
        }),
      },
    ],
  }
}

export function distribution(view: View, field: NumberField, width = 16): Panel {
  const title = label(field)
  const bins = binsOf(field, view.sorted.roleOf(field))
  return {
    id: `distribution-${idPart(field.name)}`,
    title: `${title}: distribution`,
    width,
    chart: xy({
      ...view.source,
      columns: {
        range:
          bins === undefined ? byHistogram(field.name, title) : byRange(field.name, title, bins),
        n: count(),
      },
      as: 'bar',
      x: 'range',
      y: ['n'],
      legend: 'none',
    }),
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

/**
 * When which fields were absent: a field that vanishes is a producer that changed. Of fields that
 * come and go together, one stands for all.
 */
export function missingRow({ source }: View, partial: readonly DescribedField[]): Row | undefined {
  const shown = oneOfEach(partial).slice(0, mostPartial)
  if (shown.length === 0) return undefined
  const names = distinctNames(
    shown.map((field) => `${label(field)} (on ${percent(field.present)})`),
  )
  const shares = shown.map(({ name }, i) =>
    share(`missing${i}`, names[i]!, `not ${kqlField(name)} : *`, 0),
  )
  return {
    height: 12,
    panels: [
      {
        id: 'missing',
        title: 'Missing fields: share of records without them',
        width: 48,
        chart: xy({
          ...source,
          columns: Object.assign({ time: byTime() }, ...shares) as Columns,
          as: 'line',
          x: 'time',
          y: shown.map((_, i) => `missing${i}`),
          wideLegend: true,
        }),
      },
    ],
  }
}

const mostPartial = 8

/** Without fields of an object that are on as many records as another one of the same object. */
function oneOfEach(fields: readonly DescribedField[]): readonly DescribedField[] {
  const seen = new Set<string>()
  return fields.filter(({ name, present }) => {
    const group = `${name.split('.').slice(0, 2).join('.')} ${present}`
    if (seen.has(group)) return false
    seen.add(group)
    return true
  })
}
