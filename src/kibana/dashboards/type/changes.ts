import type { Panel } from '../../dashboard.ts'
import { durationIn } from '../../data-views.ts'
import { byTime, count, meanDifference, table, top, xy } from '../../lens.ts'
import { colors } from './colors.ts'
import type { FamilyMember, NumberField } from './described.ts'
import { exactly, numberNamed, present } from './find.ts'
import { isOneOf, kqlField } from './names.ts'
import { counts, type Series, seriesOverTime } from './series.ts'
import { familyView, narrowed, numberPanel, type Opening, type View } from './view.ts'

/** The operations of Debezium's envelope, as its documentation names them. */
const operations = [
  { value: 'c', label: 'Created', color: colors.good },
  { value: 'u', label: 'Updated', color: colors.calm },
  { value: 'd', label: 'Deleted', color: colors.bad },
  { value: 'r', label: 'Snapshot', color: colors.quiet },
  { value: 't', label: 'Truncated', color: colors.worst },
] as const

const milliseconds = durationIn('milliseconds')

/** Rows that changed in a database, in Debezium's envelope. */
export function changes(view: View): Opening | undefined {
  const op = exactly(view, 'op')
  const connector = exactly(view, 'source.connector')
  if (op?.values === undefined || connector === undefined) return undefined
  const series = operations
    .filter(({ value }) => op.values!.includes(value))
    .map(({ value, ...rest }): Series => ({ ...rest, query: isOneOf(op.name, [value]) }))
  if (series.length === 0) return undefined
  const committed = numberNamed(view, 'source.ts_ms')
  const read = numberNamed(view, 'ts_ms')
  const { family = [] } = view.described
  return {
    controls: [op],
    // The row before the change is that of an earlier record.
    shown: [
      ...present(op, exactly(view, 'source.snapshot')),
      ...view.described.fields.filter(({ name }) => name.startsWith('value.before.')),
    ],
    numbers: committed === undefined ? [] : [lagNumber(view, committed)],
    rows: [
      {
        height: 12,
        panels: [
          seriesOverTime(view, 'over-time', 'Changes over time, by operation', series, 26),
          ...(committed === undefined ? [] : [lag(view, committed, read)]),
        ],
      },
      ...(family.length < 2
        ? []
        : [{ height: heightOf(family), panels: [tables(view, series, family)] }]),
    ],
  }
}

/**
 * How long after the commit in the database Kafka has the change: `kafka.timestamp` is the
 * connector's, or the broker's with `message.timestamp.type=LogAppendTime`.
 */
function lagNumber(view: View, committed: NumberField): Panel {
  const columns = meanDifference('n', 'Lag', ['kafka.timestamp', committed.name], {
    format: milliseconds,
  })
  const panel = { ...view, source: narrowed(view, `${kqlField(committed.name)} : *`) }
  return numberPanel(panel, 'lag', 'Lag', columns, 'mean, commit to Kafka')
}

function lag(view: View, committed: NumberField, read: NumberField | undefined): Panel {
  const format = { format: milliseconds }
  const both = present(committed, read).map(({ name }) => `${kqlField(name)} : *`)
  return {
    id: 'lag-over-time',
    title: 'Lag over time: from the commit in the database (mean)',
    width: 22,
    chart: xy({
      ...narrowed(view, both.join(' and ')),
      columns: {
        time: byTime(),
        ...(read === undefined
          ? {}
          : meanDifference('read', 'to the connector', [read.name, committed.name], format)),
        ...meanDifference('kafka', 'to Kafka', ['kafka.timestamp', committed.name], format),
      },
      as: 'line',
      x: 'time',
      y: read === undefined ? ['kafka'] : ['read', 'kafka'],
      legend: 'bottom',
    }),
  }
}

/** The rows of a table, with its title and head. */
const heightOf = ({ length }: readonly unknown[]) => Math.min(14, 5 + Math.ceil(1.3 * length))

/** Every table of the same connectors, this one among them. */
function tables(view: View, series: readonly Series[], family: readonly FamilyMember[]): Panel {
  const { source } = familyView(view)
  return {
    id: 'tables',
    title: 'Changes of all tables, by operation',
    width: 48,
    chart: table({
      ...source,
      columns: {
        table: top('type', 'Table', { by: 'n', size: Math.min(20, family.length) }),
        n: count('Changes'),
        ...counts(series),
      },
      sortBy: 'n',
    }),
  }
}
