import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serveMonitor } from '../../../src/monitor/endpoint.ts'
import { Metrics } from '../../../src/monitor/metrics.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { FakeSink } from '../../helpers/fake-sink.ts'
import { FakeSource } from '../../helpers/fake-source.ts'
import { startWorker } from '../../helpers/running-worker.ts'
import { until } from '../../helpers/servers.ts'

const log = createLogger({ level: 'silent', stream: { write: () => true } })
const tp = { topic: 'events', partition: 0 }

test('/readyz and /status say of a stopped partition what was lost, and what to do', async (t) => {
  const source = new FakeSource()
  source.damaged = { from: 100, next: 101 }
  source.damagedBy = 'oversized'
  source.setLog(tp, { start: 0, end: 250 })
  const sinks = [new FakeSink('elasticsearch', false)]
  const { worker, partition } = await startWorker(t, source, sinks)
  await until('it stops', () => partition().state === 'stopped')
  const { address, close } = await serveMonitor(
    { host: '127.0.0.1', port: 0 },
    {
      ...{ name: 'w-1', worker, sinks, metrics: new Metrics(), group: 'test' },
      ...{ files: undefined, maxMetricPartitions: 10, token: undefined },
    },
    log,
  )
  t.after(close)
  const ask = async (path: string) => {
    const answer = await fetch(address + path)
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> }
  }
  const advice =
    'it is damaged; start the worker with a larger --max-record-bytes, or with --on-gap continue to go on behind it'
  const ready = await ask('/readyz')
  assert.equal(ready.status, 503)
  assert.deepEqual(ready.body.reasons, [`events/0: ${advice}`])
  const { body } = await ask('/status')
  const [first] = body.partitions as { state: string; waiting: string }[]
  assert.deepEqual([first!.state, first!.waiting], ['stopped', advice])
})
