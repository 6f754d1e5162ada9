import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { type TestContext, test } from 'node:test'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { IndexNames } from '../../src/elasticsearch/index-name.ts'
import { Lease } from '../../src/elasticsearch/rebuild/lease.ts'
import { msPerDay } from '../../src/record/time.ts'
import { type DayOutcome, rebuildDay } from '../../src/restore/rebuild.ts'
import { useStack } from '../chaos/stack.ts'
import { addFlushes } from '../helpers/archive.ts'
import { someTime } from '../helpers/elasticsearch-sink.ts'
import { homeAt } from '../helpers/home.ts'
import { type IndexedDay, indexedDay, notOnce, order } from '../helpers/rebuild.ts'
import { elasticsearch, elasticsearchUrl } from '../helpers/servers.ts'

/** A rebuild beside what others do at the same time. The engine is real. */

useStack()

const connection = { nodes: [elasticsearchUrl], compression: false, requestTimeoutMs: 30_000 }

/** Does something before the first request that matches. */
class Interrupted extends Elasticsearch {
  readonly #at: RegExp
  #act: (() => Promise<unknown>) | undefined

  constructor(at: RegExp, act: () => Promise<unknown>) {
    super(connection)
    this.#at = at
    this.#act = act
  }

  override async request<T>(...argv: Parameters<Elasticsearch['request']>) {
    const [method, path] = argv
    if (this.#at.test(`${method} ${path.join('/')}`)) {
      const act = this.#act
      this.#act = undefined
      await act?.()
    }
    return await super.request<T>(...argv)
  }
}

async function mappedDay(t: TestContext): Promise<IndexedDay> {
  const day = await indexedDay(t, 60)
  const applied = await day.archiver('mapping', ['--type', 'shop', '--apply'])
  assert.equal(applied.code, 0, applied.output)
  return day
}

/** Rebuilds in this process; `act` happens before the first request that matches `at`. */
async function rebuild(
  t: TestContext,
  { root, prefix, topic }: IndexedDay,
  at = /^never/,
  act: () => Promise<unknown> = async () => {},
): Promise<DayOutcome> {
  const client = new Interrupted(at, act)
  t.after(() => client.close())
  await client.detect()
  const home = homeAt(root)
  return await rebuildDay(
    {
      ...{ home, client, indexPrefix: prefix, dryRun: false, progress: () => {} },
      types: [{ name: 'shop', reserved: false }],
      partitions: [0, 1].map((partition) => ({ topic, partition })).slice(0, 1),
      signal: new AbortController().signal,
    },
    Math.floor(someTime / msPerDay),
  )
}

const again = ['--type', 'shop', '--rebuild', '2019-08-01']

/** Indices of rebuilds, without that of the leases. */
async function made({ prefix }: IndexedDay): Promise<string[]> {
  const all = await elasticsearch<{ index: string }[]>(
    'GET',
    `/_cat/indices/rebuilt-${prefix}*?format=json&h=index`,
  )
  return all.map(({ index }) => index).filter((index) => !index.endsWith('leases'))
}

/** The day has the new mapping, each record once, and nothing holds workers back. */
async function isWhole(day: IndexedDay): Promise<void> {
  const { prefix, topic, index, archiver } = day
  assert.deepEqual(await notOnce(prefix, topic, 0), { total: 60, doubled: [] })
  const settings = await elasticsearch<object>('GET', `/${index}/_settings`)
  assert.doesNotMatch(JSON.stringify(settings), /"blocks"/)
  const verified = await archiver('verify', ['--no-kafka', '--values', '--deep'])
  assert.equal(verified.code, 0, verified.output)
}

/** Somebody else writes the lease of the day; the process is on this machine, and is no more. */
async function takeLease({ prefix, index }: IndexedDay, holder: object = {}): Promise<void> {
  const { leases } = new IndexNames(prefix)
  await elasticsearch('PUT', `/${leases}/_doc/${index}`, {
    ...{ host: hostname(), pid: 2 ** 22 + 1, since: '2026-01-01T00:00:00Z', ...holder },
  })
}

test('a lease that nobody renews goes to the next; a holder that stood still loses it', async (t) => {
  const day = await mappedDay(t)
  const { leases } = new IndexNames(day.prefix)
  const client = new Elasticsearch(connection)
  t.after(() => client.close())
  const { signal } = new AbortController()
  const of = { index: leases, name: day.index, signal }
  await takeLease(day, { host: 'elsewhere' })
  const started = performance.now()
  const lease = await Lease.take(client, { ...of, staleAfterMs: 1500 })
  assert.ok(performance.now() - started >= 1500)
  await takeLease(day)
  assert.equal(await lease.isHeld(), false)
  assert.equal(lease.lost.aborted, true)
  await lease.release()

  // It stands still before its last step: whatever the other one did stays as it is.
  const lost = rebuild(t, day, /_block\/write$/, () => takeLease(day))
  await assert.rejects(lost, { code: 'BUSY', message: /somebody else rebuilds .*shop-2019/ })
  const { archiver } = day
  const next = await archiver('mapping', again)
  assert.equal(next.code, 0, next.output)
  await isWhole(day)
})

