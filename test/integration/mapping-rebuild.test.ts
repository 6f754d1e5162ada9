import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { test } from 'node:test'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { IndexNames } from '../../src/elasticsearch/index-name.ts'
import { Lease } from '../../src/elasticsearch/rebuild/lease.ts'
import { addFlushes } from '../helpers/archive.ts'
import { batchOf, openSink, someTime } from '../helpers/elasticsearch-sink.ts'
import { statsOf } from '../helpers/numbers.ts'
import { indexedDay, notOnce, order } from '../helpers/rebuild.ts'
import { elasticsearch, elasticsearchUrl, until } from '../helpers/servers.ts'

test('a day is rebuilt beside a worker that writes to it: each record is found once throughout', async (t) => {
  const day = await indexedDay(t, 400)
  const { prefix, topic, index, archiver } = day
  const applied = await archiver('mapping', ['--type', 'shop', '--apply'])
  assert.equal(applied.code, 0, applied.output)

  const { write, counts } = await openSink(t, { nodes: [elasticsearchUrl], indexPrefix: prefix })
  let offset = 0
  let isOver = false
  const written: Promise<void>[] = []
  const writing = (async () => {
    while (!isOver) {
      const values = Array.from({ length: 5 }, (_, i) => order(offset + i))
      written.push(
        write(batchOf(topic, values, { partition: 1, from: offset, timestamp: someTime })),
      )
      offset += values.length
      await new Promise((resolve) => setTimeout(resolve, 40))
    }
  })()
  const seen: { total: number; doubled: readonly number[] }[] = []
  const failures: string[] = []
  const polling = (async () => {
    while (!isOver) {
      try {
        seen.push(await notOnce(prefix, topic, 0))
        const { doubled } = await notOnce(prefix, topic, 1)
        assert.deepEqual(doubled, [])
      } catch (error) {
        failures.push(String(error))
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()

  // Killed when workers wait already: what it did is undone or done by the next one.
  const rebuild = ['--type', 'shop', '--rebuild', '2019-08-01..2019-08-02']
  const dry = await archiver('mapping', [...rebuild, '--dry-run'])
  assert.match(dry.output, /shop-2019\.08\.01: it has another mapping, and would be rebuilt/)
  const client = new Elasticsearch({
    ...{ nodes: [elasticsearchUrl], compression: false, requestTimeoutMs: 10_000 },
  })
  t.after(() => client.close())
  const { leases } = new IndexNames(prefix)
  const { signal } = new AbortController()
  const lease = await Lease.take(client, { index: leases, name: index, signal })
  const second = await archiver('mapping', rebuild)
  assert.equal(second.code, 1, second.output)
  const holder = `process ${process.pid} on ${hostname()}, since \\d{4}-.*Z: wait for it`
  assert.match(second.output, new RegExp(`^archiver: ${index} is being rebuilt by ${holder}$`, 'm'))
  await lease.release()
  const killed = await archiver('mapping', rebuild, { ARCHIVER_FAULT: 'rebuild.blocked' })
  assert.equal(killed.code, 128 + 9, killed.output)
  const rebuilt = await archiver('mapping', rebuild)
  assert.equal(rebuilt.code, 0, rebuilt.output)
  assert.match(rebuilt.output, /shop-2019\.08\.01: rebuilt with 360 records of the files, and \d+/)
  assert.match(rebuilt.output, /shop-2019\.08\.02: there is no such index/)
  isOver = true
  await Promise.all([writing, polling])
  await Promise.all(written)

  assert.ok(seen.length > 5, `${seen.length} looks`)
  for (const { total, doubled } of seen) assert.deepEqual([total, doubled], [400, []])
  // A search that ran while the old index went may fail, and says so.
  assert.ok(failures.length <= 2, failures.join('\n'))
  await until('all late records are found', async () => {
    await elasticsearch('POST', `/${prefix}*/_refresh`)
    return (await notOnce(prefix, topic, 1)).total === offset
  })
  assert.equal(counts.rejected, 0)
  const aliases = await elasticsearch<Record<string, unknown>>('GET', `/_alias/${index}`)
  assert.deepEqual(Object.keys(aliases), [`rebuilt-${index}-1`])
  const { count } = (await statsOf(index, ['value.price'])).get('value.price')!
  assert.equal(count, 360 + offset)

  // The files get the late records with the next flush.
  const flushed = Array.from({ length: offset }, (_, i) => ({
    offset: i,
    timestamp: someTime,
    key: null,
    value: Buffer.from(order(i)),
  }))
  await addFlushes(day.root, [{ tp: { topic, partition: 1 }, flushes: [flushed] }])
  const verified = await archiver('verify', ['--no-kafka', '--values', '--deep'])
  assert.equal(verified.code, 0, verified.output)

  const again = await archiver('mapping', rebuild)
  assert.match(again.output, /it has this mapping already/)
  const pruned = await archiver('prune', ['--older-than', '30d', '--no-files'])
  const records = (360 + offset).toLocaleString('en-US')
  assert.match(pruned.output, new RegExp(`rebuilt-${index}-1 +index +${records}`))
  await elasticsearch('GET', `/_alias/${index}`, undefined, [404])
})

test('a mapping that refuses a record leaves the day as it was, without a block', async (t) => {
  const { prefix, index, topic, archiver } = await indexedDay(t, 40)
  const applied = await archiver('mapping', ['--type', 'shop', '--apply'])
  assert.equal(applied.code, 0, applied.output)
  await elasticsearch('PUT', '/_component_template/archive@strict', {
    template: { mappings: { properties: { value: { type: 'object', dynamic: 'strict' } } } },
  })
  const name = `${prefix}strict`
  await elasticsearch('PUT', `/_index_template/${name}`, {
    index_patterns: [`${prefix}shop-2019*`],
    priority: 900,
    composed_of: ['archive@settings', 'archive@envelope', 'archive@strict'],
  })
  t.after(async () => {
    await elasticsearch('DELETE', `/_index_template/${name}`, undefined, [404])
    await elasticsearch('DELETE', '/_component_template/archive@strict', undefined, [404])
  })
  const refused = await archiver('mapping', ['--type', 'shop', '--rebuild', '2019-08-01'])
  assert.equal(refused.code, 1, refused.output)
  assert.match(
    refused.output,
    /refuses .*\+0\+0: strict_dynamic_mapping_exception.*old index stays/,
  )
  assert.deepEqual(await notOnce(prefix, topic, 0), { total: 40, doubled: [] })
  await elasticsearch('PUT', `/${index}/_create/x`, { kafka: { topic: 'other' } })
  const foreign = await archiver('mapping', ['--type', 'shop', '--rebuild', '2019-08-01'])
  assert.match(foreign.output, /1 documents that are no records/)
})

test('aliases and a write block of somebody stay; a closed index is left alone', async (t) => {
  const { index, archiver } = await indexedDay(t, 40)
  const applied = await archiver('mapping', ['--type', 'shop', '--apply'])
  assert.equal(applied.code, 0, applied.output)
  const rebuild = ['--type', 'shop', '--rebuild', '2019-08-01']
  await elasticsearch('PUT', `/${index}/_create/x`, { kafka: { topic: 'other' } })
  await elasticsearch('POST', `/${index}/_close`)
  const closed = await archiver('mapping', rebuild)
  assert.equal(closed.code, 2, closed.output)
  assert.match(closed.output, new RegExp(`^archiver: ${index} is closed: open it`, 'm'))
  await elasticsearch('POST', `/${index}/_open?wait_for_active_shards=1`)
  await elasticsearch('DELETE', `/${index}/_doc/x`)

  const alias = `${index}-theirs`
  const filter = { term: { 'kafka.partition': 0 } }
  await elasticsearch('PUT', `/${index}/_alias/${alias}`, { filter, routing: '1' })
  await elasticsearch('PUT', `/${index}/_block/write`)
  const interrupted = await archiver('mapping', rebuild, { ARCHIVER_FAULT: 'rebuild.caught-up' })
  assert.equal(interrupted.code, 128 + 9, interrupted.output)
  const rebuilt = await archiver('mapping', rebuild)
  assert.equal(rebuilt.code, 0, rebuilt.output)
  const target = `rebuilt-${index}-1`
  assert.deepEqual(await elasticsearch('GET', `/${target}/_alias`), {
    [target]: {
      aliases: { [index]: {}, [alias]: { filter, index_routing: '1', search_routing: '1' } },
    },
  })
  const blocks = await elasticsearch('GET', `/${index}/_settings?filter_path=*.*.index.blocks`)
  assert.deepEqual(blocks, { [target]: { settings: { index: { blocks: { write: 'true' } } } } })
})
