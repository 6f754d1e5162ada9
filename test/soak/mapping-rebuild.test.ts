import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rebuildPoints } from '../../src/runtime/fault.ts'
import { useStack } from '../chaos/stack.ts'
import { indexedDay, notOnce } from '../helpers/rebuild.ts'
import { elasticsearch } from '../helpers/servers.ts'

useStack()

test('a rebuild that is killed at each step is completed by the next one', async (t) => {
  for (const point of rebuildPoints)
    await t.test(point, async (t) => {
      const { prefix, topic, index, archiver } = await indexedDay(t, 60)
      const applied = await archiver('mapping', ['--type', 'shop', '--apply'])
      assert.equal(applied.code, 0, applied.output)
      const rebuild = ['--type', 'shop', '--rebuild', '2019-08-01']
      for (let times = 0; times < 2; times++) {
        const killed = await archiver('mapping', rebuild, { ARCHIVER_FAULT: point })
        const isDone = point === 'rebuild.swapped' && times > 0
        assert.equal(killed.code, isDone ? 0 : 128 + 9, killed.output)
        assert.deepEqual(await notOnce(prefix, topic, 0), { total: 60, doubled: [] })
      }
      const next = await archiver('mapping', rebuild)
      assert.equal(next.code, 0, next.output)
      assert.deepEqual(await notOnce(prefix, topic, 0), { total: 60, doubled: [] })
      const aliases = await elasticsearch<Record<string, unknown>>('GET', `/_alias/${index}`)
      assert.deepEqual(Object.keys(aliases), [`rebuilt-${index}-1`])
      // Nothing holds workers back.
      await elasticsearch('PUT', `/${index}/_settings`, { index: { refresh_interval: '1s' } })
      const settings = await elasticsearch<object>('GET', `/${index}/_settings`)
      assert.doesNotMatch(JSON.stringify(settings), /"blocks"/)
      const verified = await archiver('verify', ['--no-kafka', '--values', '--deep'])
      assert.equal(verified.code, 0, verified.output)
    })
})
