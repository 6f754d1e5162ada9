import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { configurationReference } from '../../../docs/reference.ts'
import * as archiveOptions from '../../../src/config/archive.ts'
import * as config from '../../../src/config/config.ts'
import { flagName } from '../../../src/config/options.ts'

it('docs/configuration.md is what `npm run docs` writes', () => {
  const path = fileURLToPath(new URL('../../../docs/configuration.md', import.meta.url))
  assert.equal(
    readFileSync(path, 'utf8'),
    configurationReference(),
    'the options changed: npm run docs',
  )
})

it('names a switch that is on by its opposite, in the flag, the variable and the default alike', () => {
  assert.match(
    configurationReference(),
    /^\| `--no-files`<br>`ARCHIVER_NO_FILES` \| off \| Keep no files\. \|$/m,
  )
  assert.match(configurationReference(), /^\| `--kafka-tls`<br>`ARCHIVER_KAFKA_TLS` \| off \|/m)
  assert.doesNotMatch(
    configurationReference(),
    /`--no-[a-z-]+`<br>`ARCHIVER_(?!NO_)[A-Z_]+` \| (on|off)/,
  )
})

it('has every option of every command', () => {
  const reference = configurationReference()
  const declared = Object.entries({ ...config, ...archiveOptions }).filter(([name]) =>
    name.endsWith('Options'),
  )
  assert.ok(declared.length > 12)
  for (const [, options] of declared.filter(([, value]) => typeof value === 'object')) {
    for (const key of Object.keys(options))
      assert.match(reference, new RegExp(`\`--(no-)?${flagName(key)}[ \`]`))
  }
})
