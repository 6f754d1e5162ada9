import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { binsOf } from '../../../src/kibana/dashboards/type/bins.ts'
import {
  timeRange,
  typeDashboard,
  typeDashboardId,
} from '../../../src/kibana/dashboards/type/dashboard.ts'
import type {
  DescribedField,
  DescribedType,
} from '../../../src/kibana/dashboards/type/described.ts'
import { sortFields } from '../../../src/kibana/dashboards/type/fields.ts'
import { type Role, roleOf } from '../../../src/kibana/dashboards/type/roles.ts'
import { markOf, ndjson, type SavedObject } from '../../../src/kibana/saved-object.ts'
import { shippedObjects } from '../../../src/kibana/shipped.ts'
import { kqlFields, panelSearches, panelsOf, templateFields } from '../../helpers/saved-objects.ts'

const shipped = shippedObjects('archive-')
const dashboards = (objects: readonly SavedObject[]) =>
  objects.filter(({ type }) => type === 'dashboard')

/** What Kibana does not report: a wrong reference or an unknown column draws an empty panel. */
function checkObjects(objects: readonly SavedObject[]): void {
  const known = new Set(objects.map(({ type, id }) => `${type} ${id}`))
  assert.equal(known.size, objects.length, 'an id is used twice')
  for (const { type, id, references, attributes } of objects) {
    for (const reference of references) {
      assert.ok(
        known.has(`${reference.type} ${reference.id}`),
        `${type} ${id} needs ${reference.type} ${reference.id}`,
      )
    }
    const names = references.map(({ name }) => name)
    assert.equal(new Set(names).size, names.length, `${type} ${id}: a reference is named twice`)
    if (type !== 'index-pattern')
      assert.ok(markOf(attributes.description) !== undefined, `${type} ${id} is not marked`)
  }
  for (const dashboard of dashboards(objects)) {
    checkLayout(dashboard)
    for (const { panel, columns, columnOrder, drawn } of panelSearches(dashboard, objects)) {
      const where = `${dashboard.id}: ${panel}`
      assert.deepEqual([...columnOrder].sort(), Object.keys(columns).sort(), where)
      const bucketed = columnOrder.map((column) => columns[column]!.isBucketed)
      assert.ok(
        !bucketed.slice(bucketed.indexOf(false)).includes(true),
        `${where}: a group follows a number`,
      )
      assert.ok(drawn.length > 0, `${where} draws nothing`)
      for (const column of drawn) assert.ok(column in columns, `${where} draws ${column}`)
      for (const [column, { references = [], params }] of Object.entries(columns)) {
        for (const needed of references)
          assert.ok(needed in columns, `${where}: ${column} needs ${needed}`)
        const ordering = params?.orderBy?.columnId
        if (ordering !== undefined)
          assert.ok(ordering in columns, `${where}: ${column} is ordered by ${ordering}`)
      }
    }
  }
}

function checkLayout(dashboard: SavedObject): void {
  const panels = panelsOf(dashboard)
  const ids = new Set(panels.map(({ panelIndex }) => panelIndex))
  assert.equal(ids.size, panels.length, `${dashboard.id}: a panel is there twice`)
  for (const panel of panels) {
    const { x, y, w, h, i } = panel.gridData
    const where = `${dashboard.id}: ${panel.panelIndex}`
    assert.equal(i, panel.panelIndex, where)
    assert.ok(x + w <= 48 && w >= 4 && h >= 4, where)
    if (panel.panelRefName !== undefined) {
      assert.ok(
        dashboard.references.some(({ name }) => name === `${i}:${panel.panelRefName}`),
        where,
      )
    }
    for (const reference of panel.embeddableConfig.attributes?.references ?? []) {
      const same = dashboard.references.find(({ name }) => name === `${i}:${reference.name}`)
      assert.deepEqual(
        { type: same?.type, id: same?.id },
        { type: reference.type, id: reference.id },
        where,
      )
    }
    for (const other of panels) {
      if (other === panel) continue
      const theirs = other.gridData
      const apart =
        x + w <= theirs.x ||
        theirs.x + theirs.w <= x ||
        y + h <= theirs.y ||
        theirs.y + theirs.h <= y
      assert.ok(apart, `${where} lies over ${other.panelIndex}`)
    }
  }
}

test('the file for an import by hand is what the builder makes', () => {
  const file = readFileSync(new URL('../../../kibana/archiver.ndjson', import.meta.url), 'utf8')
  assert.equal(file, ndjson(shipped), 'run npx tsx kibana/build.ts')
})

