import assert from 'node:assert/strict'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { renewedCredentials } from '../../../../src/home/s3/credentials.ts'
import { temporaryDirectory } from '../../../helpers/servers.ts'

/** A file of profiles for the time of a test: writes its keys. */
async function profile(t: TestContext) {
  const file = join(await temporaryDirectory(t), 'credentials')
  const before = { ...process.env }
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_PROFILE'])
    delete process.env[name]
  process.env.AWS_SHARED_CREDENTIALS_FILE = file
  process.env.AWS_EC2_METADATA_DISABLED = 'true'
  t.after(() => {
    process.env = before
  })
  const write = (key: string) =>
    writeFile(file, `[default]\naws_access_key_id=${key}\naws_secret_access_key=secret\n`)
  return { file, write }
}

test('keys that somebody replaces in the file of profiles are read again', async (t) => {
  const { file, write } = await profile(t)
  const credentials = renewedCredentials()
  await assert.rejects(credentials(), { name: 'CredentialsProviderError' })
  await write('first')
  const first = await credentials()
  assert.equal(first.accessKeyId, 'first')
  const lifeMs = first.expiration!.getTime() - Date.now()
  assert.ok(lifeMs > 9 * 60_000 && lifeMs <= 10 * 60_000, `${lifeMs} ms`)
  await write('second')
  assert.equal((await credentials()).accessKeyId, 'second')
  await rm(file)
  assert.equal((await credentials()).accessKeyId, 'second')
  await write('third')
  assert.equal((await credentials()).accessKeyId, 'third')
})
