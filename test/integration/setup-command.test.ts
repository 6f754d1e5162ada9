import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { runArchiver } from '../helpers/archiver.ts'
import { elasticsearchUrl, indexPrefix, temporaryDirectory } from '../helpers/servers.ts'

test('setup prints lines for people, also when piped; a second one says one line; --json prints objects', async (t) => {
  const prefix = indexPrefix(t)
  const setup = async (...argv: string[]) => {
    const { code, output } = await runArchiver(t, ['setup', '--index-prefix', prefix, ...argv])
    assert.equal(code, 0, output)
    return output.trim().split('\n')
  }
  const first = await setup()
  assert.ok(
    first.some(
      (line) =>
        line.startsWith(`installed a template: template ${prefix}archive, kind index_template`) &&
        line.endsWith('was missing'),
    ),
    first.join('\n'),
  )
  assert.match(
    first.at(-1)!,
    new RegExp(`^done: templates for ${prefix}\\* on Elasticsearch [\\d.]+$`),
  )
  const second = (await setup()).filter((line) => !line.startsWith('warning: '))
  assert.equal(second.length, 1)
  assert.match(second[0]!, /^nothing to do: templates for /)
  for (const line of await setup('--json')) assert.equal(typeof JSON.parse(line), 'object')
  const [checked] = (await setup('--check')).slice(-1)
  assert.match(checked!, /^everything is as this version installs it: /)
})

test('dashboard on an index without our template is one line', async (t) => {
  const prefix = indexPrefix(t)
  const index = `${elasticsearchUrl}/${prefix}odd-2019.07.01`
  const headers = { 'content-type': 'application/json' }
  const fields = { '@timestamp': { type: 'text' }, type: { type: 'text' } }
  const made = await fetch(index, {
    method: 'PUT',
    headers,
    body: JSON.stringify({ mappings: { properties: fields } }),
  })
  assert.equal(made.status, 200)
  const document = { '@timestamp': '2019-07-01', type: 'odd', value: { n: 1 } }
  await fetch(`${index}/_doc/1?refresh=true`, {
    method: 'PUT',
    headers,
    body: JSON.stringify(document),
  })
  const out = join(await temporaryDirectory(t), 'd.ndjson')
  const { code, output } = await runArchiver(t, [
    'dashboard',
    '--index-prefix',
    prefix,
    '--type',
    'odd',
    '--out',
    out,
  ])
  assert.equal(code, 1)
  assert.match(
    output,
    /^archiver: Elasticsearch cannot answer about type odd in \S+: .*run setup.*\n$/,
  )
})
