import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { IndexNames } from '../../src/elasticsearch/index-name.ts'
import { rejectedDocument } from '../../src/elasticsearch/rejected.ts'
import { StatusWriter, statusIndex } from '../../src/elasticsearch/status.ts'
import {
  type IndexProfile,
  indexProfiles,
} from '../../src/elasticsearch/templates/index-profile.ts'
import { installTemplates } from '../../src/elasticsearch/templates/install.ts'
import type { SavedObject } from '../../src/kibana/saved-object.ts'
import { shippedObjects } from '../../src/kibana/shipped.ts'
import { StatusDocuments } from '../../src/monitor/status-documents.ts'
import { Observations } from '../../src/pipeline/observer.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import { lineStart, type SourceRecord } from '../../src/record/record.ts'
import { msPerDay } from '../../src/record/time.ts'
import { createLogger } from '../../src/runtime/log.ts'
import type { Kind } from '../../src/traffic/data/kinds/kind.ts'
import { type KindName, kinds } from '../../src/traffic/data/kinds.ts'
import { RecordMaker } from '../../src/traffic/data/record-maker.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { type PanelSearch, panelSearches, panelsOf, searchBody } from '../helpers/saved-objects.ts'
import {
  elasticsearch,
  elasticsearchUrl,
  indexPrefix,
  temporaryDirectory,
  uniqueName,
} from '../helpers/servers.ts'
import { startKibana } from '../helpers/stand-in-kibana.ts'

const quiet = createLogger({ level: 'silent', stream: process.stderr })
const types = kinds.mixed.shapes.map(({ type }) => type)
const count = 3000

async function openClient(t: TestContext): Promise<Elasticsearch> {
  const client = new Elasticsearch({
    nodes: [elasticsearchUrl],
    compression: false,
    requestTimeoutMs: 60_000,
  })
  t.after(() => client.close())
  await client.detect()
  return client
}

/**
 * The generator's records under a prefix of their own, as the archiver stores them; some are
 * malformed, some rejected.
 */
async function fillArchive(
  t: TestContext,
  profile: IndexProfile,
  {
    kind = kinds.mixed,
    mapped = {},
  }: { kind?: Kind; mapped?: Readonly<Record<string, unknown>> } = {},
): Promise<string> {
  const prefix = indexPrefix(t)
  const client = await openClient(t)
  await installTemplates(client, prefix, quiet, { profile })
  const types = kind.shapes.map(({ type }) => type)
  // Kinds of messages with many types have one day of each.
  const to = kind === kinds.mixed ? Date.now() : Math.floor(Date.now() / msPerDay) * msPerDay - 1
  const malformed = kind === kinds.mixed ? 0.03 : 0
  const topics = [{ name: 'shop', partitions: 1 }]
  const history = { count, from: to - 86_000_000, to }
  const maker = new RecordMaker({ seed: 3, kind, types, topics, malformed, history })
  const records = Array.from({ length: count }, (_, offset): SourceRecord => {
    const { timestamp, key, value } = maker.make(offset)
    const bytes = (text: string | Buffer | null) => (text === null ? null : Buffer.from(text))
    return { offset, timestamp, key: bytes(key), value: bytes(value), headers: [] }
  })
  const encoder = new LineEncoder({ from: 'value', path: kind.typePath.split('.') })
  const batch = encoder.encode({ topic: 'shop', partition: 0, from: 0, next: count, records })
  const names = new IndexNames(prefix)
  const lines: string[] = []
  const indices = new Set<string>()
  for (let i = 0; i < batch.count; i++) {
    const type = batch.types[batch.typeIndexes[i]!]!
    const isRejected = !type.reserved && i % 100 === 0
    const index = isRejected ? names.rejected(batch.hours[i]!) : names.of(type, batch.hours[i]!)
    const document = isRejected
      ? rejectedDocument(batch, i, {
          type: 'document_parsing_exception',
          reason: 'failed to parse field [value.retry] of type [boolean] in document',
        })
      : batch.lines.subarray(lineStart(batch, i), batch.ends[i]!)
    if (!type.reserved && !isRejected) indices.add(index)
    lines.push(`{"create":{"_index":"${index}","_id":"shop+0+${i}"}}\n`, document.toString('utf8'))
  }
  if (Object.keys(mapped).length > 0) {
    const value = { properties: mapped }
    for (const index of indices)
      await elasticsearch('PUT', `/${index}`, { mappings: { properties: { value } } })
  }
  const answer = await elasticsearch<{ items: { create: { error?: unknown } }[] }>(
    'POST',
    '/_bulk',
    lines.join(''),
  )
  const errors = answer.items.flatMap(({ create: { error } }) => error ?? [])
  // Two services do not agree about `retry`, which is a boolean here and an object there.
  const others = errors.filter((error) => !JSON.stringify(error).includes('retry'))
  assert.deepEqual(others, [])
  assert.ok(errors.length < count / 100, `${errors.length} were refused`)
  await elasticsearch('POST', `/${prefix}*/_refresh`)
  return prefix
}

