import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { GetObjectTaggingCommand, HeadObjectCommand, S3Client } from '@aws-sdk/client-s3'
import type { S3Home } from '../../src/home/s3/home.ts'
import type { BucketSettings } from '../../src/home/s3/settings.ts'
import { runArchiver } from '../helpers/archiver.ts'
import { type Fault, FaultyStore, type StoreRequest } from '../helpers/faulty-store.ts'
import { startMoto, withMoto } from '../helpers/moto.ts'
import { bucketSettings, openS3Home, s3Url, startVersitygw } from '../helpers/object-stores.ts'
import { createTopic, produce, temporaryDirectory, uniqueName } from '../helpers/servers.ts'

/**
 * What the options of a bucket put on the wire, what a store makes of it, and what one that refuses
 * is said to want. Headers are those of Amazon's "API Reference": PutObject, CreateMultipartUpload,
 * "Using Requester Pays buckets", "Verifying bucket ownership with bucket owner condition".
 */

const name = '_manifests/t/0/00000000000000000000.json'
const data = 'type=a/dt=2019-08-01/hr=03/t+0+00000000000000000000-00000000000000000009.jsonl.gz'
const content = Buffer.from('a file')
const facts = { bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') }

/** Writes a manifest and a data file, reads them, and leaves them. */
async function use(home: S3Home): Promise<void> {
  await home.begin()
  assert.equal(await home.create(name, '{}'), true)
  const staging = await home.stage('_staging/t/0/w-000000')
  const staged = await staging.file('0.part').complete({ path: data, ...facts }, content)
  assert.deepEqual(await home.publish([{ path: data, ...facts, ...staged }], 'files'), [])
  assert.equal((await home.stat(data))?.bytes, content.length)
  assert.equal(await (await home.open(name))?.read(Buffer.alloc(2), 0), 2)
}

/** The requests that a home with these settings makes of a store. */
async function recorded(t: TestContext, upstream: string, more: Partial<BucketSettings>) {
  const store = await FaultyStore.start(upstream)
  t.after(() => store[Symbol.asyncDispose]())
  const settings = bucketSettings(store.url, more)
  await use(await openS3Home(t, settings, { patienceMs: 0 }))
  return { requests: store.requests, settings }
}

const withHeader = (requests: readonly StoreRequest[], header: string) =>
  new Map(
    requests.flatMap(({ operation, headers }) =>
      headers[header] === undefined ? [] : [[operation, headers[header]] as const],
    ),
  )

describe('options of a bucket', () => {
  const kmsKey = 'arn:aws:kms:us-east-1:123456789012:key/1234abcd'
  const writes = ['CreateMultipartUpload', 'PutObject']

  it('that say how objects are stored reach a store that has them', async (t) => {
    if (!withMoto) return t.skip('moto is not on this machine')
    const { requests, settings } = await recorded(t, await startMoto(t), {
      encryption: 'aws:kms',
      kmsKey,
      tags: { team: 'data', 'env+x': 'a b' },
      storageClass: 'STANDARD_IA',
    })
    const sent = (header: string) => withHeader(requests, header)
    for (const [header, value] of [
      ['x-amz-server-side-encryption', 'aws:kms'],
      ['x-amz-server-side-encryption-aws-kms-key-id', kmsKey],
      ['x-amz-tagging', 'team=data&env%2Bx=a+b'],
    ] as const)
      assert.deepEqual(
        [...sent(header)].sort(),
        writes.map((operation) => [operation, value]),
      )
    assert.deepEqual([...sent('x-amz-storage-class')], [['CreateMultipartUpload', 'STANDARD_IA']])
    const s3 = new S3Client({
      endpoint: settings.endpoint!,
      region: 'us-east-1',
      forcePathStyle: true,
    })
    t.after(() => s3.destroy())
    for (const [object, storageClass] of [
      [name, undefined],
      [data, 'STANDARD_IA'],
    ] as const) {
      const at = { Bucket: settings.bucket, Key: `${settings.prefix}/${object}` }
      const head = await s3.send(new HeadObjectCommand(at))
      assert.equal(head.ServerSideEncryption, 'aws:kms')
      assert.equal(head.SSEKMSKeyId, kmsKey)
      assert.equal(head.StorageClass, storageClass)
      const { TagSet } = await s3.send(new GetObjectTaggingCommand(at))
      assert.deepEqual(TagSet, [
        { Key: 'team', Value: 'data' },
        { Key: 'env+x', Value: 'a b' },
      ])
    }
  })

  it('that go with every request do', async (t) => {
    if (!withMoto) return t.skip('moto is not on this machine')
    const { requests } = await recorded(t, await startMoto(t), {
      requesterPays: true,
      expectedOwner: '123456789012',
    })
    assert.ok(new Set(requests.map(({ operation }) => operation)).size >= 7)
    for (const { operation, headers } of requests) {
      assert.equal(headers['x-amz-request-payer'], 'requester', operation)
      assert.equal(headers['x-amz-expected-bucket-owner'], '123456789012', operation)
    }
  })

  it('ask for a checksum that the store keeps', async (t) => {
    const { requests } = await recorded(t, s3Url, { checksum: 'sha256' })
    const sums = withHeader(requests, 'x-amz-checksum-sha256')
    assert.deepEqual([...sums.keys()].sort(), ['PutObject', 'UploadPart'])
    assert.equal(sums.get('UploadPart'), Buffer.from(facts.sha256, 'hex').toString('base64'))
    const { requests: plain } = await recorded(t, s3Url, {})
    for (const { headers } of plain)
      assert.deepEqual(
        Object.keys(headers).filter((header) => /checksum|encoding$/.test(header)),
        [...('accept-encoding' in headers ? ['accept-encoding'] : [])],
      )
  })

  it('refuse a bucket of another owner, and a store that does not encrypt', async (t) => {
    const owner = { accessKeyId: '123456789012', secretAccessKey: 'owner-secret' }
    const endpoint = await startVersitygw(t, owner)
    if (endpoint === undefined) return t.skip('without Go there is no versitygw')
    const as = async (
      keys: { accessKeyId: string; secretAccessKey: string },
      act: () => unknown,
    ) => {
      const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env
      process.env.AWS_ACCESS_KEY_ID = keys.accessKeyId
      process.env.AWS_SECRET_ACCESS_KEY = keys.secretAccessKey
      try {
        await act()
      } finally {
        Object.assign(process.env, { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY })
      }
    }
    const open = (more: Partial<BucketSettings>) =>
      openS3Home(t, bucketSettings(endpoint, more), { patienceMs: 0 })
    await as(owner, async () => {
      await use(await open({ expectedOwner: '123456789012' }))
      await assert.rejects(
        use(await open({ expectedOwner: '999999999999' })),
        /does not allow s3:ListBucket .*or the bucket is not of account 999999999999 \(--s3-expected-owner\)/,
      )
      // It takes the header and keeps the object as it came.
      await assert.rejects(
        (await open({ encryption: 'AES256' })).prove(),
        /takes --s3-sse AES256, and does not encrypt so: leave the option out/,
      )
    })
  })
})

describe('a store that refuses, as Amazon does', () => {
  const refusals: readonly [string, Omit<Fault & { kind: 'answer' }, 'kind'>, RegExp][] = [
    [
      'the region, by a redirect',
      { status: 301, code: 'PermanentRedirect', headers: { 'x-amz-bucket-region': 'eu-west-1' } },
      /is in region eu-west-1, not in us-east-1: give --s3-region eu-west-1$/,
    ],
    [
      'the region, of the signature',
      { status: 400, code: 'AuthorizationHeaderMalformed', elements: '<Region>eu-west-1</Region>' },
      /is in region eu-west-1, not in us-east-1: give --s3-region eu-west-1$/,
    ],
    ['the bucket', { status: 404, code: 'NoSuchBucket' }, /there is no bucket archive at/],
    ['the access key', { status: 403, code: 'InvalidAccessKeyId' }, /does not know the access key/],
    [
      'the secret key',
      { status: 403, code: 'SignatureDoesNotMatch', elements: '<StringToSign>AWS4</StringToSign>' },
      /does not accept the secret key/,
    ],
    ['the right', { status: 403, code: 'AccessDenied' }, /does not allow s3:ListBucket on bucket/],
    [
      'the session',
      { status: 400, code: 'ExpiredToken' },
      /session token that was found has expired/,
    ],
    [
      'the clock',
      {
        status: 403,
        code: 'RequestTimeTooSkewed',
        headers: { date: new Date(Date.now() - 7_200_000).toUTCString() },
      },
      /clock of this machine differs .*\(by 7[12]\d\d s\): set it \(NTP\)$/,
    ],
    ['the account', { status: 403, code: 'AllAccessDisabled' }, /has locked the account/],
  ]
  for (const [what, refusal, message] of refusals) {
    it(`is said to want another one of ${what}`, async (t) => {
      const store = await FaultyStore.start(s3Url)
      t.after(() => store[Symbol.asyncDispose]())
      store.rule = () => ({ kind: 'answer', ...refusal })
      const home = await openS3Home(t, bucketSettings(store.url), { patienceMs: 0 })
      await assert.rejects(home.begin(), { name: 'ArchiverError', message })
    })
  }

  it('a key of KMS is said to be that', async (t) => {
    const store = await FaultyStore.start(s3Url)
    t.after(() => store[Symbol.asyncDispose]())
    store.rule = ({ operation }) =>
      operation === 'PutObject'
        ? { kind: 'answer', status: 400, code: 'KMS.DisabledException' }
        : undefined
    const home = await openS3Home(t, bucketSettings(store.url), { patienceMs: 0 })
    await assert.rejects(
      home.create(name, '{}'),
      /check --s3-sse, --s3-kms-key, and the rights kms/,
    )
  })
})

describe('credentials that are fetched', () => {
  /** Amazon's STS as far as the SDK looks: "AssumeRole", "AssumeRoleWithWebIdentity". */
  async function startSts(t: TestContext) {
    const asked: Record<string, string>[] = []
    const server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += String(chunk)
      const parameters = Object.fromEntries(new URLSearchParams(body))
      asked.push(parameters)
      const action = parameters.Action
      response.writeHead(200, { 'content-type': 'text/xml' })
      response.end(
        `<${action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${action}Result><Credentials><AccessKeyId>ASIAOFTHEROLE</AccessKeyId><SecretAccessKey>role-secret-canary</SecretAccessKey><SessionToken>role-token-canary</SessionToken><Expiration>${new Date(Date.now() + 3_600_000).toISOString()}</Expiration></Credentials></${action}Result></${action}Response>`,
      )
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => {
      server.closeAllConnections()
      server.close()
    })
    return { asked, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
  }

  /** A worker whose store takes any key: `ls` of a bucket without an archive. */
  async function listed(t: TestContext, env: Record<string, string>, ...more: readonly string[]) {
    const store = await FaultyStore.start(s3Url)
    t.after(() => store[Symbol.asyncDispose]())
    store.rule = () => ({ kind: 'answer', status: 404, code: 'NoSuchKey' })
    const place = ['--archive-dir', 's3://archive/none', '--s3-endpoint', store.url]
    const argv = ['ls', ...place, '--s3-path-style', ...more]
    const { output } = await runArchiver(t, argv, env)
    const { headers } = store.requests[0] ?? assert.fail(output)
    return { output, key: /Credential=([^/]+)/.exec(headers.authorization ?? '')?.[1], headers }
  }

  it('are those of --s3-role-arn, with its external id', async (t) => {
    const sts = await startSts(t)
    const role = 'arn:aws:iam::123456789012:role/archiver'
    const env = { AWS_ENDPOINT_URL_STS: sts.url, AWS_REGION: 'us-east-1' }
    const { key, headers } = await listed(t, env, '--s3-role-arn', role, '--s3-external-id', 'ex-1')
    const [asked] = sts.asked
    assert.equal(asked?.Action, 'AssumeRole')
    assert.equal(asked.RoleArn, role)
    assert.equal(asked.ExternalId, 'ex-1')
    assert.equal(asked.RoleSessionName, 'archiver')
    assert.equal(key, 'ASIAOFTHEROLE')
    assert.equal(headers['x-amz-security-token'], 'role-token-canary')
  })

  it('are those of a web identity, as a service account of Kubernetes has it', async (t) => {
    const sts = await startSts(t)
    const token = join(await temporaryDirectory(t), 'token')
    await writeFile(token, 'token-of-the-pod')
    const { key, output } = await listed(t, {
      AWS_ENDPOINT_URL_STS: sts.url,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: '',
      AWS_SECRET_ACCESS_KEY: '',
      AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/pod',
      AWS_WEB_IDENTITY_TOKEN_FILE: token,
    })
    const [asked] = sts.asked
    assert.equal(asked?.Action, 'AssumeRoleWithWebIdentity', output)
    assert.equal(asked.RoleArn, 'arn:aws:iam::123456789012:role/pod')
    assert.equal(asked.WebIdentityToken, 'token-of-the-pod')
    assert.equal(key, 'ASIAOFTHEROLE')
  })

  it('are missed in one line', async (t) => {
    const nowhere = await temporaryDirectory(t)
    const place = ['--archive-dir', 's3://archive/none', '--s3-endpoint', s3Url]
    const { output } = await runArchiver(t, ['ls', ...place], {
      ...{ AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', HOME: nowhere },
      AWS_EC2_METADATA_DISABLED: 'true',
    })
    assert.match(output, /^archiver: no credentials for the bucket were found: give AWS_ACCESS/)
    assert.equal(output.trim().split('\n').length, 1, output)
  })
})

it('no secret is in a log, at any level, whatever goes wrong', async (t) => {
  const store = await FaultyStore.start(s3Url)
  t.after(() => store[Symbol.asyncDispose]())
  const topic = await createTopic(t, { stem: 's3-secrets' })
  await produce(t, topic, [{ value: '{"type":"a"}' }])
  const faults: readonly Fault[] = [
    { kind: 'answer', status: 503, code: 'SlowDown' },
    { kind: 'reset' },
    { kind: 'answer', status: 400, code: 'ExpiredToken' },
    { kind: 'answer', status: 403, code: 'RequestTimeTooSkewed' },
  ]
  store.next('PutObject', ...faults)
  store.next('UploadPart', ...faults)
  store.next('UploadPart', { kind: 'answer', status: 403, code: 'SignatureDoesNotMatch' })
  const argv = [
    ...['run', '--topics', topic, '--group', uniqueName('s3-secrets'), '--no-elasticsearch'],
    ...['--archive-dir', `s3://archive/${uniqueName('secrets')}`, '--s3-endpoint', store.url],
    ...['--s3-path-style', '--until-end', '--log-level', 'debug'],
  ]
  const { output } = await runArchiver(t, argv)
  assert.match(output, /store_request_retried/)
  const { AWS_SECRET_ACCESS_KEY: secret } = process.env
  const signatures = store.requests.map(
    ({ headers }) => /Signature=(\w+)/.exec(headers.authorization ?? '')![1]!,
  )
  assert.ok(signatures.length > 10)
  for (const hidden of [secret!, 'Signature=', 'StringToSign', ...signatures])
    assert.ok(!output.includes(hidden), hidden)
})
