import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Elasticsearch } from '../../src/elasticsearch/client/client.ts'
import { installedProfile } from '../../src/elasticsearch/templates/cluster.ts'
import { compareTemplates } from '../../src/elasticsearch/templates/compare.ts'
import { installTemplates } from '../../src/elasticsearch/templates/install.ts'
import { readTemplates } from '../../src/elasticsearch/templates/shipped.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { batchOf, openSink } from '../helpers/elasticsearch-sink.ts'
import {
  elasticsearch,
  elasticsearchUrl,
  indexPrefix,
  uniqueName,
  until,
} from '../helpers/servers.ts'
import { json, standIn } from '../helpers/stand-in-elasticsearch.ts'

const quiet = createLogger({ level: 'silent', stream: process.stderr })

async function client(t: TestContext, node = elasticsearchUrl): Promise<Elasticsearch> {
  const made = new Elasticsearch({ nodes: [node], compression: false, requestTimeoutMs: 30_000 })
  t.after(() => made.close())
  await made.detect()
  return made
}

interface Resolved {
  readonly template: {
    readonly settings: { readonly index: Readonly<Record<string, unknown>> }
    readonly mappings: { readonly properties: Readonly<Record<string, unknown>> }
  }
}

const simulated = (index: string) =>
  elasticsearch<Resolved>('POST', `/_index_template/_simulate_index/${index}`)

test('what is installed is what is compared, twice over, and indices of each kind get theirs', async (t) => {
  const prefix = indexPrefix(t)
  const es = await client(t)
  await installTemplates(es, prefix, quiet)
  await installTemplates(es, prefix, quiet)
  assert.deepEqual(await compareTemplates(es, prefix), [])
  const ordinary = await simulated(`${prefix}object.one-2019.08.01`)
  assert.equal(ordinary.template.settings.index.auto_expand_replicas, '0-1')
  assert.equal((ordinary.template.mappings.properties.value as { dynamic: string }).dynamic, 'true')
  const untyped = await simulated(`${prefix}_untyped-2019.08.01`)
  assert.deepEqual(untyped.template.mappings.properties.value, { type: 'object', enabled: false })
  for (const kind of ['_rejected', '_malformed']) {
    const { template } = await simulated(`${prefix}${kind}-2019.08.01`)
    assert.equal((template.mappings.properties.value_text as { type: string }).type, 'text', kind)
  }
})

test('setup --check tells each difference and ends with 1; setup mends what is ours', async (t) => {
  const prefix = indexPrefix(t)
  const es = await client(t)
  await installTemplates(es, prefix, quiet)
  const ours = readTemplates(prefix).filter(({ name }) => name.startsWith(prefix))
  const [archive, malformed, rejected, untyped] = ours.sort((a, b) => (a.name < b.name ? -1 : 1))
  const put = (name: string, body: unknown) =>
    elasticsearch('PUT', `/_index_template/${name}`, body)
  await put(archive!.name, { ...archive!.body, version: 0 })
  await put(malformed!.name, { ...malformed!.body, version: 1_000_000 })
  await put(rejected!.name, {
    ...rejected!.body,
    composed_of: ['archive@settings'],
    ignore_missing_component_templates: [],
  })
  await elasticsearch('DELETE', `/_index_template/${untyped!.name}`)
  await put(`${prefix}other-team`, {
    index_patterns: [`${prefix}orders-*`],
    priority: 300,
    template: { mappings: { dynamic: 'strict' } },
  })
  await put(`${prefix}below`, { index_patterns: [`${prefix}*`], priority: 7, template: {} })
  await put(`${prefix}elsewhere`, {
    index_patterns: [`other-${prefix}*`],
    priority: 700,
    template: {},
  })
  await put(`${prefix}friend`, {
    index_patterns: [`${prefix}friend-*`],
    priority: 400,
    composed_of: ['archive@settings', 'archive@envelope', 'archive@value'],
  })

  const found = (await compareTemplates(es, prefix)).sort((a, b) => (a.name < b.name ? -1 : 1))
  assert.deepEqual(
    found.map(({ name, state }) => [name, state]),
    [
      [archive!.name, 'older'],
      [malformed!.name, 'newer'],
      [rejected!.name, 'changed'],
      [untyped!.name, 'missing'],
      [`${prefix}other-team`, 'overridden'],
    ],
  )
  assert.match(found[2]!.message, /composed_of/)
  assert.match(found[4]!.message, /orders-x/)

  const checked = await runArchiver(t, ['setup', '--check', '--index-prefix', prefix])
  assert.equal(checked.code, 1, checked.output)
  for (const { message } of found) assert.ok(checked.output.includes(message), message)

  const mended = await runArchiver(t, ['setup', '--index-prefix', prefix])
  assert.equal(mended.code, 0, mended.output)
  assert.ok(mended.output.includes(found[4]!.message), 'what still wins over ours is said')
  assert.deepEqual(
    (await compareTemplates(es, prefix)).map(({ state }) => state),
    ['newer', 'overridden'],
  )
})