/**
 * What a worker of its own says, of a run in which everything went wrong once. Returns its name.
 */
async function fillStatus(t: TestContext, prefix: string): Promise<string> {
  const client = await openClient(t)
  await installTemplates(client, prefix, quiet)
  const worker = uniqueName('worker')
  t.after(() => removeStatus(worker))
  const counts = {
    records: 0,
    bytes: 0,
    acknowledged: new Map([['files', 0]]),
    acknowledgedBytes: new Map([['files', 0]]),
    lostOffsets: 0,
    oversizedRecords: 0,
    rebalances: 0,
    fenced: 0,
    commitFailures: 0,
    missingGroupOffsets: 0,
    pauses: 0,
  }
  const observations = new Observations()
  const tp = {
    topic: 'shop',
    partition: 0,
    state: 'open',
    position: 900,
    committed: 100,
    lag: 50,
  } as const
  const documents = new StatusDocuments({
    worker: { counts, status: () => [{ ...tp, waiting: 'paused until the sinks have room' }] },
    sinks: [{ name: 'files', heldBytes: 10, waiting: 'no space left' }],
    observations,
    memoryBudget: 1000,
  })
  t.after(() => documents.stop())
  Object.assign(counts, {
    records: 900,
    bytes: 90_000,
    lostOffsets: 7,
    rebalances: 1,
    fenced: 1,
    pauses: 1,
  })
  counts.acknowledged.set('files', 100)
  counts.acknowledgedBytes.set('files', 10_000)
  observations.done('files', 12)
  observations.happened('elasticsearch', 'retry', 'cluster_block_exception', 3)
  observations.happened('elasticsearch', 'reject', 'document_parsing_exception', 2)
  const writer = new StatusWriter({
    client: await openClient(t),
    origin: { worker, host: 'here', group: 'group', index_prefix: prefix },
    documents: (intervalS) => documents.take(intervalS),
    intervalMs: 3_600_000,
    log: quiet,
  })
  // Stopping writes what there is to say.
  await writer.stop()
  await elasticsearch('POST', `/${statusIndex(new Date())}/_refresh`)
  return worker
}

async function statusOf(
  worker: string,
): Promise<readonly { _id: string; _index: string; _source: Record<string, unknown> }[]> {
  const { hits } = await elasticsearch<{
    hits: { hits: { _id: string; _index: string; _source: Record<string, unknown> }[] }
  }>('POST', '/archiver-status-*/_search', { size: 1000, query: { term: { worker } } })
  return hits.hits
}

async function removeStatus(worker: string): Promise<void> {
  const found = await statusOf(worker)
  const lines = found.map(({ _id, _index }) => `${JSON.stringify({ delete: { _index, _id } })}\n`)
  if (lines.length > 0) await elasticsearch('POST', '/_bulk', lines.join(''))
}

/**
 * Runs the search of every panel; each must find records, and give every group and number that it
 * draws something to show.
 */
