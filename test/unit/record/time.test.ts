import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dayOf, hourOf, hourOfDay, isoDay, unknownHour } from '../../../src/record/time.ts'

test('hours exist for the years 1970 to 9999', () => {
  assert.equal(hourOf(0), 0)
  assert.equal(hourOf(3_599_999), 0)
  assert.equal(hourOf(3_600_000), 1)
  assert.equal(
    hourOf(Date.UTC(9999, 11, 31, 23, 59, 59, 999)),
    Date.UTC(9999, 11, 31, 23) / 3_600_000,
  )
  for (const none of [
    -1,
    -3_600_000,
    Date.UTC(9999, 11, 31, 23, 59, 59, 999) + 1,
    Number.MAX_SAFE_INTEGER,
  ]) {
    assert.equal(hourOf(none), unknownHour)
  }
})

test('an hour has its day and its place in the day', () => {
  const hour = hourOf(Date.UTC(2019, 7, 1, 3, 23, 3))
  assert.equal(isoDay(dayOf(hour)), '2019-08-01')
  assert.equal(hourOfDay(hour), '03')
  assert.equal(dayOf(hour), dayOf(hour - 3))
  assert.notEqual(dayOf(hour), dayOf(hour - 4))
  assert.notEqual(dayOf(unknownHour), dayOf(0))
})
