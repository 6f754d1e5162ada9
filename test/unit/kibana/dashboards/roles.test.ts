import assert from 'node:assert/strict'
import { test } from 'node:test'
import type {
  DescribedField,
  NumberField,
} from '../../../../src/kibana/dashboards/type/described.ts'
import { formatOf } from '../../../../src/kibana/dashboards/type/formats.ts'
import { wordsOf } from '../../../../src/kibana/dashboards/type/names.ts'
import { durationUnit, type Role, roleOf } from '../../../../src/kibana/dashboards/type/roles.ts'

const records = 10_000
const text = (name: string, rest: Partial<DescribedField> = {}): DescribedField => ({
  name: `value.${name}`,
  kind: 'string',
  present: 1,
  distinct: 5,
  ...rest,
})
/** A number from `low` to `high`. */
const number = (
  name: string,
  low: number,
  high: number,
  rest: Partial<NumberField> = {},
): NumberField => ({
  name: `value.${name}`,
  kind: 'number',
  present: 1,
  distinct: 900,
  isWhole: false,
  min: low,
  max: high,
  low,
  high,
  ...rest,
})
const whole = { isWhole: true } as const
const epoch = 1_790_000_000

test('the role of a field follows from its mapping, its name and its range', () => {
  const cases: readonly (readonly [DescribedField, Role])[] = [
    [text('placed_at', { kind: 'date' }), 'time'],
    [text('location', { kind: 'place', distinct: 0 }), 'place'],
    [text('status'), 'category'],
    [text('order_id', { distinct: 9_900 }), 'identifier'],
    [text('version', { distinct: 1 }), 'constant'],
    [text('ip', { kind: 'ip', distinct: 9_000 }), 'category'],
    [number('total', 1.5, 300), 'money'],
    [number('items.price', 4.5, 649), 'money'],
    [number('amount.value', 4.5, 649), 'money'],
    // A count with a name of money, and no decimals.
    [number('hits.total', 0, 90_000, whole), 'amount'],
    [number('latency_ms', 1.2, 900), 'duration'],
    [number('tookMs', 1, 900, whole), 'duration'],
    [number('duration', 0.001, 2.5), 'duration'],
    [number('request_time', 0.001, 2.5), 'duration'],
    [number('ts_ms', epoch * 1e3, (epoch + 86_400) * 1e3, whole), 'epoch'],
    [number('created_at', epoch * 1e6, (epoch + 86_400) * 1e6, whole), 'epoch'],
    [number('seen', epoch, epoch + 86_400, whole), 'epoch'],
    [number('bytes', 100, 90_000, whole), 'bytes'],
    [number('body_bytes_sent', 100, 90_000, whole), 'bytes'],
    [number('http.content-length', 100, 90_000, whole), 'bytes'],
    [number('cpu_ratio', 0, 0.97), 'share'],
    // From 0 to 100, a percentage is no share of one.
    [number('cpu_percent', 0, 97.5), 'amount'],
    [number('status_code', 200, 504, { ...whole, distinct: 9 }), 'code'],
    [number('customer_id', 1000, 3000, whole), 'identifier'],
    [number('celsius', -4, 31), 'amount'],
    [number('counter', 9e15, 9.1e15, { ...whole, distinct: 9_990 }), 'identifier'],
  ]
  for (const [field, role] of cases) assert.equal(roleOf(field, records), role, field.name)
})

test('the unit of a duration: the mapping’s, that of the name, or what the range allows', () => {
  const cases: readonly (readonly [NumberField, string | undefined])[] = [
    [number('wait', 0, 5, { unit: 's' }), 'seconds'],
    [number('wait_ms', 0, 5, { unit: 'micros' }), 'microseconds'],
    [number('elapsed_us', 0, 5), 'microseconds'],
    [number('lagNanos', 0, 5), 'nanoseconds'],
    [number('uptime_seconds', 0, 5), 'seconds'],
    [number('response_time', 0.01, 3.5), 'seconds'],
    [number('response_time', 10, 3500, whole), 'milliseconds'],
    [number('duration', 0.4, 2400), 'milliseconds'],
    // Letters that mean other things as well.
    [number('width_m', 0, 5), undefined],
    [number('s', 0, 5), undefined],
    [number('weight', 0, 5), undefined],
    [number('size', 0, 5, { unit: 'byte' }), undefined],
  ]
  for (const [field, unit] of cases) assert.equal(durationUnit(field), unit, field.name)
})

test('numbers are written in their unit', () => {
  const money = number('total', 1, 300)
  assert.deepEqual(formatOf(money, 'money').params?.pattern, '0,0.00')
  assert.deepEqual(
    formatOf(number('elapsed_us', 0, 5), 'duration').params?.inputFormat,
    'microseconds',
  )
  assert.equal(formatOf(number('bytes', 0, 9e6), 'bytes').id, 'bytes')
  assert.equal(formatOf(number('code', 200, 500), 'code').params?.pattern, '0')
})

test('names are read by their words, however they are spelled', () => {
  assert.deepEqual(wordsOf('value.http.statusCode'), ['status', 'code'])
  assert.deepEqual(wordsOf('value.LATENCY-ms'), ['latency', 'ms'])
  assert.deepEqual(wordsOf('value.'), [])
  assert.deepEqual(wordsOf(''), [])
})
