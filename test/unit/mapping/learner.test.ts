import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type LearnedProposal, Learner, type learnLimits } from '../../../src/mapping/learner.ts'
import type { ClusterMapping } from '../../../src/mapping/outgrown.ts'
import { msPerDay } from '../../../src/record/time.ts'
import { batchOf } from '../../helpers/elasticsearch-sink.ts'

const unmapped: ClusterMapping = { mapping: undefined, version: 0, own: [] }

function createLearner(limits: Partial<typeof learnLimits> = {}) {
  const proposals: LearnedProposal[] = []
  const state = { now: 0, mapping: unmapped, reads: 0 }
  const learner = new Learner({
    read: async () => {
      state.reads++
      return state.mapping
    },
    propose: (proposal) => proposals.push(proposal),
    now: () => state.now,
    limits,
  })
  const deliver = (values: readonly string[]) => learner.delivered(batchOf('topic', values))
  return {
    learner,
    state,
    deliver,
    /** Delivers and acknowledges: lines that were taken. */
    give: (...values: string[]) => deliver(values)?.(),
    /** What was proposed since the last call. */
    taken: () =>
      proposals
        .splice(0)
        .map(({ type, records, fields }) =>
          [type.name, records, ...fields.map(({ name, proposed }) => `${name} ${proposed}`)].join(
            ' ',
          ),
        ),
  }
}

const many = (type: string, x: string, count = 50) =>
  Array.from({ length: count }, () => `{"type":"${type}","x":${x}}`)
const date = '"2019-08-01"'

test('a date in a text is proposed once there are enough records, and only once', async () => {
  const { learner, give, taken } = createLearner()
  give(...many('order', date))
  await learner.round()
  assert.deepEqual(taken(), [])
  give(...many('order', date))
  await learner.round()
  assert.deepEqual(taken(), ['order 100 x date'])
  give(...many('order', date))
  await learner.round()
  assert.deepEqual(taken(), [])
})

test('a new field that does not fit is proposed, with all that do not fit', async () => {
  const { learner, give, taken } = createLearner({ minRecords: 10 })
  give(...many('order', date))
  await learner.round()
  taken()
  give(...many('order', '"2019-08-01","ip":"10.0.0.1"'))
  await learner.round()
  assert.deepEqual(taken(), ['order 100 ip ip x date'])
})

test('after another version of the template, what does not fit it is proposed again', async () => {
  const { learner, state, give, taken } = createLearner({ minRecords: 10 })
  give(...many('order', date))
  await learner.round()
  assert.deepEqual(taken(), ['order 50 x date'])
  state.mapping = {
    mapping: { properties: { x: { type: 'date', format: 'uuuu-MM-dd' } } },
    version: 1,
    own: [],
  }
  give(...many('order', date))
  await learner.round()
  assert.deepEqual(taken(), [])
  state.mapping = { mapping: undefined, version: 2, own: [] }
  give(...many('order', date))
  await learner.round()
  assert.deepEqual(taken(), ['order 150 x date'])
})

test('lines count only once all sinks have them', async () => {
  const { learner, deliver, state } = createLearner({ minRecords: 10 })
  const held = deliver(many('order', date))
  await learner.round()
  assert.equal(state.reads, 0)
  held?.()
  await learner.round()
  assert.equal(state.reads, 1)
})

test('the cluster is asked only about types that have new records', async () => {
  const { learner, give, state } = createLearner({ minRecords: 10 })
  give(...many('order', '1'), ...many('click', '1'))
  await learner.round()
  assert.equal(state.reads, 2)
  give(...many('click', '1'))
  await learner.round()
  await learner.round()
  assert.equal(state.reads, 3)
})

test('lines, bytes, types and their size are bounded', () => {
  const count = (limits: Partial<typeof learnLimits>, values: readonly string[]) => {
    const { deliver } = createLearner(limits)
    let batches = 0
    while (deliver(values) !== undefined && batches < 100) batches++
    return batches
  }
  assert.equal(count({}, many('order', '1')), 4, '200 lines in a round')
  assert.equal(count({ lines: 120 }, many('order', '1')), 3)
  assert.equal(count({ typeBytes: 10_000 }, many('order', `"${'a'.repeat(800)}"`, 10)), 2)
  assert.equal(count({ roundBytes: 10_000 }, many('order', `"${'a'.repeat(800)}"`, 10)), 2)
  assert.equal(count({}, many('order', `"${'a'.repeat(70_000)}"`)), 0, 'long lines')
  assert.equal(count({}, ['{"no":"type"}', 'no json']), 0, 'records without a type')
  const { deliver } = createLearner({ types: 2 })
  assert.ok(deliver(many('a', '1')) && deliver(many('b', '1')))
  assert.equal(deliver(many('c', '1')), undefined)
})

test('fields of all types together are bounded', () => {
  const { give, deliver } = createLearner({ fields: 100, fieldsOfType: 80 })
  const wide = (type: string) =>
    `{"type":"${type}",${Array.from({ length: 60 }, (_, i) => `"${type}${i}":${i}`).join()}}`
  for (const type of ['a', 'b', 'c']) give(wide(type), wide(type), wide(type))
  assert.equal(deliver([wide('d')]), undefined)
})

test('a type that was looked at makes room for another after a day, or many records', async () => {
  const { learner, give, deliver, state } = createLearner({ types: 1, maxRecords: 100 })
  give(...many('a', '1'))
  await learner.round()
  assert.equal(deliver(many('b', '1')), undefined)
  give(...many('a', '1'))
  await learner.round()
  assert.ok(deliver(many('b', '1')))
  state.now += msPerDay
  await learner.round()
  assert.ok(deliver(many('c', '1')))
})
