import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readSecretFile } from '../../../src/runtime/secret-file.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

test('a file with a secret gives every character but one line break at its end', async (t) => {
  const file = join(await temporaryDirectory(t), 'secret')
  const read = (content: string | Buffer) => {
    writeFileSync(file, content)
    return readSecretFile('--x-file', file)
  }
  const secrets = [
    'a',
    ' a ',
    '007',
    '1e3',
    '#a',
    '*a',
    '"a"',
    'a\tb',
    'a\n',
    '\na',
    'a\r\nb',
    'pässwörd',
    '\ufeffa',
    'null',
    '~',
  ]
  for (const secret of secrets) {
    assert.equal(read(`${secret}\n`), secret)
    assert.equal(read(`${secret}\r\n`), secret)
    if (!/[\r\n]$/.test(secret)) assert.equal(read(secret), secret)
  }
  for (const content of ['', '\n', '\r\n'])
    assert.throws(() => read(content), { code: 'USAGE', message: /^--x-file .* is empty$/ })
  assert.throws(() => read(Buffer.from([0x70, 0xe4, 0x73])), {
    code: 'USAGE',
    message: /^--x-file .* is not UTF-8$/,
  })
  assert.throws(() => readSecretFile('--x-file', `${file}-none`), {
    code: 'USAGE',
    message: /cannot be read: ENOENT/,
  })
})