test('a worker says what wins over our templates, and puts back one that is deleted while it runs', async (t) => {
  const prefix = indexPrefix(t)
  const foreign = (name: string) =>
    elasticsearch('PUT', `/_index_template/${prefix}${name}`, {
      index_patterns: [`${prefix}${name}-*`],
      priority: 300,
      template: { mappings: { dynamic: 'strict' } },
    })
  await foreign('orders')
  const { sink, said } = await openSink(t, {
    nodes: [elasticsearchUrl],
    indexPrefix: prefix,
    installTemplates: true,
    indexProfile: 'lean',
    templateCheckMs: 100,
  })
  const warnings = (name: string) =>
    said('warn').filter((message) => message.includes(`${prefix}${name} (`)).length
  assert.equal(warnings('orders'), 1)
  await foreign('invoices')
  await until('the new one is said', () => warnings('invoices') === 1)
  const es = await client(t)
  const ours = readTemplates(prefix, 'lean').filter(({ name }) => name.startsWith(prefix))
  for (const { name } of ours) await elasticsearch('DELETE', `/_index_template/${name}`)
  await until(
    'all are there again',
    async () => (await compareTemplates(es, prefix, 'lean')).length === 2,
  )
  await sink.stop()
  assert.equal(await installedProfile(es, prefix), 'lean')
  assert.equal(warnings('orders'), 1, 'said once')
  assert.equal(said('warn').length, 2, said('warn').join())
})

test('two workers that start at the same moment, and write to indices that neither has met', async (t) => {
  const prefix = indexPrefix(t)
  const topic = uniqueName('topic')
  const open = () =>
    openSink(t, {
      nodes: [elasticsearchUrl],
      indexPrefix: prefix,
      installTemplates: true,
      bulkLingerMs: 0,
    })
  const workers = await Promise.all([open(), open()])
  assert.deepEqual(await compareTemplates(await client(t), prefix), [])
  const values = Array.from({ length: 60 }, (_, i) => `{"type":"type-${i % 6}","n":${i}}`)
  // Each its own partition, and one as if it had been taken from the other.
  await Promise.all(
    workers.flatMap(({ write }, partition) => [
      write(batchOf(topic, values, { partition })),
      write(batchOf(topic, values, { partition: 2 })),
    ]),
  )
  await elasticsearch('POST', `/${prefix}*/_refresh`)
  assert.equal((await elasticsearch<{ count: number }>('GET', `/${prefix}*/_count`)).count, 180)
  for (const { sink, said, counts } of workers) {
    assert.equal(counts.rejected, 0)
    assert.deepEqual([...said('warn'), ...said('error')], [])
    await sink.stop()
  }
  const mappings = await elasticsearch<
    Record<string, { mappings: { properties: { value: { dynamic: string } } } }>
  >('GET', `/${prefix}*/_mapping`)
  for (const [
    index,
    {
      mappings: { properties },
    },
  ] of Object.entries(mappings)) {
    assert.equal(properties.value.dynamic, 'true', `${index} was made before its template`)
  }
})

test('archive@custom of the user lies over ours', async (t) => {
  const prefix = indexPrefix(t)
  const field = uniqueName('place')
  await installTemplates(await client(t), prefix, quiet)
  await elasticsearch('PUT', '/_component_template/archive@custom', {
    template: {
      settings: { 'index.max_result_window': 20_000 },
      mappings: { properties: { value: { properties: { [field]: { type: 'geo_point' } } } } },
    },
  })
  t.after(() =>
    elasticsearch('DELETE', '/_component_template/archive@custom', undefined, [400, 404]),
  )
  const { template } = await simulated(`${prefix}a-2019.08.01`)
  assert.equal(template.settings.index.max_result_window, '20000')
  const { properties } = template.mappings.properties.value as {
    properties: Record<string, unknown>
  }
  assert.deepEqual(properties[field], { type: 'geo_point' })
  assert.deepEqual(await compareTemplates(await client(t), prefix), [])
})

