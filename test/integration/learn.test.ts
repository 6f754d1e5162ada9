import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runArchiver } from '../helpers/archiver.ts'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, elasticsearch, produce } from '../helpers/servers.ts'

test('a worker proposes a mapping that fits, until it is installed; it applies nothing', async (t) => {
  const topic = await createTopic(t, { partitions: 1 })
  const { untilEnd, root, prefix } = await createScenario(t)
  const send = (more: string) =>
    produce(
      t,
      topic,
      Array.from({ length: 150 }, (_, i) => ({
        value: `{"type":"order","id":${i},"total":"${i}.50","ordered":"2019-08-01T03:23:03Z"${more}}`,
      })),
    )
  const learn = async () => {
    const { code, output } = await untilEnd('--topics', topic, '--learn', '--status-documents')
    assert.equal(code, 0, output)
    return output
      .split('\n')
      .filter((line) => line.includes('"event":"mapping_outgrown"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }
  await send('')
  const [first, ...others] = await learn()
  assert.deepEqual(others, [])
  assert.equal(first?.type, 'order')
  assert.equal(first.command, 'archiver mapping --type order --apply')
  assert.deepEqual(
    (first.fields as { name: string; mapped: string; proposed: string }[]).map(
      ({ name, mapped, proposed }) => [name, mapped, proposed],
    ),
    [
      ['ordered', 'default', 'date'],
      ['total', 'default', 'double'],
    ],
  )
  await elasticsearch('POST', '/archiver-status-*/_refresh')
  const told = await elasticsearch<{ hits: { hits: { _source: Record<string, unknown> }[] } }>(
    'POST',
    '/archiver-status-*/_search',
    {
      query: {
        bool: { filter: [{ term: { index_prefix: prefix } }, { term: { event: 'proposal' } }] },
      },
    },
  )
  assert.deepEqual(
    told.hits.hits.map(({ _source: { type, reason, count } }) => [type, reason, count]),
    [['order', 'ordered as date, total as double', 1]],
  )
  const installed = async () =>
    JSON.stringify(await elasticsearch('GET', `/_index_template/${prefix}*`))
  assert.ok(!(await installed()).includes('@mapping'), 'nothing was applied')

  const apply = await runArchiver(t, [
    ...['mapping', '--type', 'order', '--apply', '--yes'],
    ...['--archive-dir', root, '--index-prefix', prefix],
  ])
  assert.equal(apply.code, 0, apply.output)
  await send('')
  assert.deepEqual(await learn(), [])
  await send(',"from":"10.0.0.1"')
  const [later] = await learn()
  assert.ok(later !== undefined)
  assert.deepEqual(
    (later.fields as { name: string }[]).map(({ name }) => name),
    ['from'],
  )
})
