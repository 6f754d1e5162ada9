import type { Panel } from '../../dashboard.ts'
import { byTime, type Columns, count, xy } from '../../lens.ts'
import { narrowed, type View } from './view.ts'

/** Records that a query finds, as one series of a chart. */
export interface Series {
  readonly label: string
  readonly query: string
  readonly color: string
}

/** Counts of records by query, as columns. */
export function counts(series: readonly Series[]): Columns {
  return Object.fromEntries(
    series.map(({ label, query }, i) => [`n${i}`, count(label, { filter: query })]),
  )
}

/** Stacked bars over time, one color a series. */
export function seriesOverTime(
  view: View,
  id: string,
  title: string,
  series: readonly Series[],
  width: number,
): Panel {
  const columns = counts(series)
  return {
    id,
    title,
    width,
    chart: xy({
      ...view.source,
      columns: { time: byTime(), ...columns },
      as: 'bar_stacked',
      x: 'time',
      y: Object.keys(columns),
      colors: Object.fromEntries(series.map(({ color }, i) => [`n${i}`, color])),
    }),
  }
}

/** The same view of fewer records. */
export function only(view: View, query: string): View {
  return { ...view, source: narrowed(view, query) }
}
