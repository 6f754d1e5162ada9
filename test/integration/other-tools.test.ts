import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createScenario } from '../helpers/scenario.ts'
import { createTopic, produce } from '../helpers/servers.ts'

/** The examples of docs/reading-with-other-tools.md, run in an archive, as far as their tools are on this machine. */

const page = readFileSync(fileURLToPath(new URL('../../docs/reading-with-other-tools.md', import.meta.url)), 'utf8')
const examples = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]+?)^\`\`\`$`, 'gm'))].map(([, code]) => code!)

const works = (tool: string, ...argv: readonly string[]) => spawnSync(tool, argv, { stdio: 'ignore' }).status === 0
const withJq = works('jq', '--version')
const withPython = works('python3', '--version')

/** DuckDB is a program, or a module of Python; both print rows as CSV. */
const duckdbs = [
  ['duckdb', '-csv', '-c'],
  ['python3', '-c', 'import duckdb, sys; [print(*row, sep=",") for row in duckdb.sql(sys.argv[1]).fetchall()]'],
] as const
const duckdb = duckdbs.find(([tool, ...argv]) => works(tool, ...argv, 'SELECT 1'))

/** How the examples of a language are run; undefined where nothing here runs them. */
const runners: Readonly<Record<string, readonly string[] | undefined>> = {
  sh: ['bash', '-o', 'pipefail', '-c'],
  python: withPython ? ['python3', '-c'] : undefined,
  sql: duckdb,
}

it('runs every example of the page whose tool is here', async (t) => {
  const topic = await createTopic(t)
  const noon = Date.parse('2019-08-01T03:00:00Z')
  const order = (i: number) => `{"type":"object.one","country":"${i % 3 === 0 ? 'FR' : 'DE'}","amount":1.50}`
  const request = (i: number) => `{"type":"object.two","latency_ms":${i}.5}`
  await produce(
    t,
    topic,
    Array.from({ length: 40 }, (_, i) => ({ value: i < 30 ? order(i) : request(i), timestamp: noon + i })),
  )
  const { root, untilEnd } = await createScenario(t)
  assert.equal((await untilEnd('--topics', topic, '--no-elasticsearch')).code, 0)

  const printed = Object.entries(runners).flatMap(([language, runner]) => {
    const found = examples(language)
    assert.ok(found.length > 0, language)
    const usable = runner === undefined ? [] : found.filter((code) => withJq || !code.includes('jq'))
    const left = found.length - usable.length
    if (left > 0)
      t.diagnostic(`NOT RUN: ${left} of ${found.length} examples in ${language}: its tool is not on this machine`)
    return usable.map((code) => {
      const [tool, ...argv] = runner!
      return execFileSync(tool!, [...argv, code], { cwd: root, encoding: 'utf8' })
    })
  })
  assert.ok(printed.every((output) => output.trim() !== ''))
  assert.ok(printed.includes(`${order(0)}\n${order(1)}\n${order(2)}\n`), 'the values as they were sent')
  if (withJq) {
    assert.match(printed.join(''), /^ *20 DE\n *10 FR$/m)
    assert.match(printed.join(''), /"offset":5,/)
    assert.ok(printed.includes('40\n'))
  }
  if (withPython) assert.ok(printed.includes('45.0\n'))
  if (duckdb !== undefined) {
    assert.match(printed.join(''), /^03,10,35\.0$/m)
    assert.match(printed.join(''), /^DE,20,30\.00$/m)
  }
})
