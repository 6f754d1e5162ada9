import { msPerDay } from '../../../record/time.ts'
import type { Panel, Row } from '../../dashboard.ts'
import { byTime, count, type Span, xy } from '../../lens.ts'
import type { DateField, DescribedField } from './described.ts'
import { topValues } from './generic.ts'
import { idPart, label, wordsOf } from './names.ts'
import type { View } from './view.ts'

/** Bars of a histogram, about. */
const wantedBars = 60
const steps: readonly (readonly [ms: number, interval: string])[] = [
  [60_000, 'm'],
  [300_000, '5m'],
  [900_000, '15m'],
  [3_600_000, 'h'],
  [3 * 3_600_000, '3h'],
  [12 * 3_600_000, '12h'],
  [msPerDay, 'd'],
  [7 * msPerDay, 'w'],
  [30 * msPerDay, 'M'],
]

/** The width of bars: few enough for the span, and a day and more for dates without a time. */
function intervalOf({ low, high, min, max }: DateField): string {
  const isDays = min % msPerDay === 0 && max % msPerDay === 0
  const wanted = Math.max((high - low) / wantedBars, isDays ? msPerDay : 0)
  return (steps.find(([ms]) => ms >= wanted) ?? [0, 'y'])[1]
}

/**
 * The span that nearly all dates of a field are in: one date of 1970 would leave a bar at each end.
 * It is relative to now if records still come.
 */
function spanOf({ name, min, max, low, high }: DateField, now: number | undefined): Span {
  const margin = Math.max(high - low, msPerDay) / 5
  const [from, to] = [low - margin, high + margin]
  const moment = (ms: number, round: (days: number) => number) => {
    if (now === undefined) return new Date(ms).toISOString()
    const days = round((ms - now) / msPerDay)
    return `now${days < 0 ? '-' : '+'}${Math.abs(days)}d`
  }
  return {
    field: name,
    ...(min < from ? { from: moment(from, Math.floor) } : {}),
    ...(max > to ? { to: moment(to, Math.ceil) } : {}),
  }
}

/**
 * A histogram of a date field over its own time. @param now if records still come: ms since 1970
 */
export function timePanel(view: View, field: DateField, now: number | undefined): Panel {
  const span = spanOf(field, now)
  const isBounded = span.from !== undefined || span.to !== undefined
  const interval = intervalOf(field)
  return {
    id: `time-${idPart(field.name)}`,
    title: `${label(field)}: records by this time`,
    description: 'The records of the time range, by a time of their own.',
    width: 16,
    chart: xy({
      ...view.source,
      ...(isBounded ? { span } : {}),
      columns: { time: byTime(interval, field.name, label(field)), n: count() },
      as: 'bar',
      x: 'time',
      y: ['n'],
      legend: 'none',
    }),
  }
}

const placeNames =
  /^(country|city|region|state|site|place|area|zone|warehouse|store|branch)( code| name)?$/

/** A category of names of places. */
export function namedPlaces({ sorted }: View): DescribedField | undefined {
  return sorted.categories.find(({ name }) => placeNames.test(wordsOf(name).join(' ')))
}

/** A map of a field of places, and beside it the most frequent names of places. */
export function placeRow(
  view: View,
  field: DescribedField,
  named: DescribedField | undefined,
): Row {
  const { source } = view
  const names = named === undefined ? [] : [{ ...topValues(view, named), width: 16 }]
  return {
    height: 14,
    panels: [
      {
        id: `map-${idPart(field.name)}`,
        title: `${label(field)}: where the records are`,
        width: 48 - 16 * names.length,
        map: { ...source, field: field.name, label: label(field) },
      },
      ...names,
    ],
  }
}