async function checkPanels(
  dashboard: SavedObject,
  objects: readonly SavedObject[],
  filterOf: (search: PanelSearch) => unknown = () => undefined,
): Promise<number> {
  const searches = panelSearches(dashboard, objects)
  for (const search of searches) {
    const where = `${dashboard.id}: ${search.panel}`
    const answer = await elasticsearch<{
      hits: { total: { value: number } }
      _shards: { failed: number }
      aggregations?: Record<string, unknown>
    }>('POST', `/${encodeURIComponent(search.index)}/_search`, searchBody(search, filterOf(search)))
    assert.equal(answer._shards.failed, 0, where)
    assert.ok(answer.hits.total.value > 0, `${where} finds nothing`)
    checkFilled(where, search, answer.aggregations ?? {})
  }
  return searches.length
}

function checkFilled(
  where: string,
  { columns }: PanelSearch,
  aggregations: Record<string, unknown>,
): void {
  for (const [id, value] of Object.entries(aggregations)) {
    const column = columns[id]
    if (column === undefined) continue
    if (!column.isBucketed) {
      const { value: number, doc_count: documents } = value as {
        value?: number | null
        doc_count?: number
      }
      assert.ok(number !== null || documents === 0, `${where}: ${id} has no value`)
      continue
    }
    const { buckets } = value as { buckets: Record<string, Bucket> | readonly Bucket[] }
    const filled = Object.values(buckets).filter(({ doc_count }) => doc_count > 0)
    assert.ok(filled.length > 0, `${where}: there is no group of ${column.sourceField ?? id}`)
  }
}

interface Bucket {
  readonly doc_count: number
}

/** The objects that `dashboard` writes for a type. */
async function dashboardOf(t: TestContext, prefix: string, type: string): Promise<SavedObject[]> {
  const file = join(await temporaryDirectory(t), 'dashboard.ndjson')
  const argv = ['--type', type, '--index-prefix', prefix, '--out', file]
  const { code, output } = await runArchiver(t, ['dashboard', ...argv])
  assert.equal(code, 0, output)
  const text = await readFile(file, 'utf8')
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as SavedObject)
}

const date = { type: 'date' }
const timed = { type: 'double', fields: { date: { type: 'date', format: 'epoch_millis' } } }
/** As `archiver mapping` maps some of the fields. */
const mappedShop = {
  placed_at: date,
  total: { type: 'double', coerce: true },
  // Reads dates alone.
  delivery: {
    properties: { date: { ...date, format: 'uuuu-MM-dd' }, location: { type: 'geo_point' } },
  },
  client: { properties: { ip: { type: 'ip' } } },
}

interface Expected {
  /** Fields of the values that are mapped as they are, by hand. */
  readonly mapped?: Readonly<Record<string, unknown>>
  /** By type: panels that must be there, and some that must not. */
  readonly types: Readonly<
    Record<string, { readonly there: readonly string[]; readonly absent: readonly string[] }>
  >
}

const expected: Readonly<Record<Exclude<KindName, 'mixed'>, Expected>> = {
  shop: {
    mapped: mappedShop,
    types: {
      order: {
        there: [
          'over-time',
          'currencies',
          'states',
          'state-amounts',
          'failed',
          'amounts',
          'time-value.delivery.date',
          'time-value.placed_at',
          'map-value.delivery.location',
          'ignored',
          'rejects',
        ],
        absent: [
          'top-value.status',
          'distribution-value.total',
          'distribution-value.delivery.location.lat',
          'sum',
        ],
      },
    },
  },
  cdc: {
    mapped: { ts_ms: timed },
    types: {
      orders: {
        there: ['over-time', 'lag', 'lag-over-time', 'tables'],
        absent: [
          'time-value.ts_ms.date',
          'distribution-value.ts_ms',
          'distribution-value.source.ts_ms',
          'top-value.op',
        ],
      },
    },
  },
  cloudevents: {
    types: {
      'com.example.payment.captured': {
        there: ['over-time', 'family', 'distribution-value.data.took_ms'],
        absent: ['top-value.source'],
      },
    },
  },
  logs: {
    types: {
      'log.access': {
        there: ['over-time', 'failed', 'slowest', 'paths', 'course-value.duration_ms'],
        absent: ['top-value.path'],
      },
      'log.app': {
        there: ['over-time', 'errors', 'error-share', 'services', 'errors-0', 'errors-1'],
        absent: ['top-value.severityText', 'distribution-value.severityNumber'],
      },
    },
  },
}

