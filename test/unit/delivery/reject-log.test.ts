import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RejectLog } from '../../../src/delivery/reject-log.ts'
import { sinkLog } from '../../helpers/observed-sink.ts'

const record = { topic: 't', partition: 0, offset: 7, type: 'a' }
const details = { error: 'parse', reason: 'r'.repeat(1000), keptIn: 'rejects' }

test('the first reject of a kind is logged at once, the others are counted once a minute', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { logger, log, events } = sinkLog()
  const rejects = new RejectLog(logger, 'mysql')
  for (const offset of [7, 8, 9]) rejects.rejected({ ...record, offset }, details, 'x')
  rejects.rejected(record, details, 'y', 'error')
  assert.deepEqual(
    events('record_rejected').map(({ level, offset, kept_in, reason }) => [
      level,
      offset,
      kept_in,
      String(reason).length,
    ]),
    [
      ['warn', 7, 'rejects', 300],
      ['error', 7, 'rejects', 300],
    ],
  )
  t.mock.timers.tick(60_000)
  assert.deepEqual(
    events('records_rejected').map(({ kind, count }) => [kind, count]),
    [['a: x', 2]],
  )
  rejects.rejected(record, details, 'x')
  rejects.flush()
  assert.equal(events('records_rejected').length, 2)
  t.mock.timers.tick(60_000)
  assert.equal(log.length, 4, 'nothing is left to say')
})

test('every value that is kept nowhere is named', () => {
  const { logger, events } = sinkLog()
  const rejects = new RejectLog(logger, 'mysql')
  for (const offset of [7, 8]) rejects.omitted({ ...record, offset }, 'too large')
  assert.deepEqual(
    events('value_omitted').map(({ level, sink, offset }) => [level, sink, offset]),
    [
      ['error', 'mysql', 7],
      ['error', 'mysql', 8],
    ],
  )
})
