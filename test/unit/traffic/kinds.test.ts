import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import { isIncident } from '../../../src/traffic/data/day.ts'
import type { Kind } from '../../../src/traffic/data/kinds/kind.ts'
import { type KindName, kinds } from '../../../src/traffic/data/kinds.ts'
import {
  type MadeRecord,
  RecordMaker,
  type RecordMakerOptions,
} from '../../../src/traffic/data/record-maker.ts'

const from = Date.parse('2026-11-02T00:00:00Z')
const to = Date.parse('2026-11-04T00:00:00Z')
const count = 12_000
const seed = 7
const day = 86_400_000

function optionsOf(name: KindName, rest: Partial<RecordMakerOptions> = {}): RecordMakerOptions {
  const kind: Kind = kinds[name]
  return {
    seed,
    kind,
    types: kind.shapes.map(({ type }) => type),
    topics: [
      { name: 'a', partitions: 4 },
      { name: 'b', partitions: 3 },
    ],
    malformed: 0,
    history: { count, from, to },
    ...rest,
  }
}
function makeAll(options: RecordMakerOptions): MadeRecord[] {
  const maker = new RecordMaker(options)
  return Array.from({ length: count }, (_, i) => maker.make(i))
}

/** What the tests read of the values. */
interface Order {
  readonly customer_id: string | null
  readonly placed_at: string
  readonly paid_at: string | null
  readonly updated_at: string
  readonly currency: string
  readonly total: string
  readonly tax: number | 'n/a'
  readonly shipping: number
  readonly discount?: string
  readonly items: readonly { readonly qty: number; readonly price: number }[]
  readonly delivery: {
    readonly date: string
    readonly location?: { readonly lat: number; readonly lon: number }
  }
  readonly client: { readonly ip: string }
}
interface Change {
  readonly before: Row | null
  readonly after: Row | null
  readonly op: string
  readonly ts_ms: number
  readonly ts_us: number
  readonly source: { readonly ts_ms: number }
}
interface Row {
  readonly id: number
  readonly total: string
  readonly due_date: number
  readonly created_at: number
  readonly birth_date: number | null
}
interface CloudEvent {
  readonly specversion: string
  readonly id: string
  readonly source: string
  readonly time?: string
  readonly subject?: string
  readonly traceparent?: string
}
interface AppLog {
  readonly timeUnixNano: string
  readonly severityText?: keyof typeof severities
  readonly severityNumber?: number
  readonly traceId?: string
}
interface AccessLog {
  readonly time: string
  readonly ip: string
  readonly path: string
  readonly status: number
  readonly bytes: number
  readonly duration_ms: number | null
}

const severities = { DEBUG: 5, INFO: 9, WARN: 13, ERROR: 17 } as const

const parsed = <T>({ value }: MadeRecord): T => JSON.parse(String(value)) as T
const all = Object.fromEntries(
  Object.keys(kinds).map((name) => [name, makeAll(optionsOf(name as KindName))]),
) as Record<KindName, MadeRecord[]>
const valuesOf = <T>(name: KindName, type?: string): T[] =>
  all[name]
    .filter((record) => record.value !== null && (type ?? record.type) === record.type)
    .map((record) => parsed<T>(record))
/** The share of values that pass a test. */
const share = <T>(values: readonly T[], is: (value: T) => boolean): number =>
  values.filter(is).length / values.length
const between = (what: string, value: number, least: number, most: number) =>
  assert.ok(value >= least && value <= most, `${what}: ${value}`)
const isIso = (text: unknown): boolean =>
  typeof text === 'string' && /^\d{4}-\d\d-\d\dT/.test(text) && !Number.isNaN(Date.parse(text))
const sumOf = (numbers: number[]) => numbers.reduce((sum, number) => sum + number, 0)
/** Half of them are below. */
const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!

/** What is at the path of the type in a value. */
function typeIn({ typePath }: Kind, record: MadeRecord): unknown {
  return typePath
    .split('.')
    .reduce<unknown>(
      (inner, key) => (inner as Record<string, unknown> | undefined)?.[key],
      parsed(record),
    )
}

