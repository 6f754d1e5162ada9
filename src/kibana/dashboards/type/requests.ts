import type { Panel } from '../../dashboard.ts'
import { count, share, table } from '../../lens.ts'
import { colors } from './colors.ts'
import type { DescribedField, NumberField } from './described.ts'
import { measureOf, present, textNamed } from './find.ts'
import { course, topValues } from './generic.ts'
import { kqlField, label } from './names.ts'
import { isNumber } from './roles.ts'
import { seriesOverTime } from './series.ts'
import { numberPanel, type Opening, of, topOf, type View } from './view.ts'

/** Access logs and requests to an API: a status of HTTP, beside a method or a path. */
export function requests(view: View): Opening | undefined {
  const status = view.described.fields.find(isHttpStatus)
  const method = textNamed(view, /^(\w+ )*method$|^verb$/, 20)
  const path = textNamed(view, /route$/) ?? textNamed(view, /^(\w+ )*(path|url|uri|endpoint)$/)
  if (status === undefined || (method === undefined && path === undefined)) return undefined
  const duration = measureOf(view, 'duration')
  const name = kqlField(status.name)
  const inClass = (from: number) => `${name} >= ${from} and ${name} < ${from + 100}`
  const failed = inClass(500)
  const overTime = seriesOverTime(
    view,
    'over-time',
    'Requests over time, by status',
    [
      { label: '2xx', query: inClass(200), color: colors.good },
      { label: '3xx', query: inClass(300), color: colors.calm },
      { label: '4xx', query: inClass(400), color: colors.warning },
      { label: '5xx', query: failed, color: colors.bad },
    ],
    duration === undefined ? 48 : 28,
  )
  const failures = share('n', 'Server errors', failed, 1)
  return {
    controls: present(status, method, path),
    shown: present(status, path),
    numbers: [
      numberPanel(view, 'failed', 'Server errors', failures, 'of all requests'),
      ...(duration === undefined ? [] : [slowest(view, duration)]),
    ],
    rows: [
      {
        height: 12,
        panels: [overTime, ...(duration === undefined ? [] : [course(view, duration, 20)])],
      },
      {
        height: 12,
        panels: [
          ...(path === undefined ? [] : [paths(view, path, failed, duration)]),
          { ...topValues(view, status), width: path === undefined ? 48 : 16 },
        ],
      },
    ],
  }
}

function isHttpStatus(field: DescribedField): field is NumberField {
  if (!isNumber(field) || !field.isWhole || field.present < 0.5) return false
  if (field.min < 100 || field.max > 599) return false
  return (
    /(^|[._])(http_)?(status|code|response)(_?code)?$/i.test(field.name) && field.distinct <= 60
  )
}

function slowest(view: View, duration: NumberField): Panel {
  const columns = { n: of(view, { percentile: 95 }, duration, label(duration)) }
  return numberPanel(view, 'slowest', label(duration), columns, '95 % are below')
}

/** The paths with the most requests, how long they take and how often they fail. */
function paths(
  view: View,
  path: DescribedField,
  failed: string,
  duration: NumberField | undefined,
): Panel {
  const bytes = measureOf(view, 'bytes')
  return {
    id: 'paths',
    title: `Requests by ${label(path)}`,
    width: 32,
    chart: table({
      ...view.source,
      columns: {
        path: topOf(path, { by: 'n', size: 15 }),
        n: count('Requests'),
        ...(duration === undefined
          ? {}
          : {
              median: of(view, 'median', duration, 'Median'),
              p95: of(view, { percentile: 95 }, duration, '95 %'),
            }),
        failed: count('5xx', { filter: failed }),
        ...(bytes === undefined ? {} : { bytes: of(view, 'sum', bytes, label(bytes)) }),
      },
      sortBy: 'n',
      widths: { n: 115, median: 95, p95: 95, failed: 75, bytes: 105 },
    }),
  }
}
