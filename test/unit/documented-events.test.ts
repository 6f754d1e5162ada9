import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Events for those who look for a mistake of this program: there is nothing to be done. */
const onlyDebug = new Set([
  'bounds_unknown',
  'consumer_ended',
  'lines_spilled',
  'not_disconnected',
  'offset_differs',
  'partition_compacted',
  'partition_opened',
  'priority_unchanged',
  'range_flushed',
  'staging_left',
])

/** Events of status documents, which have the same word. A label of Kibana has a capital. */
const ofDocuments = new Set(['gap', 'pause', 'proposal'])

function eventsOfSource(): string[] {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  return files
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => readFileSync(join(root, 'src', name), 'utf8'))
    .flatMap((text) => [...text.matchAll(/\bevent: '([a-z][^']*)'/g)].map(([, event]) => event!))
}

test('what to do about an event is in docs/operations.md, by its name', () => {
  const page = readFileSync(join(root, 'docs/operations.md'), 'utf8')
  const [, section] = /\n## Events\n([\s\S]*?)\n## /.exec(page) ?? []
  assert.ok(section !== undefined)
  const documented = new Set([...section.matchAll(/\*\*`([a-z_]+)`\*\*/g)].map(([, name]) => name!))
  const events = new Set(eventsOfSource().filter((event) => !ofDocuments.has(event)))
  assert.ok(events.size > 60, `${[...events].join()}`)
  for (const event of events) {
    assert.match(event, /^[a-z]+(_[a-z0-9]+)*$/, event)
    assert.equal(documented.has(event), !onlyDebug.has(event), event)
  }
  for (const event of documented) assert.ok(events.has(event), `${event} is in no log line`)
})