for (const [name, kind] of Object.entries(kinds) as [KindName, Kind][]) {
  test(`${name}: a seed makes the same records, in any order of making`, () => {
    const options = optionsOf(name, { malformed: 0.05 })
    const maker = new RecordMaker(options)
    const records = Array.from({ length: 1_500 }, (_, i) => maker.make(i))
    const again = new RecordMaker(options)
    for (let i = records.length - 1; i >= 0; i--) assert.deepEqual(again.make(i), records[i])
    assert.notEqual(
      String(new RecordMaker({ ...options, seed: 8 }).make(5).value),
      String(records[5]!.value),
    )
  })

  test(`${name}: every value is a JSON object with its type where --type-path looks`, () => {
    for (const record of all[name]) {
      if (record.value !== null) assert.equal(typeIn(kind, record), record.type)
    }
    const quoted = optionsOf(name, { types: ['a "b" $& \\'], history: undefined })
    const record = new RecordMaker(quoted).make(3, from)
    assert.equal(typeIn(kind, record), 'a "b" $& \\')
    const found = new Set(all[name].map(({ type }) => type))
    assert.equal(found.size, kind.shapes.length)
    assert.ok(Math.abs(sumOf(kind.shapes.map((shape) => shape.share)) - 1) < 1e-9)
  })

  test(`${name}: a spoilt type is no type`, () => {
    const spoilt = makeAll(optionsOf(name, { malformed: 0.3 })).filter(({ malformation }) =>
      malformation?.name.startsWith('type '),
    )
    assert.ok(spoilt.length > 100)
    for (const record of spoilt) {
      const type = typeIn(kind, record)
      assert.ok(typeof type !== 'string' || type === '', record.malformation!.name)
    }
  })
}

test('shop: totals are what the items cost, and a few orders are large', () => {
  const orders = valuesOf<Order>('shop')
  for (const { items, tax, shipping, discount, total, currency } of orders) {
    const goods = sumOf(items.map(({ qty, price }) => qty * price))
    const expected = goods + shipping + Number(discount ?? 0)
    // Each price is rounded to the decimals of its currency; yen have none.
    const rounding = currency === 'JPY' ? 400 : 3
    assert.ok(Math.abs(expected - Number(total)) <= rounding, `${expected} ${total} ${currency}`)
    assert.match(total, currency === 'JPY' ? /^\d+$/ : /^\d+\.\d\d$/)
    assert.ok(tax === 'n/a' || Number.isFinite(tax))
  }
  const euros = orders.filter(({ currency }) => currency === 'EUR')
  const totals = euros.map(({ total }) => Number(total)).sort((a, b) => b - a)
  const top = sumOf(totals.slice(0, totals.length / 50))
  between('revenue of the largest 2 %', top / sumOf(totals), 0.15, 0.8)
})

