import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from '../helpers/servers.ts'
import { ClockFile } from './clock-file.ts'
import { Workers } from './workers.ts'

async function workersWith(t: Parameters<typeof temporaryDirectory>[0], argv: readonly string[]) {
  const logDir = await temporaryDirectory(t)
  const clock = new ClockFile(join(logDir, 'clock'))
  await clock.shift(0)
  const workers = new Workers({
    argv,
    logDir,
    clockFile: clock.path,
    restartMs: 10,
    staticMembers: 0,
  })
  t.after(() => workers.abandon())
  return workers
}

test('a run refuses with the words of its workers if none of them can start', async (t) => {
  const workers = await workersWith(t, ['run', '--brokers', '127.0.0.1:nine'])
  await assert.rejects(
    workers.begin(1, 20_000),
    /no worker can start \(3 have ended\); one says: .*--brokers/,
  )
})

test('a run refuses if no worker archives in time', async (t) => {
  // Nothing listens there: a worker asks again for a while.
  const workers = await workersWith(t, ['run', '--topics', 'a', '--brokers', '127.0.0.1:1'])
  await assert.rejects(
    workers.begin(1, 1000),
    /no worker can start \(none archives after 1 s\); one says: /,
  )
})
