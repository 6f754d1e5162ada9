import { type Goal, goalRatio, type Result, type Run, type Summary, type Table } from './run.ts'
import { spread } from './statistics.ts'
import { type Column, figure, markdownTable, textTable, usedColumns } from './table.ts'

const megabytes = (bytes: number | undefined, digits = 1) =>
  bytes === undefined ? undefined : figure(bytes / 1e6, digits)

const columns: readonly Column<Summary>[] = [
  { title: '', cell: ({ name }) => name },
  { title: 'records/s', cell: ({ recordsPerSecond }) => figure(recordsPerSecond, 0) },
  { title: 's', cell: ({ seconds }) => figure(seconds) },
  { title: 's w/o start', cell: ({ workSeconds }) => figure(workSeconds) },
  {
    title: '± %',
    cell: ({ runs }) => figure((spread(runs.map(({ seconds }) => seconds)) ?? 0) * 50, 0),
  },
  { title: 'ratio', cell: ({ ratio }) => figure(ratio) },
  { title: 'ratio w/o start', cell: ({ workRatio }) => figure(workRatio) },
  { title: 'CPU s/M', cell: ({ cpu }) => figure(cpu) },
  { title: 'w/o start', cell: ({ workCpu }) => figure(workCpu) },
  { title: 'engine s/M', cell: ({ engineCpu }) => figure(engineCpu) },
  { title: 'broker s/M', cell: ({ brokerCpu }) => figure(brokerCpu) },
  { title: '× floor', cell: ({ overFloor }) => figure(overFloor) },
  {
    title: 'RSS MB',
    cell: ({ peakBytes }) => (peakBytes === 0 ? undefined : megabytes(peakBytes, 0)),
  },
  { title: 'files MB', cell: ({ fileBytes }) => megabytes(fileBytes) },
  { title: 'index MB', cell: ({ indexBytes }) => megabytes(indexBytes) },
  { title: 'loop', cell: ({ loopBusy }) => figure(loopBusy) },
  { title: 'other load', cell: ({ otherCores }) => figure(otherCores) },
]

/** What the columns mean, for a reader who sees them for the first time. */
export const legend = [
  'Medians of the rounds. s: from the start of the process to its end; w/o start: without loading, connecting and joining.',
  "ratio: speed divided by the rival's, whose own start-up does not count. ± %: half the distance of the fastest from the slowest.",
  'CPU s/M: CPU seconds per million records, of the process, of Elasticsearch or the object store (engine) and of Kafka (broker).',
  '× floor: time divided by (CPU of all three / cores); 1 is a machine that is never idle. loop: how busy the event loop was.',
  'other load: cores that anything else took, the host included; above 0.2 a figure is not worth much.',
]

function goalLine(goal: Goal): string {
  const ratio = goalRatio(goal)
  const verdict = ratio === undefined ? 'not measured' : ratio >= 1 ? 'met' : 'MISSED'
  const bound = goal.kind === 'most' ? 'at most' : 'at least'
  return `${verdict}: ${goal.text}: ${figure(goal.value) ?? '–'}, ${bound} ${figure(goal.limit)} (${figure(ratio) ?? '–'} of the goal)`
}

/** Who else worked, over all rounds: the highest that was seen of each. */
function otherNames(summaries: readonly Summary[]): string[] {
  const most = new Map<string, number>()
  for (const { otherLoad } of summaries.flatMap(({ runs }) => runs as readonly Run[])) {
    for (const text of otherLoad.names) {
      const [, name, cores] = /^(.*) ([\d.]+)$/.exec(text)!
      most.set(name!, Math.max(most.get(name!) ?? 0, Number(cores)))
    }
    if (otherLoad.stolen >= 0.03)
      most.set('taken by the host', Math.max(most.get('taken by the host') ?? 0, otherLoad.stolen))
  }
  return [...most]
    .sort(([, a], [, b]) => b - a)
    .map(([name, cores]) => `${name} ${cores.toFixed(2)}`)
}

function otherLine(summaries: readonly Summary[]): string[] {
  const names = otherNames(summaries)
  return names.length === 0 ? [] : [`other load, at most in a round, in cores: ${names.join(', ')}`]
}

const columnsOf = (table: Table): readonly Column<Table['rows'][number]>[] =>
  table.columns.map((title, i) => ({ title, cell: (row) => row[i] }))

export function textReport({ title, summaries, goals, notes, tables = [] }: Result): string {
  return [
    '',
    title,
    ...(summaries.length === 0 ? [] : [textTable(usedColumns(columns, summaries), summaries)]),
    ...tables.map((table) => textTable(columnsOf(table), table.rows)),
    ...goals.map(goalLine),
    ...notes,
    ...otherLine(summaries),
  ].join('\n')
}

export function markdownReport({ title, summaries, goals, notes, tables = [] }: Result): string {
  return [
    `### ${title}`,
    '',
    ...(summaries.length === 0
      ? []
      : [markdownTable(usedColumns(columns, summaries), summaries), '']),
    ...tables.flatMap((table) => [markdownTable(columnsOf(table), table.rows), '']),
    ...[...goals.map(goalLine), ...notes, ...otherLine(summaries)].map((line) => `- ${line}`),
    '',
  ].join('\n')
}
