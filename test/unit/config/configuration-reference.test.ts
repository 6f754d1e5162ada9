import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { configurationReference } from '../../../docs/reference.ts'
import { everyOption } from '../../../src/config/commands.ts'
import { flagName } from '../../../src/config/options.ts'

it('docs/configuration.md is what `npm run docs` writes', () => {
  const path = fileURLToPath(new URL('../../../docs/configuration.md', import.meta.url))
  assert.equal(
    readFileSync(path, 'utf8'),
    configurationReference(),
    'the options changed: npm run docs',
  )
})

it('says what a switch does when it is on, and how to turn it off', () => {
  const reference = configurationReference()
  assert.match(
    reference,
    /^\| `--files`<br>`--no-files`<br>`ARCHIVER_FILES` \| on \| Write the gzip JSONL archive\. --no-files turns it off\./m,
  )
  assert.match(reference, /^\| `--kafka-tls`<br>`ARCHIVER_KAFKA_TLS` \| off \| Connect to brokers/m)
  const on = Object.keys(everyOption).filter((key) => everyOption[key]!.defaultValue === true)
  assert.ok(on.length >= 5)
  for (const key of on) assert.match(reference, new RegExp(`--no-${flagName(key)} turns it off`))
})

it('has every option of every command', () => {
  const reference = configurationReference()
  assert.ok(Object.keys(everyOption).length > 80)
  for (const key of Object.keys(everyOption))
    assert.match(reference, new RegExp(`\`--${flagName(key)}[ \`]`))
})
