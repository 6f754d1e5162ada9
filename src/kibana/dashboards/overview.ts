import { dashboardObject } from '../dashboard.ts'
import { archiveDataViews, archiveName, dateWidth } from '../data-views.ts'
import { byQuery, byTime, count, donut, number, share, statistic, table, top, xy } from '../lens.ts'
import { type SavedObject, searchObject } from '../saved-object.ts'

export const operationsId = 'archiver-operations'

/** The id of the overview of an archive. */
export function overviewId(indexPrefix: string): string {
  return `${indexPrefix}overview`
}

/** Close to the colors that Kibana gives the two in the next panel. */
const orange = '#da8b45'
const brown = '#aa6556'

/** Searches of Discover for an archive. */
export function archiveSearches(indexPrefix: string): {
  readonly latest: SavedObject
  readonly rejected: SavedObject
  readonly malformed: SavedObject
  readonly position: SavedObject
} {
  const views = archiveDataViews(indexPrefix)
  const name = archiveName(indexPrefix)
  const newestFirst = [['@timestamp', 'desc']] as const
  return {
    latest: searchObject({
      id: `${indexPrefix}latest`,
      title: `${name}: latest records`,
      description: 'The newest records of all types, by the timestamp that Kafka has for them.',
      dataView: views.all,
      columns: ['type', 'kafka.topic', 'kafka.key', 'kafka.partition', 'kafka.offset'],
      sort: newestFirst,
      widths: { '@timestamp': 190 },
      rowHeight: 1,
    }),
    rejected: searchObject({
      id: `${indexPrefix}rejected-records`,
      title: `${name}: rejected records`,
      description:
        'Records that Elasticsearch refused as documents, and why. Their values are whole in the files, and here as text.',
      dataView: views.rejected,
      columns: [
        'error.reason',
        'error.type',
        'type',
        'kafka.topic',
        'kafka.partition',
        'kafka.offset',
        'value_text',
      ],
      sort: newestFirst,
      widths: { '@timestamp': 190, 'error.reason': 520, 'error.type': 220 },
      rowHeight: 2,
    }),
    malformed: searchObject({
      id: `${indexPrefix}malformed-records`,
      title: `${name}: malformed messages`,
      description:
        'Messages that are not one JSON text in UTF-8, and what is wrong with them. The bytes are in value_base64.',
      dataView: views.malformed,
      columns: [
        'error.reason',
        'error.type',
        'kafka.topic',
        'kafka.partition',
        'kafka.offset',
        'kafka.key',
      ],
      sort: newestFirst,
      widths: { '@timestamp': 190, 'error.reason': 420, 'error.type': 180 },
      rowHeight: 1,
    }),
    position: searchObject({
      id: `${indexPrefix}position`,
      title: `${name}: follow a Kafka position`,
      description:
        'Records in the order of a partition. Narrow it down: kafka.topic : "events" and kafka.partition : 3 and kafka.offset >= 120045',
      dataView: views.all,
      columns: ['kafka.topic', 'kafka.partition', 'kafka.offset', 'type', 'kafka.key'],
      sort: [
        ['kafka.topic', 'asc'],
        ['kafka.partition', 'asc'],
        ['kafka.offset', 'asc'],
      ],
      widths: {
        '@timestamp': 190,
        'kafka.topic': 200,
        'kafka.partition': 110,
        'kafka.offset': 130,
      },
      rowHeight: 1,
    }),
  }
}

const whatToLookFor = `**What to look for** · [Is the archiver keeping up? → Archiver operations](#/view/${operationsId})
- A type that stops or doubles. Click a bar to filter, or to see its records in Discover.
- *Trouble*: **rejected** by Elasticsearch, or **malformed**, which is not JSON. Both are whole in the files.
- A partition far ahead of the others: a key does too much.
- *(missing value)*: messages without a type, and malformed ones.`