for (const [name, { mapped = {}, types }] of Object.entries(expected)) {
  test(`dashboards for ${name}: the first screen says what such messages are about`, async (t) => {
    const prefix = await fillArchive(t, 'standard', { kind: kinds[name as KindName], mapped })
    for (const [type, { there, absent }] of Object.entries(types)) {
      const objects = await dashboardOf(t, prefix, type)
      const dashboard = objects.at(-1)!
      assert.ok((await checkPanels(dashboard, objects)) >= 5)
      const panels = panelsOf(dashboard).map(({ panelIndex }) => panelIndex)
      assert.deepEqual(
        there.filter((id) => !panels.includes(id)),
        [],
        `of ${panels.join(' ')}`,
      )
      assert.deepEqual(
        absent.filter((id) => panels.includes(id)),
        [],
      )
    }
  })
}

test('a dashboard of a type whose fields have odd names', async (t) => {
  const prefix = indexPrefix(t)
  await installTemplates(await openClient(t), prefix, quiet)
  const lines = Array.from({ length: 20 }, (_, i) => {
    const value = {
      type: 'odd',
      '*': i,
      'a "b"': `v${i % 3}`,
      "it's": i / 8,
      'not or': `w${i % 2}`,
    }
    const at = { '@timestamp': '2026-11-01T00:00:00.000Z', type: 'odd' }
    const action = { create: { _index: `${prefix}odd-2026.11.01`, _id: `t+0+${i}` } }
    return `${JSON.stringify(action)}\n${JSON.stringify({ ...at, value })}\n`
  })
  await elasticsearch('POST', '/_bulk?refresh=true', lines.join(''))
  const objects = await dashboardOf(t, prefix, 'odd')
  assert.ok((await checkPanels(objects.at(-1)!, objects)) >= 4)
})

for (const profile of indexProfiles) {
  test(`dashboards over an archive in profile ${profile}`, async (t) => {
    const prefix = await fillArchive(t, profile)

    await t.test('every panel of the shipped dashboards has something to show', async (t) => {
      const worker = await fillStatus(t, prefix)
      const objects = shippedObjects(prefix)
      const [overview, operations] = objects.filter(({ type }) => type === 'dashboard')
      assert.equal(await checkPanels(overview!, objects), 13)
      assert.equal(await checkPanels(operations!, objects, () => ({ term: { worker } })), 17)
    })

    await t.test(
      'a dashboard for a type: every panel has something to show, and types that differ have different ones',
      async (t) => {
        const titles: string[][] = []
        for (const type of types) {
          const objects = await dashboardOf(t, prefix, type)
          assert.deepEqual(
            objects.map((object) => object.type),
            // The rejects of the type have a data view of their own.
            ['index-pattern', 'index-pattern', 'search', 'dashboard'],
          )
          assert.ok(
            (await checkPanels(objects[3]!, objects)) >= (profile === 'standard' ? 10 : 1),
            type,
          )
          titles.push(panelSearches(objects[3]!, objects).map(({ panel }) => panel))
        }
        // Without indexed fields there is nothing to choose from but the envelope.
        if (profile === 'lean') return
        const has = (i: number, panel: string) => titles[i]!.includes(panel)
        assert.ok(
          has(0, 'states') &&
            has(0, 'rejects') &&
            has(0, 'top-value.channel') &&
            has(0, 'currencies') &&
            !has(0, 'top-value.route'),
        )
        assert.ok(
          has(1, 'paths') && has(1, 'distribution-value.latency_ms') && !has(1, 'top-value.site'),
        )
        assert.ok(
          has(2, 'top-value.site') &&
            has(2, 'distribution-value.reading.celsius') &&
            has(2, 'missing'),
        )
      },
    )

    await t.test('what is wrong with a dashboard is one line', async (t) => {
      const directory = await temporaryDirectory(t)
      const cases: readonly (readonly [readonly string[], number, string])[] = [
        [['--out', join(directory, 'a.ndjson')], 2, '--type is needed'],
        [['--type', 'object.one'], 2, '--kibana or --out is needed'],
        [['--type', 'object.one', '--out', join(directory, 'a.json')], 2, '.ndjson'],
        [
          ['--type', 'object.one', '--out', join(directory, 'no', 'a.ndjson')],
          2,
          'cannot be written',
        ],
        [['--type', 'object.one', '--kibana', 'localhost:5601'], 2, 'http://host:port'],
        [
          ['--type', 'none', '--out', join(directory, 'a.ndjson')],
          1,
          '"object.one", "object.two", "object.three"',
        ],
        [
          ['--type', 'object.one', '--kibana', elasticsearchUrl, '--kibana-wait', '0'],
          1,
          'what answers there is not Kibana',
        ],
      ]
      for (const [argv, expected, words] of cases) {
        const { code, output } = await runArchiver(t, [
          'dashboard',
          '--index-prefix',
          prefix,
          '--log-level',
          'error',
          ...argv,
        ])
        assert.equal(code, expected, output)
        assert.ok(output.includes(words), output)
        assert.equal(output.trim().split('\n').length, 1, output)
      }
    })
  })
}

