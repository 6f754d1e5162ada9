import assert from 'node:assert/strict'
import { test } from 'node:test'
import { factsOf } from '../../../src/mapping/facts.ts'
import { mysqlColumns } from '../../../src/mapping/mysql-columns.ts'

function columnsFor(messages: readonly string[], { type = 't', taken = [] as string[] } = {}) {
  const sql = mysqlColumns({ type, table: 'records', taken, facts: factsOf(messages) })
  return {
    sql,
    names: [...sql.matchAll(/ADD COLUMN `([^`]*)` (\S+)/g)].map(([, name, as]) => `${name} ${as}`),
  }
}

test('each column has the type that holds its values, with room for more', () => {
  const { names } = columnsFor([
    '{"whole":1,"price":1.25,"wide":0.123456789012345678901234567890123,"word":"a","yes":true,"at":"2019-08-01T03:23:03Z"}',
    '{"whole":12345678901234567890123,"price":-123456789012345678.5,"word":"b","yes":false,"at":"2019-08-01T03:23:03Z"}',
  ])
  assert.deepEqual(names.toSorted(), [
    't_at DATETIME(6)',
    't_price DECIMAL(23,2)',
    't_whole DECIMAL(26,0)',
    't_wide DOUBLE',
    't_word VARCHAR(255)',
    't_yes TINYINT',
  ])
})

test('a text among nearly nothing but decimals costs the field no column, and the column no row', () => {
  const { sql, names } = columnsFor(
    Array.from({ length: 500 }, (_, i) => `{"price":"${i === 7 ? 'n/a' : `${i}.25`}"}`),
  )
  assert.deepEqual(names, ['t_price DECIMAL(20,2)'])
  assert.match(sql, /REGEXP '\^-\?\[0-9\]\+/)
})

test('names are short, of ASCII, and taken by no other column, whatever their case is', () => {
  const long = 'x'.repeat(100)
  const { names } = columnsFor([`{"A b":1,"a-B":2,"text":3,"ä":4,"${long}1":5,"${long}2":6}`], {
    type: 'key',
    taken: ['key_text'],
  })
  const plain = names.map((one) => one.split(' ')[0]!)
  assert.equal(plain.length, 6)
  assert.equal(new Set(plain.map((one) => one.toLowerCase())).size, 6)
  for (const name of plain) assert.match(name, /^key_[A-Za-z0-9_]{1,60}$/)
  assert.ok(!plain.includes('key_text'))
})

test('what cannot be a column is named with its reason, on a line of its own', () => {
  const { sql, names } = columnsFor([
    '{"items":[{"q":1}],"tags":["a"],"quote\\"d":1,"line\\nbreak":1,"a.b":1,"a":{"b":2},"none":null}',
  ])
  assert.deepEqual(names, [])
  for (const line of sql.split('\n')) assert.match(line, /^-- /)
  assert.match(sql, /items\.q: in a list/)
  assert.match(sql, /tags: in a list/)
  assert.match(sql, /line\\nbreak: its name cannot be written as a path/)
  assert.match(sql, /a\.b: messages spell its name in several ways/)
})

test('a type cannot leave its quotes', () => {
  const { sql } = columnsFor(['{"x":1}'], { type: "o'r\\" })
  assert.ok(sql.includes("`type` = 'o''r\\\\' AND"), sql)
})

test('there are no more columns than InnoDB can index', () => {
  const message = JSON.stringify(
    Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`f${i}`, i])),
  )
  const { sql, names } = columnsFor([message])
  assert.equal(names.length, 40)
  assert.equal(sql.match(/more frequent columns come first/g)?.length, 60)
})
