import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Rooms all of whose log lines are events. */
const rooms = ['pipeline', 'kafka', 'monitor', 'restore', 'cmd', 'runtime']

/** Events for those who look for a mistake of this program: there is nothing to be done. */
const onlyDebug = new Set([
  'bounds_unknown',
  'consumer_ended',
  'not_disconnected',
  'offset_differs',
  'partition_opened',
  'priority_unchanged',
])

/** Events of status documents, which have the same word. */
const ofDocuments = new Set(['gap', 'pause'])

function eventsOf(folder: string): string[] {
  const files = readdirSync(join(root, 'src', folder), { recursive: true, encoding: 'utf8' })
  return files
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => readFileSync(join(root, 'src', folder, name), 'utf8'))
    .flatMap((text) => [...text.matchAll(/\bevent: '([^']+)'/g)].map(([, event]) => event!))
}

test('what to do about an event is in docs/operations.md, by its name', () => {
  const page = readFileSync(join(root, 'docs/operations.md'), 'utf8')
  const [, section] = /\n## Events\n([\s\S]*?)\n## /.exec(page) ?? []
  assert.ok(section !== undefined)
  const documented = new Set([...section.matchAll(/\*\*`([a-z_]+)`\*\*/g)].map(([, name]) => name!))
  const events = new Set(rooms.flatMap(eventsOf).filter((event) => !ofDocuments.has(event)))
  assert.ok(events.size > 15, `${[...events].join()}`)
  for (const event of events) {
    assert.match(event, /^[a-z]+(_[a-z]+)*$/)
    assert.equal(documented.has(event), !onlyDebug.has(event), event)
  }
  const all = new Set(eventsOf('.'))
  for (const event of documented) assert.ok(all.has(event), `${event} is in no log line`)
})