test('setup puts dashboards into Kibana, once; --check tells and changes nothing', async (t) => {
  const prefix = indexPrefix(t)
  const kibana = await startKibana(t)
  const setup = (...argv: string[]) =>
    runArchiver(t, ['setup', '--index-prefix', prefix, '--kibana', kibana.url, ...argv])
  const missing = await setup('--check')
  assert.equal(missing.code, 1)
  assert.match(missing.output, /dashboard archiver-operations .*missing/)
  assert.equal(kibana.imports.length, 0)
  const first = await setup()
  assert.equal(first.code, 0, first.output)
  assert.match(first.output, /10 of 10 objects were imported/)
  const second = await setup()
  assert.match(second.output, /nothing to do: /)
  assert.equal(kibana.imports.length, 1)
  const checked = await setup('--check')
  assert.equal(checked.code, 0, checked.output)
  const alone = await runArchiver(t, [
    'setup',
    '--no-elasticsearch',
    '--index-prefix',
    prefix,
    '--kibana',
    kibana.url,
  ])
  assert.equal(alone.code, 0, alone.output)
})

test('status documents say what happened since the last ones, and a server that is away is in nobody’s way', async (t) => {
  const prefix = indexPrefix(t)
  const worker = await fillStatus(t, prefix)
  const documents = (await statusOf(worker)).map(({ _source }) => _source)
  const of = (kind: string) => documents.filter((document) => document.kind === kind)
  const [said] = of('worker')
  assert.deepEqual([said!.records, said!.bytes, said!.lag, said!.partitions], [900, 90_000, 50, 1])
  const [sink] = of('sink')
  assert.deepEqual(
    [sink!.records, sink!.bytes, sink!.operations, sink!.waiting],
    [100, 10_000, 1, 'no space left'],
  )
  assert.deepEqual(
    of('event')
      .map(({ event, count }) => `${String(event)} ${String(count)}`)
      .sort(),
    ['gap 7', 'pause 1', 'reject 2', 'retry 3'],
  )
  const away = new StatusWriter({
    client: new Elasticsearch({
      nodes: ['http://127.0.0.1:9'],
      compression: false,
      requestTimeoutMs: 1000,
    }),
    origin: { worker, host: 'here', group: 'group', index_prefix: prefix },
    documents: () => [],
    intervalMs: 5,
    log: quiet,
  })
  const startedAt = performance.now()
  await away.stop()
  assert.ok(performance.now() - startedAt < 5000)
})
