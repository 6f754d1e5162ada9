import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { refusalOf } from '../../deploy/release-gate.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const notes = (heading: string, ...lines: string[]) =>
  ['# Changelog', '', `## ${heading}`, '', ...lines, ''].join('\n')

test('a release needs a dated section of its version that says something', () => {
  assert.equal(refusalOf(notes('0.2.0, 2026-12-01', '- New.'), '0.2.0'), undefined)
  assert.match(
    refusalOf(notes('0.2.0, unreleased', '- New.'), '0.2.0')!,
    /"0.2.0, unreleased"; expected "0.2.0, YYYY/,
  )
  assert.match(
    refusalOf(notes('0.2.0, 2026-12-01', '- New.'), '0.3.0')!,
    /of 0.2.0, the release of 0.3.0/,
  )
  assert.match(refusalOf(notes('0.2.0, 2026-12-01', 'Soon.'), '0.2.0')!, /says nothing/)
  assert.match(refusalOf('# Changelog\n', '0.2.0')!, /no section/)
})

test('npm version asks the gate first', () => {
  const { status, stderr } = spawnSync('npm', ['run', '--silent', 'preversion'], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, npm_new_version: '9.9.9' },
  })
  assert.equal(status, 1)
  assert.match(stderr, /^release refused: /m)
})
