import type { Panel, Row } from '../../dashboard.ts'
import { archiveDataViews } from '../../data-views.ts'
import { byQuery, byTime, count, xy } from '../../lens.ts'
import { quoted } from '../../saved-object.ts'
import { distinctNames, plainName } from '../../text.ts'
import { label, ownName } from './names.ts'
import type { View } from './view.ts'

const maxConflicts = 12

/** Values that their field could not take, and records that were rejected for one. */
export function conflictRow(view: View, indexPrefix: string): Row | undefined {
  const { fields, rejecting = [], type } = view.described
  const ignored = fields
    .filter((field) => (field.ignored ?? 0) > 0)
    .sort((a, b) => b.ignored! - a.ignored! || (a.name < b.name ? -1 : 1))
    .slice(0, maxConflicts)
  const rejects = rejecting.slice(0, maxConflicts)
  const panels: Panel[] = []
  if (ignored.length > 0) {
    const names = distinctNames(ignored.map(label))
    panels.push({
      id: 'ignored',
      title: 'Values that their field could not take (kept, not searchable)',
      width: 24,
      chart: bars(
        view.source,
        names.map((name, i) => [name, `_ignored : ${quoted(ignored[i]!.name)}`]),
      ),
    })
  }
  if (rejects.length > 0) {
    const names = distinctNames(rejects.map(({ name }) => plainName(ownName(name))))
    panels.push({
      id: 'rejects',
      title: 'Records that Elasticsearch rejected, by the field',
      width: 24,
      chart: bars(
        { dataView: archiveDataViews(indexPrefix).rejected, query: `type : ${quoted(type)}` },
        names.map((name, i) => [name, `error.reason : ${quoted(rejects[i]!.name)}`]),
      ),
    })
  }
  if (panels.length === 0) return undefined
  const most = Math.max(ignored.length, rejects.length)
  return {
    height: 9 + Math.ceil(most / 3),
    panels: panels.map((panel) => ({ ...panel, width: 48 / panels.length })),
  }
}

/** Conflicts over time, one color a field. */
function bars(source: View['source'], queries: readonly (readonly [string, string])[]) {
  return xy({
    ...source,
    columns: {
      field: byQuery('Field', Object.fromEntries(queries)),
      time: byTime(),
      n: count(),
    },
    as: 'bar_stacked',
    x: 'time',
    y: ['n'],
    split: 'field',
    wideLegend: true,
  })
}
