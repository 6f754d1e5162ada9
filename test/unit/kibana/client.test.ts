import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { elasticsearchGroup } from '../../../src/config/elasticsearch.ts'
import { kibanaConnection, kibanaGroup } from '../../../src/config/kibana.ts'
import { combine, readOptions } from '../../../src/config/options.ts'
import { Kibana } from '../../../src/kibana/client.ts'
import type { KibanaConnection } from '../../../src/kibana/connection.ts'
import { compareObjects, installObjects } from '../../../src/kibana/install.ts'
import type { SavedObject } from '../../../src/kibana/saved-object.ts'
import { shippedObjects } from '../../../src/kibana/shipped.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { noProxies } from '../../../src/runtime/proxies.ts'
import { type StandInAnswer, startKibana } from '../../helpers/stand-in-kibana.ts'

const objects = shippedObjects('archive-')
const quiet = createLogger({ level: 'silent', stream: process.stderr })

function connect(t: TestContext, url: string, options: Partial<KibanaConnection> = {}): Kibana {
  const kibana = new Kibana({
    url,
    space: undefined,
    username: undefined,
    password: undefined,
    apiKey: undefined,
    caFile: undefined,
    timeoutMs: 10_000,
    ...options,
  })
  t.after(() => kibana.close())
  return kibana
}

/** One line of code `KIBANA` that says all of this. */
function fails(...words: readonly string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof ArchiverError, String(error))
    assert.equal(error.code, 'KIBANA')
    assert.doesNotMatch(error.message, /\n/)
    for (const word of words)
      assert.ok(error.message.includes(word), `"${word}" in: ${error.message}`)
    return true
  }
}

/** An address without a listener. */
async function closedUrl(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return `http://127.0.0.1:${port}`
}

const states = async (kibana: Kibana) =>
  (await compareObjects(kibana, objects)).map(({ state }) => state)

test('an import takes what is missing, and then nothing is to be done', async (t) => {
  const stand = await startKibana(t)
  const kibana = connect(t, stand.url)
  assert.equal(await kibana.ready(0, quiet), '8.12.2')
  assert.deepEqual(new Set(await states(kibana)), new Set(['missing']))
  await installObjects(kibana, objects)
  assert.deepEqual(stand.imports, [objects])
  assert.deepEqual(new Set(await states(kibana)), new Set(['same']))
  await installObjects(kibana, objects)
  assert.equal(stand.imports.length, 1)
})

test('only what is older, or was changed, is imported again', async (t) => {
  const stand = await startKibana(t)
  const kibana = connect(t, stand.url)
  await installObjects(kibana, objects)
  const change = (
    type: string,
    id: string,
    attributes: (of: Readonly<Record<string, unknown>>) => object,
  ) => {
    const object = stand.objects.get(`default ${type} ${id}`)!
    stand.objects.set(`default ${type} ${id}`, {
      ...object,
      attributes: { ...object.attributes, ...attributes(object.attributes) },
    })
  }
  change('dashboard', 'archive-overview', () => ({ title: 'My own' }))
  change('search', 'archive-latest', ({ description }) => ({
    description: (description as string).replace(/\(\w+\)/, '(00000000)'),
  }))
  // Kibana notes in the data view how often fields were used: no person changed it.
  change('index-pattern', 'archive-all', ({ fieldAttrs }) => ({
    fieldAttrs: JSON.stringify({
      ...JSON.parse(fieldAttrs as string),
      'kafka.headers.key': { count: 3 },
    }),
  }))
  const found = await installObjects(kibana, objects)
  const notSame = found
    .filter(({ state }) => state !== 'same')
    .map(({ object, state }) => `${object.id} ${state}`)
  assert.deepEqual(notSame, ['archive-latest older', 'archive-overview changed'])
  assert.deepEqual(
    stand.imports[1]!.map(({ id }) => id),
    ['archive-latest', 'archive-overview'],
  )
})

test('what a newer Kibana has migrated counts as ours by its mark', async (t) => {
  const stand = await startKibana(t, { version: '9.2.0' })
  const kibana = connect(t, stand.url)
  await kibana.ready(0, quiet)
  await installObjects(kibana, objects)
  for (const [key, object] of stand.objects) {
    if (object.type === 'index-pattern') continue
    const { description } = object.attributes
    stand.objects.set(key, {
      ...object,
      typeMigrationVersion: '10.3.0',
      attributes: { description, panels: [] },
    })
  }
  assert.deepEqual(new Set(await states(kibana)), new Set(['same']))
})

test('what others made is left alone', async (t) => {
  const foreign: readonly (readonly [string, Partial<SavedObject>])[] = [
    [
      'dashboard archive-overview',
      { attributes: { title: 'Archive of the library', description: 'Books' } },
    ],
    ['index-pattern archive-all', { attributes: { title: 'archive-books-*' } }],
  ]
  for (const [name, theirs] of foreign) {
    const stand = await startKibana(t)
    const [type, id] = name.split(' ') as [SavedObject['type'], string]
    stand.objects.set(`default ${name}`, { ...objects[0]!, type, id, ...theirs })
    await assert.rejects(
      installObjects(connect(t, stand.url), objects),
      fails(name, 'did not make', 'nothing was imported'),
    )
    assert.equal(stand.imports.length, 0)
  }
})