test('with lifecycle management the policy comes before the template that names it, and an edited policy stays', async (t) => {
  const server = await standIn(t)
  server.intercept = ({ method, path }, response) =>
    path === '/_ilm/status'
      ? json(response, 200, { operation_mode: 'RUNNING' })
      : path === '/_index_template' &&
        method === 'GET' &&
        json(response, 200, { index_templates: [] })
  const es = await client(t, server.url)
  await installTemplates(es, 'archive-', quiet)
  const puts = () =>
    server.requests
      .filter(({ method }) => method === 'PUT')
      .map(({ path }) => decodeURIComponent(path))
  assert.equal(puts()[0], '/_ilm/policy/archive')
  assert.ok(puts().includes('/_component_template/archive@lifecycle'))
  server.requests.length = 0
  let policy: unknown
  const before = server.intercept
  server.intercept = (request, response) => {
    if (request.method === 'GET' && request.path === '/_ilm/policy/archive') {
      policy = {
        _meta: { managed_by: 'archiver', version: 1 },
        phases: { delete: { min_age: '30d' } },
      }
      return json(response, 200, { archive: { version: 7, policy } })
    }
    return before(request, response)
  }
  await installTemplates(es, 'archive-', quiet, { mend: true })
  assert.deepEqual(puts(), [])
  assert.ok(policy !== undefined)
})

test('without lifecycle management nothing of it is installed', async (t) => {
  const server = await standIn(t)
  await installTemplates(await client(t, server.url), 'archive-', quiet)
  const puts = server.requests
    .filter(({ method }) => method === 'PUT')
    .map(({ path }) => decodeURIComponent(path))
  assert.ok(puts.length >= 8)
  assert.deepEqual(
    puts.filter((path) => path.includes('lifecycle') || path.startsWith('/_ilm')),
    [],
  )
})

test('a template that the cluster refuses ends the start with one line', async (t) => {
  const server = await standIn(t)
  server.intercept = ({ method, path }, response) =>
    method === 'PUT' &&
    path.startsWith('/_component_template') &&
    json(response, 403, {
      error: { type: 'security_exception', reason: 'action is unauthorized' },
      status: 403,
    })
  const { code, output } = await runArchiver(t, ['setup', '--elasticsearch', server.url])
  assert.equal(code, 1)
  assert.match(
    output,
    /archiver: Elasticsearch did not take template archive@envelope: security_exception \(403\): action is unauthorized; grant/,
  )
  assert.equal(output.trim().split('\n').length, 1)
})

test('a prefix that begins with another, or that somebody else uses, is refused before anything is installed', async (t) => {
  const prefix = indexPrefix(t)
  const setup = (indexPrefix: string) => runArchiver(t, ['setup', '--index-prefix', indexPrefix])
  const installed = async (beginning: string) => {
    const { index_templates: all } = await elasticsearch<{ index_templates: { name: string }[] }>(
      'GET',
      '/_index_template',
    )
    return all.map(({ name }) => name).filter((name) => name.startsWith(beginning))
  }
  assert.equal((await setup(`${prefix}x-`)).code, 0)
  for (const nested of [`${prefix}x-eu-`, prefix]) {
    const before = await installed(prefix)
    const { code, output } = await setup(nested)
    assert.equal(code, 2, output)
    assert.match(
      output,
      new RegExp(
        `index template ${prefix}x-archive .* of another archive .* Nothing was installed`,
      ),
    )
    assert.deepEqual(await installed(prefix), before)
  }
  await elasticsearch('PUT', `/_index_template/${prefix}team`, {
    index_patterns: [`${prefix}logs-*-*`],
    priority: 100,
  })
  const refused = await setup(`${prefix}logs-`)
  assert.equal(refused.code, 2, refused.output)
  assert.match(
    refused.output,
    new RegExp(`index template ${prefix}team .* the same priority \\(100\\)`),
  )
  assert.deepEqual(await installed(`${prefix}logs-`), [])
})