test('every Kibana from 8.12 on understands the stamps', () => {
  const newest = { 'index-pattern': '8.0.0', search: '8.0.0', lens: '8.9.0', dashboard: '8.9.0' }
  for (const { type, coreMigrationVersion, typeMigrationVersion } of shipped) {
    assert.equal(coreMigrationVersion, '8.8.0')
    assert.equal(typeMigrationVersion, newest[type])
  }
})

test('whatever a shipped object needs is there, and drawn', () => checkObjects(shipped))

test('with another prefix, the objects are others, but for what is about the workers', () => {
  const other = shippedObjects('plant-')
  checkObjects(other)
  const shared = other
    .filter(({ id }) => shipped.some((object) => object.id === id))
    .map(({ id }) => id)
  assert.deepEqual(shared, ['archiver-status', 'archiver-operations'])
  const views = other
    .filter(({ type }) => type === 'index-pattern')
    .map(({ attributes }) => attributes.title)
  assert.deepEqual(views, [
    'plant-*',
    'plant-_rejected-*',
    'plant-_malformed-*',
    'archiver-status-*',
  ])
})

test('every field that a shipped object names is one of the templates', () => {
  const isMeta = (field: string) => field === '_index' || field === '___records___'
  const fieldsOf = new Map(
    shipped
      .filter(({ type }) => type === 'index-pattern')
      .map(({ id, attributes }) => [id, templateFields(attributes.title as string)]),
  )
  const check = (where: string, view: string, fields: readonly (string | undefined)[]) => {
    for (const field of fields) {
      if (field !== undefined && !isMeta(field))
        assert.ok(fieldsOf.get(view)!.has(field), `${where}: ${field}`)
    }
  }
  for (const object of shipped) {
    const { id, type, attributes, references } = object
    if (type === 'index-pattern') {
      const formats = JSON.parse(attributes.fieldFormatMap as string) as Record<string, unknown>
      check(id, id, ['@timestamp', ...Object.keys(formats)])
      check(
        id,
        id,
        Object.keys(JSON.parse(attributes.fieldAttrs as string) as Record<string, unknown>),
      )
    }
    if (type === 'search') {
      const sort = attributes.sort as [string, string][]
      check(id, references[0]!.id, [
        ...(attributes.columns as string[]),
        ...sort.map(([field]) => field),
      ])
    }
    if (type !== 'dashboard') continue
    for (const { panel, index, kql, columns } of panelSearches(object, shipped)) {
      const view = shipped.find(({ attributes: { title } }) => title === index)!.id
      check(`${id}: ${panel}`, view, kqlFields(kql))
      for (const { sourceField, operationType, filter, params } of Object.values(columns)) {
        check(`${id}: ${panel}`, view, [sourceField])
        for (const query of [
          filter?.query,
          ...(params?.filters ?? []).map(({ input }) => input.query),
        ]) {
          check(`${id}: ${panel}`, view, kqlFields(query ?? ''))
        }
        const isText = fieldsOf.get(view)!.get(sourceField ?? '') === 'text'
        assert.ok(
          !(isText && operationType === 'terms'),
          `${id}: ${panel} groups by the words of ${sourceField}`,
        )
      }
    }
    const controls = JSON.parse(
      (attributes.controlGroupInput as { panelsJSON: string }).panelsJSON,
    ) as Record<string, { readonly explicitInput: { readonly fieldName: string } }>
    for (const [control, { explicitInput }] of Object.entries(controls)) {
      const reference = references.find(
        ({ name }) => name === `controlGroup_${control}:optionsListDataView`,
      )
      check(`${id}: ${control}`, reference!.id, [explicitInput.fieldName])
    }
  }
})

