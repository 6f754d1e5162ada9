import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

/** Rooms whose log lines are events with advice in docs/operations.md. */
const rooms = ['delivery', 'elasticsearch', 'mysql']

const source = new URL('../../src/', import.meta.url)

function eventsOf(room: string): string[] {
  const folder = new URL(`${room}/`, source)
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const texts = files
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(new URL(file, folder), 'utf8'))
  return texts.flatMap((text) =>
    [...text.matchAll(/\bevent: '([a-z_]+)'/g)].map(([, name]) => name!),
  )
}

test('docs/operations.md says what to do about every event', () => {
  const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const [, section = ''] = /^## Events$([\s\S]+?)^## /m.exec(page) ?? []
  const documented = new Set([...section.matchAll(/\*\*`([a-z_]+)`\*\*/g)].map(([, name]) => name))
  const events = new Set(rooms.flatMap(eventsOf))
  assert.ok(events.size > 20, `${events.size} events`)
  assert.deepEqual(
    [...events].filter((event) => !documented.has(event)),
    [],
  )
})