/** The dashboard «Archive overview». */
export function overviewDashboard(indexPrefix: string): SavedObject {
  const { all: dataView } = archiveDataViews(indexPrefix)
  const searches = archiveSearches(indexPrefix)
  const isRejected = `_index : ${indexPrefix}_rejected-*`
  const isMalformed = `_index : ${indexPrefix}_malformed-*`
  const trouble = `${isRejected} or ${isMalformed}`
  const firstAndLast = {
    first: statistic('min', '@timestamp', 'First', { date: true }),
    last: statistic('max', '@timestamp', 'Last', { date: true }),
  }
  return dashboardObject({
    id: overviewId(indexPrefix),
    title: `${archiveName(indexPrefix)} overview`,
    description:
      'What the archive holds: how much, by type, topic and key, and what is wrong with it.',
    from: 'now-24h',
    to: 'now',
    controls: [
      { id: 'control-type', field: 'type', title: 'Type', dataView },
      { id: 'control-kafka.topic', field: 'kafka.topic', title: 'Topic', dataView },
      { id: 'control-kafka.partition', field: 'kafka.partition', title: 'Partition', dataView },
    ],
    rows: [
      {
        height: 8,
        panels: [
          {
            id: 'records',
            title: 'Records',
            width: 5,
            chart: number({
              dataView,
              columns: { n: count('Records') },
              value: 'n',
              subtitle: 'archived',
            }),
          },
          {
            id: 'types',
            title: 'Types',
            width: 5,
            chart: number({
              dataView,
              columns: {
                n: statistic('unique_count', 'type', 'Types', { format: { id: 'number' } }),
              },
              value: 'n',
              subtitle: 'of messages',
            }),
          },
          {
            id: 'keys',
            title: 'Keys',
            width: 5,
            chart: number({
              dataView,
              columns: {
                n: statistic('unique_count', 'kafka.key', 'Keys', { format: { id: 'number' } }),
              },
              value: 'n',
              subtitle: 'different',
            }),
          },
          {
            id: 'trouble-share',
            title: 'Trouble',
            width: 5,
            chart: number({
              dataView,
              columns: share('n', 'Trouble', trouble, 3),
              value: 'n',
              subtitle: 'rejected or malformed',
            }),
          },
          { id: 'what-to-look-for', width: 28, markdown: whatToLookFor },
        ],
      },
      {
        height: 13,
        panels: [
          {
            id: 'by-type',
            title: 'Records by type over time',
            width: 33,
            chart: xy({
              dataView,
              columns: {
                type: top('type', 'Type', { by: 'n', other: true, missing: true }),
                time: byTime(),
                n: count(),
              },
              as: 'bar_stacked',
              x: 'time',
              y: ['n'],
              split: 'type',
              wideLegend: true,
            }),
          },
          {
            id: 'type-share',
            title: 'Share by type',
            width: 15,
            chart: donut({
              dataView,
              columns: {
                type: top('type', 'Type', { by: 'n', other: true, missing: true }),
                n: count(),
              },
              groups: ['type'],
              size: 'n',
            }),
          },
        ],
      },
      {
        height: 11,
        panels: [
          {
            id: 'per-type',
            title: 'Types',
            width: 28,
            chart: table({
              dataView,
              columns: {
                type: top('type', 'Type', { size: 100, by: 'n', other: true, missing: true }),
                n: count(),
                keys: statistic('unique_count', 'kafka.key', 'Keys', { format: { id: 'number' } }),
                ...firstAndLast,
              },
              sortBy: 'n',
              widths: { n: 110, keys: 75, first: dateWidth, last: dateWidth },
            }),
          },
          {
            id: 'by-topic-over-time',
            title: 'Records by topic over time',
            width: 20,
            chart: xy({
              dataView,
              columns: {
                topic: top('kafka.topic', 'Topic', { by: 'n', other: true }),
                time: byTime(),
                n: count(),
              },
              as: 'area_stacked',
              x: 'time',
              y: ['n'],
              split: 'topic',
              wideLegend: true,
            }),
          },
        ],
      },
      {
        height: 12,
        panels: [
          {
            id: 'partitions',
            title: 'Topics and partitions',
            width: 28,
            chart: table({
              dataView,
              columns: {
                topic: top('kafka.topic', 'Topic', { size: 20, by: 'n' }),
                partition: top('kafka.partition', 'Partition', { size: 100, dataType: 'number' }),
                n: count(),
                from: statistic('min', 'kafka.offset', 'First offset'),
                to: statistic('max', 'kafka.offset', 'Last offset'),
                last: firstAndLast.last,
              },
              widths: { partition: 95, n: 110, from: 100, to: 100, last: dateWidth },
            }),
          },
          {
            id: 'keys-active',
            title: 'Most active keys',
            width: 20,
            chart: table({
              dataView,
              columns: {
                key: top('kafka.key', 'Key', { size: 25, by: 'n' }),
                n: count(),
                types: statistic('unique_count', 'type', 'Types', { format: { id: 'number' } }),
                last: firstAndLast.last,
              },
              sortBy: 'n',
              widths: { n: 110, types: 80, last: dateWidth },
            }),
          },
        ],
      },
      {
        height: 11,
        panels: [
          {
            id: 'trouble-over-time',
            title: 'Trouble: rejected and malformed over time',
            width: 16,
            chart: xy({
              dataView,
              query: trouble,
              columns: {
                what: byQuery('What', { Malformed: isMalformed, Rejected: isRejected }),
                time: byTime(),
                n: count(),
              },
              as: 'bar_stacked',
              x: 'time',
              y: ['n'],
              split: 'what',
              legend: 'bottom',
            }),
          },
          {
            id: 'trouble-share-over-time',
            title: 'Trouble: share of all records',
            width: 10,
            chart: xy({
              dataView,
              columns: {
                time: byTime(),
                ...share('malformed', 'Malformed', isMalformed, 1),
                ...share('rejected', 'Rejected', isRejected, 1),
              },
              as: 'line',
              x: 'time',
              y: ['malformed', 'rejected'],
              legend: 'bottom',
              colors: { malformed: orange, rejected: brown },
            }),
          },
          {
            id: 'trouble-reasons',
            title: 'Trouble: why',
            width: 22,
            chart: table({
              dataView,
              query: trouble,
              columns: {
                error: top('error.type', 'Error', { size: 20, by: 'n' }),
                topic: top('kafka.topic', 'Topic', { size: 10, by: 'n' }),
                n: count(),
                last: firstAndLast.last,
              },
              sortBy: 'n',
              widths: { n: 110, last: dateWidth },
            }),
          },
        ],
      },
      {
        height: 15,
        panels: [{ id: 'latest', title: 'Latest records', width: 48, search: searches.latest }],
      },
    ],
  })
}
