import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLogger } from '../../../src/runtime/log.ts'
import { Trouble } from '../../../src/runtime/outage.ts'

test('trouble is said when it begins and once a minute, and lasts from the second minute on', () => {
  const told: string[] = []
  const stream = { write: (line: string) => told.push((JSON.parse(line) as { msg: string }).msg) }
  let now = 0
  const trouble = new Trouble(createLogger({ level: 'warn', stream }), () => now)
  const failsAt = (time: number) => {
    now = time
    trouble.failed(`at ${time}`)
  }
  for (const time of [0, 1000, 59_000]) failsAt(time)
  assert.deepEqual([told, trouble.lasting], [['at 0'], undefined])
  failsAt(60_000)
  failsAt(70_000)
  assert.deepEqual([told, trouble.lasting], [['at 0', 'at 60000'], 'at 70000'])
  trouble.over()
  assert.equal(trouble.lasting, undefined)
  failsAt(71_000)
  assert.deepEqual(told.slice(2), ['at 71000'])
})