test('a space has objects of its own, and must be there', async (t) => {
  const stand = await startKibana(t, { spaces: ['plant'] })
  const kibana = connect(t, stand.url, { space: 'plant' })
  await kibana.ready(0, quiet)
  await installObjects(kibana, objects)
  assert.ok([...stand.objects.keys()].every((key) => key.startsWith('plant ')))
  // Ids are unique across spaces; those of the default space are left to it.
  const base = connect(t, stand.url)
  await installObjects(base, objects)
  for (const one of [kibana, base, connect(t, `${stand.url}/s/plant`)]) {
    assert.deepEqual(new Set(await states(one)), new Set(['same']))
    const id = one.dashboardUrl('archive-overview').split('#/view/')[1]!
    const stored = stand.objects.get(`${one.space ?? 'default'} dashboard ${id}`)
    assert.ok(stored !== undefined, id)
    const link = /#\/view\/([\w.-]+)/.exec(stored.attributes.panelsJSON as string)![1]!
    assert.ok(stand.objects.has(`${one.space ?? 'default'} dashboard ${link}`), link)
  }
  await assert.rejects(
    connect(t, stand.url, { space: 'nope' }).ready(0, quiet),
    fails('no space "nope"'),
  )
})

test('credentials are sent, and never shown', async (t) => {
  const basic = `Basic ${Buffer.from('ann:pass word').toString('base64')}`
  const stand = await startKibana(t, {
    answer: () => ({ status: 401, body: { message: 'Unauthorized' } }),
  })
  const refused = async (kibana: Kibana) => {
    await assert.rejects(kibana.ready(0, quiet), (error: Error) => {
      assert.doesNotMatch(error.message, /pass word|pass%20|c2VjcmV0|ann[:@]/)
      return fails('refused', '401')(error)
    })
    return stand.authorization()
  }
  assert.equal(
    await refused(connect(t, stand.url, { username: 'ann', password: 'pass word' })),
    basic,
  )
  assert.equal(await refused(connect(t, stand.url, { apiKey: 'c2VjcmV0' })), 'ApiKey c2VjcmV0')
  const argv = [`--kibana=${stand.url.replace('//', '//ann:pass%20word@')}`]
  const { options } = combine([kibanaGroup, elasticsearchGroup])
  const connection = kibanaConnection(readOptions(options, { argv, env: {} }), noProxies)!
  assert.equal(await refused(connect(t, connection.url, connection)), basic)
  assert.equal(await refused(connect(t, stand.url)), undefined)
})

test('a Kibana that is still starting is waited for, and not for ever', async (t) => {
  const starting = { status: 503, body: 'Kibana server is not ready yet' }
  const stand = await startKibana(t, {
    answer: (_method, path, attempt) =>
      path === '/api/status' && attempt < 2 ? starting : undefined,
  })
  assert.equal(await connect(t, stand.url).ready(10_000, quiet), '8.12.2')
  const never = await startKibana(t, { answer: () => starting })
  await assert.rejects(
    connect(t, never.url).ready(0, quiet),
    fails('still starting', '--kibana-wait'),
  )
  const url = await closedUrl()
  await assert.rejects(connect(t, url).ready(0, quiet), fails('ECONNREFUSED', url))
})

test('a server that is not Kibana, is too old, or needs a login is named as such', async (t) => {
  const cases: readonly (readonly [StandInAnswer, readonly string[]])[] = [
    [
      { status: 200, body: { status: { overall: { level: 'available' } } } },
      ['who asks', '--kibana-user'],
    ],
    [{ status: 200, body: { tagline: 'You Know, for Search' } }, ['not Kibana', '--kibana']],
    [{ status: 404, body: '<html>\n<body>nothing here</body></html>' }, ['not Kibana', '404']],
    [{ status: 302, body: '' }, ['not Kibana', '302']],
    [
      {
        status: 200,
        body: { version: { number: '8.11.4' }, status: { overall: { level: 'available' } } },
      },
      ['8.11.4', '8.12'],
    ],
    [
      {
        status: 200,
        body: { version: { number: '7.17.0' }, status: { overall: { state: 'green' } } },
      },
      ['7.17.0', '8.12'],
    ],
  ]
  for (const [answer, words] of cases) {
    const stand = await startKibana(t, { answer: () => answer })
    await assert.rejects(connect(t, stand.url).ready(0, quiet), fails(...words))
  }
})

test('an import is judged by what the answer says, not by its status', async (t) => {
  const failure = (error: object) => ({
    success: false,
    successCount: 9,
    errors: [{ type: 'dashboard', id: 'archive-overview', meta: {}, error }],
  })
  const cases: readonly (readonly [StandInAnswer, readonly string[]])[] = [
    [
      { status: 200, body: failure({ type: 'conflict' }) },
      ['9 of 10', 'dashboard archive-overview', 'its id'],
    ],
    [
      {
        status: 200,
        body: failure({
          type: 'missing_references',
          references: [{ type: 'index-pattern', id: 'archive-all' }],
        }),
      },
      ['needs index-pattern archive-all'],
    ],
    [{ status: 200, body: failure({ type: 'unsupported_type' }) }, ['does not know such objects']],
    [
      { status: 200, body: failure({ type: 'unknown', message: 'strict mapping' }) },
      ['strict mapping'],
    ],
    // It says success and took less than it was given.
    [{ status: 200, body: { success: true, successCount: 3 } }, ['3 of 10']],
    [{ status: 200, body: '<html>login</html>' }, ['not understood']],
    [
      { status: 403, body: { message: 'Unable to bulk_create dashboard' } },
      ['may not', 'bulk_create dashboard'],
    ],
    [
      { status: 422, body: { message: 'Document belongs to a more recent version' } },
      ['too old', 'more recent'],
    ],
    [{ status: 500, body: { message: 'An internal error' } }, ['500', 'An internal error']],
  ]
  for (const [answer, words] of cases) {
    const stand = await startKibana(t, {
      answer: (_method, path) => (path.endsWith('/_import') ? answer : undefined),
    })
    await assert.rejects(installObjects(connect(t, stand.url), objects), fails(...words))
  }
})