test('shop: dates, places and addresses are what they look like, but for a few', () => {
  const orders = valuesOf<Order>('shop')
  between('bad dates', 1 - share(orders, ({ placed_at }) => isIso(placed_at)), 0.0005, 0.006)
  between(
    'not paid',
    share(orders, ({ paid_at }) => paid_at === null),
    0.2,
    0.6,
  )
  between(
    'bad taxes',
    share(orders, ({ tax }) => tax === 'n/a'),
    0.0001,
    0.002,
  )
  between(
    'no place',
    share(orders, ({ delivery }) => !('location' in delivery)),
    0.001,
    0.02,
  )
  between(
    'bad addresses',
    share(orders, ({ client }) => isIP(client.ip) === 0),
    0.0005,
    0.006,
  )
  between(
    'IPv6',
    share(orders, ({ client }) => isIP(client.ip) === 6),
    0.02,
    0.3,
  )
  between(
    'guests',
    share(orders, ({ customer_id }) => customer_id === null),
    0.02,
    0.1,
  )
  for (const { customer_id, placed_at, paid_at, updated_at, delivery } of orders) {
    if (customer_id !== null)
      assert.match(customer_id, /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
    assert.match(updated_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/)
    assert.match(delivery.date, /^\d{4}-\d\d-\d\d$/)
    if (paid_at !== null && isIso(placed_at))
      assert.ok(Date.parse(placed_at) <= Date.parse(paid_at), `${placed_at} ${paid_at}`)
    if (delivery.location !== undefined) {
      between('latitude', delivery.location.lat, -90, 90)
      between('longitude', delivery.location.lon, -180, 180)
    }
  }
  for (const [i, { updated_at }] of orders.entries())
    assert.equal(Date.parse(updated_at), Math.floor(all.shop[i]!.timestamp / 1000) * 1000)
})

test('cdc: before and after fit the operation, and the source is before the record', () => {
  for (const record of all.cdc) {
    if (record.value === null) continue
    const { before, after, op, ts_ms, ts_us, source } = parsed<Change>(record)
    const key = JSON.parse(record.key!) as object
    assert.equal(after === null, op === 'd')
    if (op === 'c' || op === 'r') assert.equal(before, null)
    for (const row of [before, after]) {
      if (row !== null) assert.deepEqual({ ...row, ...key }, row, 'a row has its key')
    }
    assert.ok(source.ts_ms < ts_ms && ts_ms <= record.timestamp)
    assert.equal(Math.floor(ts_us / 1000), ts_ms)
    assert.match(String(record.value), new RegExp(`"ts_ns":${ts_us}\\d{3}`))
  }
  const ops = valuesOf<Change>('cdc').map(({ op }) => op)
  assert.deepEqual([...new Set(ops)].sort(), ['c', 'd', 'r', 'u'])
})

test('cdc: every delete is followed by the tombstone of its key, and nothing else is', () => {
  const byTopic = Map.groupBy(all.cdc, ({ topic }) => topic)
  let tombstones = 0
  for (const records of byTopic.values()) {
    for (const [i, record] of records.entries()) {
      const previous = records[i - 1]
      const isAfterDelete =
        previous !== undefined && previous.value !== null && parsed<Change>(previous).op === 'd'
      assert.equal(record.value === null, isAfterDelete)
      if (!isAfterDelete) continue
      tombstones++
      assert.deepEqual([record.key, record.partition], [previous.key, previous.partition])
      assert.equal(record.malformation?.reservedType, '_untyped')
    }
  }
  between('tombstones', tombstones / count, 0.005, 0.05)
})

test('cdc: columns have the forms of Debezium, and a row keeps what no change touches', () => {
  const orders = valuesOf<Change>('cdc', 'orders').flatMap(({ before, after }) => [before, after])
  const created = new Map<number, number>()
  for (const row of orders) {
    if (row === null) continue
    assert.match(row.total, /^\d+(\.\d\d)?$/)
    between('due date in days', row.due_date, to / day - 60, to / day + 20)
    assert.ok(Number.isSafeInteger(row.created_at))
    assert.equal(created.get(row.id) ?? row.created_at, row.created_at)
    created.set(row.id, row.created_at)
  }
  assert.ok(created.size < orders.length / 2, 'rows change more than once')
  assert.ok(valuesOf<Change>('cdc', 'customers').some(({ after }) => (after?.birth_date ?? 0) < 0))
})

test('cdc: the lag is short, but in an incident', () => {
  const lags = (incident: boolean) =>
    all.cdc
      .filter((r) => r.value !== null && isIncident(seed, r.timestamp) === incident)
      .map((record) => record.timestamp - parsed<Change>(record).source.ts_ms)
  between('lag', median(lags(false)), 50, 500)
  between('lag in an incident', median(lags(true)), 5_000, 120_000)
})

test('cloudevents: the attributes of the specification, with data or bytes', () => {
  const ids = new Set<string>()
  for (const value of valuesOf<CloudEvent>('cloudevents')) {
    const { specversion, id, source, time, subject, traceparent } = value
    assert.equal(specversion, '1.0')
    ids.add(id)
    assert.match(source, /^\/[a-z]+/)
    assert.ok(subject === undefined || typeof subject === 'string')
    assert.ok(time === undefined || time === '2026-02-30T25:00:00Z' || isIso(time))
    if (traceparent !== undefined) assert.match(traceparent, /^00-[\da-f]{32}-[\da-f]{16}-01$/)
    assert.ok('data' in value !== 'data_base64' in value)
  }
  assert.equal(ids.size, count)
  const events = valuesOf<CloudEvent>('cloudevents')
  between(
    'without a time',
    share(events, (event) => !('time' in event)),
    0.0005,
    0.01,
  )
  assert.ok(valuesOf('cloudevents', 'com.example.invoice.rendered').length > 100)
})

test('logs: records of OpenTelemetry and lines of an access log, errors in bursts', () => {
  const app = valuesOf<AppLog>('logs', 'log.app')
  for (const { timeUnixNano, severityText, severityNumber, traceId } of app) {
    assert.match(timeUnixNano, /^(0|\d{19})$/)
    if (severityText !== undefined) assert.equal(severities[severityText], severityNumber)
    if (traceId !== undefined) assert.match(traceId, /^[\da-f]{32}$/)
  }
  const access = valuesOf<AccessLog>('logs', 'log.access')
  for (const { ip, status, bytes, path } of access) {
    assert.ok(isIP(ip) !== 0 && Number.isInteger(bytes) && path.startsWith('/'), ip)
    between('status', status, 200, 504)
  }
  between('bad times', 1 - share(access, ({ time }) => isIso(time)), 0.0001, 0.004)
  between(
    'no duration',
    share(access, ({ duration_ms }) => duration_ms === null),
    0.001,
    0.008,
  )
  const errors = all.logs.filter((record) => {
    const { severityText, status = 200 } = parsed<Partial<AppLog & AccessLog>>(record)
    return severityText === 'ERROR' || status >= 500
  })
  const inIncident = errors.filter(({ timestamp }) => isIncident(seed, timestamp))
  between('errors', errors.length / count, 0.005, 0.06)
  between('errors in the bad half-hours', inIncident.length / errors.length, 0.25, 0.95)
})