test('a rebuild that lost its lease lifts no write block of the other', async (t) => {
  const day = await mappedDay(t)
  // The first request after the block.
  const lost = rebuild(t, day, new RegExp(`^POST ${day.index}/_refresh$`), async () => {
    await elasticsearch('PUT', `/${day.index}/_block/write`)
    await takeLease(day)
  })
  await assert.rejects(lost, { code: 'BUSY' })
  const settings = await elasticsearch<object>('GET', `/${day.index}/_settings`)
  assert.match(JSON.stringify(settings), /"blocks":\{"write":"true"\}/)
})

test('a day that is deleted meanwhile is not brought back', async (t) => {
  const day = await mappedDay(t)
  const { archiver, index } = day
  const deleted = rebuild(t, day, /_block\/write$/, async () => {
    const pruned = await archiver('prune', ['--older-than', '30d'])
    assert.equal(pruned.code, 0, pruned.output)
  })
  await assert.rejects(deleted, {
    code: 'BUSY',
    message: /shop-2019\.08\.01 was deleted meanwhile/,
  })
  assert.deepEqual(await made(day), [])
  await elasticsearch('GET', `/${index}`, undefined, [404])
})

test('what a killed rebuild has left of a day that is deleted goes with the next one', async (t) => {
  const day = await mappedDay(t)
  const { archiver, index } = day
  const killed = await archiver('mapping', again, { ARCHIVER_FAULT: 'rebuild.copied' })
  assert.equal(killed.code, 128 + 9, killed.output)
  await elasticsearch('DELETE', `/${index}`)
  // A late record makes the day again. What was deleted is in the index that was begun.
  await elasticsearch('PUT', `/${index}`)
  assert.equal((await rebuild(t, day)).is, 'same')
  assert.deepEqual(await made(day), [])

  // The same, where the mapping differs.
  await elasticsearch('DELETE', `/${index}`)
  const older = { mappings: { _meta: { archiver_mapping: 'older' } } }
  await elasticsearch('PUT', `/${index}`, older)
  const other = await archiver('mapping', again, { ARCHIVER_FAULT: 'rebuild.copied' })
  assert.equal(other.code, 128 + 9, other.output)
  await elasticsearch('PUT', `/rebuilt-${index}-1/_create/x`, { kafka: { topic: 'pruned' } })
  await elasticsearch('DELETE', `/${index}`)
  await elasticsearch('PUT', `/${index}`, older)
  assert.equal((await rebuild(t, day)).is, 'rebuilt')
  assert.deepEqual(await made(day), [`rebuilt-${index}-2`])
  await isWhole(day)
})

test('prune takes what a killed rebuild has left of a day, too', async (t) => {
  const day = await mappedDay(t)
  const { archiver, index } = day
  const killed = await archiver('mapping', again, { ARCHIVER_FAULT: 'rebuild.copied' })
  assert.equal(killed.code, 128 + 9, killed.output)
  assert.deepEqual(await made(day), [`rebuilt-${index}-1`])
  const pruned = await archiver('prune', ['--older-than', '30d'])
  assert.equal(pruned.code, 0, pruned.output)
  assert.match(pruned.output, new RegExp(`rebuilt-${index}-1 +index +54`))
  assert.deepEqual(await made(day), [])
})

test('a new index that is deleted meanwhile is never one of another mapping', async (t) => {
  const day = await mappedDay(t)
  const target = `rebuilt-${day.index}-1`
  for (const at of [/_bulk$/, /_block\/write$/, /_aliases$/]) {
    const deleted = rebuild(t, day, at, () => elasticsearch('DELETE', `/${target}`))
    await assert.rejects(deleted, { code: 'BUSY', message: /new index .* was deleted meanwhile/ })
    assert.deepEqual(await made(day), [], String(at))
    assert.deepEqual(await notOnce(day.prefix, day.topic, 0), { total: 60, doubled: [] })
  }
  const { is } = await rebuild(t, day)
  assert.equal(is, 'rebuilt')
  await isWhole(day)
})

test('compact, setup, retry-rejected, another mapping and a flush may come beside a rebuild', async (t) => {
  const day = await mappedDay(t)
  const { archiver, topic, root } = day
  const late = Array.from({ length: 5 }, (_, i) => ({
    ...{ offset: 60 + i, timestamp: someTime, key: null, value: Buffer.from(order(60 + i)) },
  }))
  const steps: readonly (readonly [at: RegExp, ...argv: readonly string[]])[] = [
    [/_bulk$/, 'compact'],
    [/_mget$|_block\/write$/, 'retry-rejected'],
    [/_aliases$/, 'setup'],
    [/_bulk$/, 'mapping', '--type', 'shop', '--apply'],
  ]
  for (const [i, [at, command, ...argv]] of steps.entries()) {
    const { is } = await rebuild(t, day, at, async () => {
      const done = await archiver(command!, argv)
      assert.equal(done.code, 0, done.output)
    })
    assert.equal(is, 'rebuilt', command)
    // The next one makes it again: its template is another one, as after an edit.
    const nested = i % 2 === 0 ? ['--nested', 'items'] : []
    if (command !== 'mapping') await archiver('mapping', ['--type', 'shop', '--apply', ...nested])
  }
  // The mapping that was installed while the day was rebuilt is not the one that it has.
  await addFlushes(root, [{ tp: { topic, partition: 0 }, flushes: [late] }])
  const last = await archiver('mapping', again)
  assert.match(last.output, /rebuilt with 59 records/)
  const { doubled, total } = await notOnce(day.prefix, topic, 0)
  assert.deepEqual({ doubled, total }, { doubled: [], total: 65 })
})