test('both dashboards link to each other', () => {
  const links = dashboards(shipped).map((dashboard) => {
    const markdown = panelsOf(dashboard).flatMap(
      ({ embeddableConfig }) => embeddableConfig.savedVis?.params.markdown ?? [],
    )
    return [...markdown.join('').matchAll(/#\/view\/([\w-]+)/g)].map(([, id]) => id)
  })
  assert.deepEqual(links, [['archiver-operations'], ['archive-overview']])
})

// Dashboards for any type.

const field = (name: string, rest: Partial<DescribedField> = {}): DescribedField => ({
  name: `value.${name}`,
  kind: 'string',
  present: 1,
  distinct: 5,
  ...rest,
})
const numeric = (name: string, rest: Partial<DescribedField> = {}): DescribedField =>
  field(name, {
    kind: 'number',
    isWhole: false,
    min: 0,
    max: 100,
    low: 1,
    high: 90,
    distinct: 900,
    ...rest,
  })
const described = (
  fields: readonly DescribedField[],
  rest: Partial<DescribedType> = {},
): DescribedType => ({
  type: 'object.one',
  indexPattern: 'archive-object.one-*',
  records: 10_000,
  first: Date.UTC(2026, 10, 1),
  last: Date.UTC(2026, 10, 2),
  fields,
  conflicting: [],
  ...rest,
})
const now = Date.UTC(2026, 10, 2, 6)

test('fields are sorted by what they are good for', () => {
  const sorted = sortFields(
    described([
      field('country', { distinct: 10 }),
      field('status', { distinct: 6 }),
      field('order_id', { distinct: 9_990 }),
      field('version', { distinct: 1 }),
      field('coupon', { present: 0.1 }),
      field('never', { present: 0.0001 }),
      numeric('amount'),
      numeric('status_code', { isWhole: true, distinct: 8 }),
      numeric('counter', { isWhole: true, distinct: 9_990, max: 2 ** 52, high: 2 ** 51 }),
      field('vip', { kind: 'boolean', distinct: 2 }),
    ]),
  )
  const names = (fields: readonly DescribedField[]) =>
    fields.map(({ name }) => name.replace('value.', ''))
  assert.deepEqual(names(sorted.categories), ['status', 'status_code', 'country', 'vip', 'coupon'])
  assert.deepEqual(names(sorted.measures), ['amount'])
  assert.deepEqual(names(sorted.identifiers), ['order_id', 'counter'])
  assert.deepEqual(names(sorted.constants), ['version'])
  assert.deepEqual(names(sorted.partial), ['coupon'])
})

test('the same facts make the same dashboard, whatever the order of the fields', () => {
  const fields = [
    field('status'),
    field('country'),
    numeric('amount'),
    field('coupon', { present: 0.2 }),
  ]
  const once = ndjson(typeDashboard('archive-', described(fields), now))
  assert.equal(ndjson(typeDashboard('archive-', described(fields), now)), once)
})

const codes = { isWhole: true, min: 200, max: 504, low: 200, high: 404, distinct: 7 } as const
const family = ['a', 'b'].map((type) => ({ type, indexPattern: `archive-${type}-*`, records: 5 }))
const date = { kind: 'date', min: 0, max: 1.8e12, low: 1.79e12, high: 1.7901e12 } as const
/** Six days from the first date to the last, without a time. */
const [firstDay, lastDay] = [Date.UTC(2026, 10, 1), Date.UTC(2026, 10, 7)]
const days = { min: firstDay, low: firstDay, max: lastDay, high: lastDay }
/** Kinds of messages that open with panels of their own, with all of their fields and with few. */
const openings: Readonly<Record<string, DescribedType>> = {
  'requests with a path alone': described([numeric('status', codes), field('path')]),
  'requests with a method alone': described([numeric('status', codes), field('method')]),
  'requests with all': described([
    numeric('status', codes),
    field('http.method'),
    field('http.route'),
    numeric('duration_ms'),
    numeric('bytes', { isWhole: true }),
  ]),
  'logs of levels alone': described([field('level', { values: ['info', 'warn'] })]),
  'logs with all': described([
    field('severityText', { values: ['INFO', 'ERROR', 'odd', 'FATAL', 'WARN'] }),
    field('resource.service.name'),
    field('body'),
    field('attributes.exception.type', { present: 0.02 }),
  ]),
  'changes without times': described([
    field('op', { values: ['c', 'd', 'odd'] }),
    field('source.connector', { distinct: 1 }),
  ]),
  'changes with all': described(
    [
      field('op', { values: ['c', 'u', 'r', 't'] }),
      field('source.connector', { distinct: 1 }),
      numeric('source.ts_ms', { isWhole: true, min: 1.79e12, low: 1.79e12, high: 1.8e12 }),
      numeric('ts_ms', { isWhole: true, min: 1.79e12, low: 1.79e12, high: 1.8e12 }),
      field('ts_ms.date', { ...date, of: 'value.ts_ms' }),
    ],
    { family },
  ),
  'events alone': described([field('specversion', { distinct: 1 }), field('source')]),
  'events of several types': described([field('specversion', { distinct: 1 }), field('source')], {
    family,
  }),
  'money of one currency': described([numeric('total'), field('currency', { distinct: 1 })]),
  'money of several': described([numeric('total'), field('currency'), field('status')]),
  'dates, places and conflicts': described(
    [
      field('at', date),
      field('eta', { ...date, ...days, distinct: 7 }),
      field('where', { kind: 'place', distinct: 0 }),
      field('client', { kind: 'ip', ignored: 5 }),
      field('a:b', { ignored: 7, looksLike: 'number' }),
    ],
    { rejecting: [{ name: 'value.retry', records: 3 }] },
  ),
}

/** The panels of the dashboard of some facts, by their ids. */
function panelIds(facts: DescribedType): readonly string[] {
  return panelsOf(typeDashboard('archive-', facts, now).at(-1)!).map(({ panelIndex }) => panelIndex)
}

test('messages of a known kind open with panels of their own', () => {
  const has = (name: string, ...ids: readonly string[]) => {
    const panels = panelIds(openings[name]!)
    for (const id of ids) assert.ok(panels.includes(id), `${name}: ${id} of ${panels.join(' ')}`)
  }
  has('requests with a path alone', 'failed', 'paths')
  has('requests with a method alone', 'failed', 'top-value.status')
  has('requests with all', 'slowest', 'course-value.duration_ms', 'statistics-value.duration_ms')
  has('logs of levels alone', 'over-time')
  has('logs with all', 'errors', 'services', 'errors-0', 'errors-1')
  has('changes without times', 'over-time')
  has('changes with all', 'lag', 'tables', 'time-value.ts_ms.date')
  has('events of several types', 'family')
  has('money of one currency', 'sum', 'currencies')
  has('money of several', 'states')
  has('dates, places and conflicts', 'time-value.at', 'map-value.where', 'ignored', 'rejects')
  assert.ok(!panelIds(openings['money of several']!).includes('sum'), 'a sum of several currencies')
  assert.ok(!panelIds(openings['events alone']!).includes('family'))
})

test('a long text is in a table, never in a legend or beside a bar', () => {
  const facts = described([
    field('body', { length: 700, distinct: 5 }),
    field('zone', { length: 5, present: 0.5, distinct: 20 }),
  ])
  const dashboard = typeDashboard('archive-', facts, now)
  const asked = panelSearches(dashboard.at(-1)!, dashboard)
  const sourcesOf = (panel: string) =>
    Object.values(asked.find((search) => search.panel === panel)!.columns).map(
      ({ sourceField }) => sourceField,
    )
  assert.ok(sourcesOf('over-time').includes('value.zone'))
  const bodies = panelsOf(dashboard.at(-1)!).find(
    ({ panelIndex }) => panelIndex === 'top-value.body',
  )
  assert.match(JSON.stringify(bodies), /"visualizationType":"lnsDatatable"/)
})

test('a date far from all others does not stretch their histogram', () => {
  const dashboard = typeDashboard('archive-', openings['dates, places and conflicts']!, now)
  const asked = (panel: string) =>
    panelSearches(dashboard.at(-1)!, dashboard).find((search) => search.panel === panel)!
  assert.match(JSON.stringify(asked('time-value.at').filters), /"value\.at":\{"gte":"now-\d+d"/)
  assert.deepEqual(asked('time-value.eta').filters, [])
  // Seven days are seven bars.
  assert.equal(asked('time-value.eta').columns.time!.params!.interval, 'd')
})

test('a dashboard for any type holds together', async (t) => {
  const many = Array.from({ length: 400 }, (_, i) =>
    i % 3 === 0
      ? numeric(`group.number${i}`)
      : field(`group.text${i}`, { distinct: 2 + i, present: 1 - i / 500 }),
  )
  const cases: Readonly<Record<string, DescribedType>> = {
    'no fields at all': described([]),
    'one constant': described([field('a', { distinct: 1 })]),
    'numbers alone': described([
      numeric('a'),
      numeric('b', { min: -5, max: -5, low: -5, high: -5 }),
    ]),
    'hundreds of fields': described(many, { conflicting: ['value.x', 'value.y'] }),
    'names that KQL reads': described([
      field('a b:c', { present: 0.5 }),
      field('x(y)"z"', { present: 0.5 }),
    ]),
    'a type of odd letters': described([field('a')], { type: 'Über "x" / 注文' }),
    ...openings,
  }
  for (const [name, facts] of Object.entries(cases)) {
    await t.test(name, () => {
      const objects = typeDashboard('archive-', facts, now)
      checkObjects(objects)
      assert.equal(objects.at(-1)!.id, typeDashboardId('archive-', facts.type))
      assert.ok(panelsOf(objects.at(-1)!).length <= 40, 'more panels than anybody looks at')
    })
  }
})

const hostileNames = [
  '`![p](https://beacon.example/p.png?u=1)[Session expired, sign in](https://evil.example/login)`',
  'a\n\n# Forged heading',
  '```\ncode',
  '<b>bold</b> **bold** https://evil.example www.evil.example',
  ' leads and trails ',
  'a b',
  'or',
  'not and * "quoted" \\ back',
  'a:b',
  '\u202etxt.exe\u0007\u001b[31m',
  '',
  '   ',
  '\ud800',
  'x'.repeat(3000),
  `${'y'.repeat(200)}1`,
  `${'y'.repeat(200)}2`,
  '__proto__',
]

/**
 * What a Markdown renderer shows as anything but text: code spans are cut out by the rule of
 * CommonMark, section 6.1.
 */
function withoutCodeSpans(markdown: string): string {
  let rest = markdown
  let kept = ''
  for (;;) {
    const open = /`+/.exec(rest)
    if (open === null) return kept + rest
    const after = rest.slice(open.index + open[0].length)
    const close = [...after.matchAll(/`+/g)].find(([run]) => run === open[0])
    kept += rest.slice(0, open.index)
    rest = close === undefined ? after : after.slice(close.index + open[0].length)
  }
}

test('the names of types and fields are text, whatever they hold', () => {
  for (const hostile of hostileNames) {
    const fields = [
      field(hostile, { distinct: 1 }),
      field(`c${hostile}`, { present: 0.5 }),
      field(`d${hostile}`, { present: 0.4, distinct: 9_990 }),
      numeric(`m${hostile}`),
    ]
    const facts = described(fields, { type: hostile, conflicting: [`value.e${hostile}`] })
    const objects = typeDashboard('archive-', facts, now)
    checkObjects(objects)
    const markdown = panelsOf(objects.at(-1)!).flatMap(
      ({ embeddableConfig }) => embeddableConfig.savedVis?.params.markdown ?? [],
    )
    assert.equal(markdown.length, 1)
    const plain = withoutCodeSpans(markdown[0]!)
    assert.doesNotMatch(plain, /evil|beacon|Forged|bold|<|`/, hostile)
    assert.equal(plain.match(/\]\(/g)!.length, 1, 'only the link to the overview')
    const titles = objects.flatMap((object) => [
      String(object.attributes.title),
      String(object.attributes.name ?? ''),
      String(object.attributes.description ?? ''),
      ...(object.type === 'dashboard' ? panelsOf(object).map(({ title }) => title ?? '') : []),
    ])
    for (const title of titles) {
      assert.doesNotMatch(title, /[\p{Cc}\p{Cf}\p{Cs}]/u, hostile)
      assert.ok(title.length < 400, `${title.length} characters`)
    }
  }
})

test('missing fields are asked for by their quoted names, each under a label of its own', () => {
  const names = hostileNames.filter((name) => name.length < 1000)
  const long = ['1', '2'].map((end) => `${'z'.repeat(200)}${end}`)
  for (const group of [names.slice(0, 8), names.slice(8, 15), long]) {
    const fields = group.map((name) => field(name, { present: 0.5, distinct: 3 }))
    const dashboard = typeDashboard('archive-', described(fields), now)
    const found = panelSearches(dashboard.at(-1)!, dashboard)
    const columns = Object.values(found.find(({ panel }) => panel === 'missing')!.columns)
    const asked = columns.flatMap(({ filter }) => {
      if (filter === undefined) return []
      const [, plainName, quotedName] = /^not (?:([\w.@-]+)|"((?:[^"\\]|\\.)*)") : \*$/.exec(
        filter.query,
      )!
      if (plainName !== undefined) return plainName
      return quotedName!.replace(
        /\\(.)/g,
        (_, escaped: string) => ({ n: '\n', r: '\r', t: '\t' })[escaped] ?? escaped,
      )
    })
    assert.deepEqual(asked.sort(), group.map((name) => `value.${name}`).sort())
    const labels = columns.filter(({ operationType }) => operationType === 'formula')
    assert.equal(new Set(labels.map(({ label }) => label)).size, group.length)
  }
})

test('types that differ only in letters that ids lose have dashboards of their own', () => {
  const ids = ['order', 'Order', 'order/', 'order '].map((type) =>
    typeDashboardId('archive-', type),
  )
  assert.equal(new Set(ids).size, ids.length)
  assert.equal(ids[0], 'archive-type-order')
})

test('a distribution has about ten round ranges without holes that take every value in', () => {
  const whole = { isWhole: true }
  const cases: readonly (readonly [number, number, number, number, Role, typeof whole | object])[] =
    [
      [0, 1e6, 3, 480, 'amount', {}],
      [-90, 60, -80.2, 51.9, 'amount', {}],
      [0, 1, 0.0001, 0.84, 'amount', {}],
      [5, 5, 5, 5, 'amount', {}],
      [0, 1e15, 1, 1e14, 'amount', {}],
      [1, 99, 1, 4, 'amount', whole],
      [0, 2 ** 53, 9, 2 ** 50, 'bytes', whole],
      [0.01, 1e12, 0.02, 1e11, 'amount', {}],
    ]
  for (const [min, max, low, high, role, rest] of cases) {
    const field = numeric('n', { min, max, low, high, ...rest })
    const bins = binsOf(field as Parameters<typeof binsOf>[0], role)!
    const shown = JSON.stringify(bins)
    assert.ok(bins.length >= 1 && bins.length <= 14, shown)
    for (const [i, { from }] of bins.slice(1).entries()) assert.equal(from, bins[i]!.to, shown)
    const [first] = bins
    const last = bins.at(-1)!
    assert.ok(first!.from === null || first!.from <= min, shown)
    assert.ok(last.to === null || last.to > max, shown)
    assert.equal(new Set(bins.map(({ label }) => label)).size, bins.length, shown)
  }
})

test('Kibana chooses the ranges where ours would need more than two decimals', () => {
  const field = numeric('ratio', { min: 0.001, max: 0.02, low: 0.002, high: 0.013 })
  assert.equal(binsOf(field as Parameters<typeof binsOf>[0], 'amount'), undefined)
  assert.ok(panelIds(described([field])).includes('distribution-value.ratio'))
})

test('the ranges of a distribution are written in the unit of the field', () => {
  const labels = (name: string, rest: Partial<DescribedField>) => {
    const field = numeric(name, rest) as Parameters<typeof binsOf>[0]
    return binsOf(field, roleOf(field, 1000))!.map(({ label }) => label)
  }
  // Whole numbers have nothing between them.
  assert.deepEqual(labels('items.qty', { isWhole: true, min: 1, max: 99, low: 1, high: 4 }), [
    '1',
    '2',
    '3',
    '≥ 4',
  ])
  const spread = { min: 0.5, max: 9000, low: 4, high: 900 }
  assert.deepEqual(labels('duration_ms', spread), [
    '< 2 ms',
    '2 ms – 5 ms',
    '5 ms – 10 ms',
    '10 ms – 20 ms',
    '20 ms – 50 ms',
    '50 ms – 100 ms',
    '100 ms – 200 ms',
    '200 ms – 500 ms',
    '500 ms – 1 s',
    '≥ 1 s',
  ])
  const bytes = labels('bytes', { isWhole: true, min: 9, max: 19_596, low: 15, high: 15_000 })
  assert.equal(bytes.at(-1), '≥ 16 KB')
})

test('the time range is where the data lie', () => {
  const at = Date.UTC(2026, 10, 20, 12, 30)
  const hours = 3_600_000
  assert.deepEqual(timeRange(at - 23 * hours, at, at), { from: 'now-24h', to: 'now' })
  assert.deepEqual(timeRange(at - 24 * hours, at - 60_000, at + 60_000), {
    from: 'now-24h',
    to: 'now',
  })
  assert.deepEqual(timeRange(at - 100 * hours, at, at), { from: 'now-7d', to: 'now' })
  assert.deepEqual(timeRange(at - 24_000 * hours, at, at), { from: 'now-90d', to: 'now' })
  // Timestamps that lie far ahead.
  assert.deepEqual(timeRange(at, at, at - 1000 * hours), {
    from: '2026-11-20T12:30:00.000Z',
    to: '2026-11-20T12:31:00.000Z',
  })
  assert.deepEqual(timeRange(at - 4 * 60_000, at, at + 48 * hours), {
    from: '2026-11-20T12:26:00.000Z',
    to: '2026-11-20T12:31:00.000Z',
  })
  assert.deepEqual(timeRange(at - 2 * hours, at, at + 48 * hours), {
    from: '2026-11-20T10:00:00.000Z',
    to: '2026-11-20T13:00:00.000Z',
  })
})
