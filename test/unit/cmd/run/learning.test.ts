import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startLearning } from '../../../../src/cmd/run/learning.ts'
import { batchOf } from '../../../helpers/elasticsearch-sink.ts'
import { sinkLog } from '../../../helpers/observed-sink.ts'
import { until } from '../../../helpers/servers.ts'
import { errorBody, json, standIn } from '../../../helpers/stand-in-elasticsearch.ts'

test('a cluster that does not say how types are mapped is named once, and asked again', async (t) => {
  const server = await standIn(t)
  const { logger: log, events } = sinkLog()
  const learning = startLearning({
    connection: { nodes: [server.url], compression: false, requestTimeoutMs: 5000 },
    ...{ indexPrefix: 'archive-', intervalMs: 30, log },
  })
  const values = (more: string) =>
    Array.from({ length: 150 }, () => `{"type":"order","when":"2019-08-01"${more}}`)
  const asked = () => server.requests.filter(({ path }) => path.includes('_template')).length
  const away = (status: number) => {
    server.intercept = (_, response) =>
      json(response, status, errorBody(status, 'security_exception', 'no right to see templates'))
  }

  away(403)
  learning.delivered(batchOf('topic', values('')))?.()
  await until('it was asked three times', () => asked() >= 3)
  const [warning, ...others] = events('mapping_not_compared')
  assert.equal(others.length, 0)
  assert.match(String(warning!.reason), /no right to see templates/)
  assert.deepEqual(events('mapping_outgrown'), [])

  server.intercept = undefined
  await until('it proposes', () => events('mapping_outgrown').length > 0)
  assert.equal(events('mapping_not_compared').length, 1)

  // Away again, and when it stops as well: the end of a worker does not fail, and does not wait.
  away(403)
  learning.delivered(batchOf('topic', values(',"from":"10.0.0.1"'), { from: 150 }))?.()
  await until('it warns again', () => events('mapping_not_compared').length === 2)
  await learning.stop()
  assert.equal(events('mapping_outgrown').length, 1)
})
