import type { Panel } from '../../dashboard.ts'
import { count, share, table } from '../../lens.ts'
import { colors } from './colors.ts'
import type { DescribedField } from './described.ts'
import { leastNested, present, textNamed } from './find.ts'
import { isOneOf, label } from './names.ts'
import { only, type Series, seriesOverTime } from './series.ts'
import { numberPanel, type Opening, topOf, type View } from './view.ts'

/** Levels of logs from the mildest to the worst, by how their names begin. */
const levels = [
  { names: /^(trace|finest|finer|verbose|debug|fine)/i, color: colors.quiet },
  { names: /^(info|notice|config)/i, color: colors.calm },
  { names: /^warn/i, color: colors.warning },
  { names: /^(err|severe|fail)/i, color: colors.bad },
  { names: /^(fatal|crit|panic|alert|emerg)/i, color: colors.worst },
] as const
const firstBad = 3

const rankOf = (value: string): number => levels.findIndex(({ names }) => names.test(value))

/** Logs: a text with names of levels. Those of OpenTelemetry are in `severityText`. */
export function logs(view: View): Opening | undefined {
  const severity = view.described.fields.find(isSeverity)
  if (severity === undefined) return undefined
  const known = severity
    .values!.filter((value) => rankOf(value) !== -1)
    .sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))
  const bad = known.filter((value) => rankOf(value) >= firstBad)
  const isBad = bad.length === 0 ? undefined : isOneOf(severity.name, bad)
  const service = serviceOf(view)
  const exception = exceptionOf(view)
  const overTime = seriesOverTime(
    view,
    'over-time',
    `Records over time, by ${label(severity)}`,
    known.map(
      (value): Series => ({
        label: value,
        query: isOneOf(severity.name, [value]),
        color: levels[rankOf(value)]!.color,
      }),
    ),
    service === undefined ? 48 : 28,
  )
  return {
    controls: present(severity, service, exception),
    shown: [...present(severity, service, exception, numberOf(view)), ...detailsOf(view)],
    numbers:
      isBad === undefined
        ? []
        : [
            numberPanel(
              view,
              'errors',
              'Errors',
              { n: count('Errors', { filter: isBad }) },
              bad.join(', '),
            ),
            numberPanel(
              view,
              'error-share',
              'Share of errors',
              share('n', 'Share of errors', isBad, 1),
              'of all records',
            ),
          ],
    rows: [
      {
        height: 12,
        panels: [
          overTime,
          ...(service === undefined ? [] : [services(view, service, severity, { known, isBad })]),
        ],
      },
      ...(isBad === undefined ? [] : causes(only(view, isBad), exception)),
    ],
  }
}

function isSeverity({ name, values, of, present }: DescribedField): boolean {
  if (values === undefined || of !== undefined || present < 0.5) return false
  const isNamed = /(^|[._])(severity(_?text)?|(log_?)?level)$/i.test(name)
  const isKnown = values.filter((value) => rankOf(value) !== -1)
  return isNamed && isKnown.length > 1
}

/** What each service writes: records in all, and those of the worst levels. */
function services(
  { source }: View,
  service: DescribedField,
  severity: DescribedField,
  { known, isBad }: { readonly known: readonly string[]; readonly isBad: string | undefined },
): Panel {
  const worst = known.toReversed().slice(0, 3)
  const perLevel = Object.fromEntries(
    worst.map((value, i) => [
      `level${i}`,
      count(value, { filter: isOneOf(severity.name, [value]) }),
    ]),
  )
  return {
    id: 'services',
    title: `By ${label(service)}`,
    width: 20,
    chart: table({
      ...source,
      columns: { service: topOf(service, { by: 'n', size: 12 }), n: count('Records'), ...perLevel },
      sortBy: isBad === undefined ? 'n' : 'level0',
      widths: { n: 105, level0: 95, level1: 95, level2: 95 },
    }),
  }
}

/** What writes the logs; of more than one value. */
function serviceOf(view: View): DescribedField | undefined {
  const few = ({ kind, distinct }: DescribedField) =>
    kind === 'string' && distinct > 1 && distinct <= 200
  const isNamed = (names: RegExp) => (field: DescribedField) => few(field) && names.test(field.name)
  return (
    leastNested(view, isNamed(/[._]service[._]?name$/i)) ??
    leastNested(view, isNamed(/[._](service|app|application|component|logger)$/i))
  )
}

function exceptionOf(view: View): DescribedField | undefined {
  const named = /(exception|error)([._](type|class|code|name))?$/i
  return leastNested(view, ({ kind, name }) => kind === 'string' && named.test(name))
}

/** The levels once more, as OpenTelemetry numbers them. */
function numberOf(view: View): DescribedField | undefined {
  return view.described.fields.find(({ name }) => /severity_?number$/i.test(name))
}

/** What exceptions say besides their type: the messages of errors, once more. */
function detailsOf(view: View): readonly DescribedField[] {
  return view.described.fields.filter(({ name }) => /exception[._]\w+$/i.test(name))
}

/** What errors say: their messages and exceptions. */
function causes(
  view: View,
  exception: DescribedField | undefined,
): { height: number; panels: Panel[] }[] {
  const message = textNamed(view, /^(body|message|msg|event|log)$/)
  const panel = (id: string, title: string, field: DescribedField, width: number): Panel => ({
    id,
    title,
    width,
    chart: table({
      ...view.source,
      columns: { value: topOf(field, { by: 'n', size: 10 }), n: count('Errors') },
      sortBy: 'n',
      widths: { n: 105 },
    }),
  })
  const fields = present(message, exception)
  const panels = fields.map((field, i) =>
    panel(`errors-${i}`, `Errors by ${label(field)}`, field, 48 / fields.length),
  )
  return panels.length === 0 ? [] : [{ height: 10, panels }]
}
