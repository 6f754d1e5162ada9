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

const isThere = (tool: string) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0
const withJq = isThere('jq')

const runners: readonly (readonly [string, boolean, (code: string, root: string) => string])[] = [
  ['sh', true, (code, cwd) => execFileSync('bash', ['-o', 'pipefail', '-c', code], { cwd, encoding: 'utf8' })],
  ['python', isThere('python3'), (code, cwd) => execFileSync('python3', ['-c', code], { cwd, encoding: 'utf8' })],
  ['sql', isThere('duckdb'), (code, cwd) => execFileSync('duckdb', ['-csv', '-c', code], { cwd, encoding: 'utf8' })],
]

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

  const printed = runners.flatMap(([language, isUsable, run]) => {
    const found = examples(language)
    assert.ok(found.length > 0, language)
    const usable = isUsable ? found.filter((code) => withJq || !code.includes('jq')) : []
    return usable.map((code) => run(code, root))
  })
  assert.ok(printed.every((output) => output.trim() !== ''))
  assert.ok(printed.includes(`${order(0)}\n${order(1)}\n${order(2)}\n`), 'the values as they were sent')
  if (withJq) {
    assert.match(printed.join(''), /^ *20 DE\n *10 FR$/m)
    assert.match(printed.join(''), /"offset":5,/)
    assert.ok(printed.includes('40\n'))
  }
  if (isThere('python3')) assert.ok(printed.includes('45.0\n'))
})
