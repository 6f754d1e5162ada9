import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { it } from 'node:test'
import type { Mechanism } from 'kafkajs'
import { type AwsKeys, mskToken, mskTokens } from '../../../src/kafka/msk-token.ts'
import { kafkaSecurity } from '../../../src/kafka/security.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { noProxies } from '../../../src/runtime/proxies.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

/** Tokens of IAM for Amazon MSK. */

const now = new Date('2026-11-28T04:05:06.789Z')
const urlOf = (token: string) => new URL(Buffer.from(token, 'base64url').toString())

/** What aws-msk-iam-sasl-signer-js 1.0.3 signed with these keys, region and time. */
const signed: readonly (readonly [AwsKeys, string])[] = [
  [
    {
      accessKeyId: 'AKIDEXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    },
    '57315ae6913578130e17460b280989efdb0ea1053c81dede689dd1f5f168bf8f',
  ],
  [
    { accessKeyId: 'ASIAEXAMPLE', secretAccessKey: 'secret', sessionToken: 'IQoJb3JpZ2lu/+=*(x) ' },
    'ef6bd92e9f2aa11038ecee943b71017907ad4a3a66aff351d206c2c6efb96a5b',
  ],
]

it('are signed as by the signer of Amazon', () => {
  for (const [keys, signature] of signed) {
    const token = mskToken('eu-central-1', keys, now)
    assert.match(token, /^[A-Za-z0-9_-]+$/)
    const { origin, pathname, searchParams } = urlOf(token)
    assert.equal(origin + pathname, 'https://kafka.eu-central-1.amazonaws.com/')
    assert.deepEqual(Object.fromEntries(searchParams), {
      Action: 'kafka-cluster:Connect',
      'User-Agent': 'archiver',
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': `${keys.accessKeyId}/20261128/eu-central-1/kafka-cluster/aws4_request`,
      'X-Amz-Date': '20261128T040506Z',
      'X-Amz-Expires': '900',
      ...(keys.sessionToken === undefined ? {} : { 'X-Amz-Security-Token': keys.sessionToken }),
      'X-Amz-Signature': signature,
      'X-Amz-SignedHeaders': 'host',
    })
    assert.ok(!Buffer.from(token, 'base64url').includes(keys.secretAccessKey))
  }
})

it('are sent to the broker, a new one for each login, and say which credentials are missing', async (t) => {
  const log = createLogger({ level: 'silent', stream: { write: () => true } })
  const login = async () => {
    const token = { region: 'eu-central-1', proxies: noProxies }
    const security = { tls: true, ca: undefined, certificate: undefined }
    const { sasl } = kafkaSecurity({ ...security, login: { mechanism: 'oauthbearer', token } }, log)
    let sent = ''
    const provider = (sasl as Mechanism).authenticationProvider({
      ...{ host: 'broker', port: 9098, logger: undefined as never },
      saslAuthenticate: async ({ request }) => {
        sent = String(await request.encode())
        return undefined as never
      },
    })
    await provider.authenticate()
    return urlOf(/auth=Bearer ([\w-]+)/.exec(sent)![1]!)
  }
  const { env } = process
  t.after(() => {
    process.env = env
  })
  process.env = { ...env, AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE', AWS_SECRET_ACCESS_KEY: 'secret' }
  const credential = (await login()).searchParams.get('X-Amz-Credential')
  assert.match(credential!, /^AKIDEXAMPLE\/\d{8}\/eu-central-1\/kafka-cluster\/aws4_request$/)
  process.env = { PATH: env.PATH, HOME: '/nowhere', AWS_EC2_METADATA_DISABLED: 'true' }
  await assert.rejects(login(), /^Error: no AWS credentials for --sasl-msk-region: /)
})

it('are signed with the keys that the file of profiles has at that moment', async (t) => {
  const file = join(await temporaryDirectory(t), 'credentials')
  const { env } = process
  t.after(() => {
    process.env = env
  })
  process.env = {
    ...{ PATH: env.PATH, HOME: '/nowhere' },
    AWS_SHARED_CREDENTIALS_FILE: file,
    AWS_EC2_METADATA_DISABLED: 'true',
  }
  const token = mskTokens({ region: 'eu-central-1', proxies: noProxies })
  for (const key of ['AKIDBEFORE', 'AKIDAFTER']) {
    await writeFile(file, `[default]\naws_access_key_id=${key}\naws_secret_access_key=secret\n`)
    const { searchParams } = urlOf(await token())
    assert.match(searchParams.get('X-Amz-Credential')!, new RegExp(`^${key}/`))
  }
})
