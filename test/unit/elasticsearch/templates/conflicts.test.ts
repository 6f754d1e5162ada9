import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type ClusterTemplate,
  haveCommonName,
  nestedArchives,
  refuseConflicts,
} from '../../../../src/elasticsearch/templates/conflicts.ts'

const letters = ['a', 'b', '-', '*']
const pattern = fc
  .array(fc.constantFrom(...letters), { maxLength: 6 })
  .map((parts) => parts.join(''))

function matches(glob: string, name: string): boolean {
  return new RegExp(`^${glob.replaceAll('*', '.*')}$`).test(name)
}

/** Every name of up to four letters. */
const names = (() => {
  let all = ['']
  let longest = ['']
  for (let length = 1; length <= 4; length++) {
    longest = longest.flatMap((name) => ['a', 'b', '-'].map((letter) => name + letter))
    all = [...all, ...longest]
  }
  return all
})()

test('two patterns have a common name exactly if some name matches both', () => {
  fc.assert(
    fc.property(pattern, pattern, (one, other) => {
      const found = names.some((name) => matches(one, name) && matches(other, name))
      // A common name may be longer than four letters only if none is that short.
      if (found) assert.ok(haveCommonName(one, other), `${one} and ${other}`)
      if (!haveCommonName(one, other)) assert.equal(found, false, `${one} and ${other}`)
      assert.equal(haveCommonName(one, other), haveCommonName(other, one))
    }),
    { numRuns: 500 },
  )
  for (const [one, other, common] of [
    ['archive-*', 'archive-v2-*', true],
    ['archive-*', '*', true],
    ['archive-_rejected-*', 'archive-v2-*', false],
    ['logs-*', 'logs-*-*', true],
    ['logs-*', 'metrics-*-*', false],
    ['archive-*', '*-prod', true],
    ['archive-*', 'archive', false],
    ['a*c', 'ab*', true],
    ['a*c', 'b*', false],
  ] as const) {
    assert.equal(haveCommonName(one, other), common, `${one} and ${other}`)
  }
})

const wanted = [{ name: 'archive-v2-archive', patterns: ['archive-v2-*'], priority: 100 }]
const template = (name: string, patterns: string[], more: object = {}): ClusterTemplate => ({
  name,
  index_template: { index_patterns: patterns, priority: 100, ...more },
})

test('a template of the same priority over the same names is refused by its name', () => {
  refuseConflicts(wanted, [template('archive-v2-archive', ['archive-v2-*'])], 'archive-v2-')
  refuseConflicts(
    wanted,
    [template('logs', ['logs-*-*']), template('p', ['archive-*'], { priority: 99 })],
    'archive-v2-',
  )
  assert.throws(
    () => refuseConflicts(wanted, [template('theirs', ['x-*', '*-v2-*'])], 'archive-v2-'),
    {
      code: 'USAGE',
      message:
        /index template theirs .* same priority \(100\).* such as archivev2-.* Nothing was installed/,
    },
  )
  const ours = template('archive', ['archive-*'], { _meta: { managed_by: 'archiver' } })
  assert.throws(
    () => refuseConflicts(wanted, [ours], 'archive-v2-'),
    /another archive on this cluster/,
  )
})

test('archives whose prefix begins with ours are not taken for types of ours', () => {
  const parts = { composed_of: ['archive@settings', 'archive@envelope'] }
  const present = [
    template('archive', ['archive-*'], parts),
    template('archive-rejected', ['archive-_rejected-*'], parts),
    template('archive-eu-mine', ['archive-eu-*'], parts),
    template('order', ['archive-order-*'], parts),
    template('theirs', ['archive-logs-*']),
  ]
  const isOwn = (literal: string) => 'archive-order-unknown'.startsWith(literal)
  assert.deepEqual(nestedArchives(present, 'archive-', isOwn), ['archive-eu-*'])
  assert.deepEqual(nestedArchives(present, 'archive-eu-', isOwn), [])
})
