import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { type MadeUpRecord, makeArchive } from './archive.ts'
import { runArchiver } from './archiver.ts'
import { someTime } from './elasticsearch-sink.ts'
import { elasticsearch, indexPrefix, uniqueName } from './servers.ts'

/** An archive whose one day is indexed without a mapping of its own. */
export interface IndexedDay {
  readonly prefix: string
  readonly topic: string
  readonly root: string
  readonly records: readonly MadeUpRecord[]
  readonly options: readonly string[]
  /** `archive-shop-2019.08.01`. */
  readonly index: string
  archiver(
    command: string,
    more: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<{ readonly code: number; readonly output: string }>
}

export const order = (i: number) =>
  `{"type":"shop","price":"${i}.50","created":"2019-08-01T03:23:03Z","id":${9007199254740993n + BigInt(i)},"items":[{"qty":1},{"qty":${i}}]}`

export async function indexedDay(t: TestContext, count: number): Promise<IndexedDay> {
  const prefix = indexPrefix(t)
  const topic = uniqueName('orders')
  const records = Array.from({ length: count }, (_, offset) => ({
    offset,
    timestamp: someTime + offset,
    value: Buffer.from(offset % 10 === 9 ? `{"type":"shop-eu","n":${offset}}` : order(offset)),
  }))
  const root = await makeArchive(t, [
    {
      tp: { topic, partition: 0 },
      flushes: [records.slice(0, count >> 1), records.slice(count >> 1)],
    },
  ])
  const options = ['--archive-dir', root, '--index-prefix', prefix]
  const archiver: IndexedDay['archiver'] = (command, more, env) =>
    runArchiver(t, [command, ...options, ...more], env)
  t.after(async () => {
    await elasticsearch('DELETE', `/_index_template/${prefix}shop@mapping`, undefined, [404])
    await elasticsearch('DELETE', `/_component_template/${prefix}shop@mapping`, undefined, [404])
    const made = await elasticsearch<{ index: string }[]>(
      'GET',
      `/_cat/indices/rebuilt-${prefix}*?format=json&h=index`,
    )
    for (const { index } of made) await elasticsearch('DELETE', `/${index}`, undefined, [404])
  })
  const restored = await archiver('restore', ['--to', 'elasticsearch'])
  assert.equal(restored.code, 0, restored.output)
  const index = `${prefix}shop-2019.08.01`
  return { prefix, topic, root, records, options, index, archiver }
}

/** How often each offset of a topic is found, for those that are not found once. */
export async function notOnce(
  prefix: string,
  topic: string,
  partition: number,
): Promise<{ readonly total: number; readonly doubled: readonly number[] }> {
  const { hits, aggregations } = await elasticsearch<{
    hits: { total: { value: number } }
    aggregations: { offsets: { buckets: { key: number }[] } }
  }>('POST', `/${prefix}*/_search?allow_partial_search_results=false`, {
    size: 0,
    track_total_hits: true,
    query: {
      bool: {
        filter: [{ term: { 'kafka.topic': topic } }, { term: { 'kafka.partition': partition } }],
      },
    },
    aggs: { offsets: { histogram: { field: 'kafka.offset', interval: 1, min_doc_count: 2 } } },
  })
  return {
    total: hits.total.value,
    doubled: aggregations.offsets.buckets.map(({ key }) => key),
  }
}
