import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3'
import type { S3Home } from '../../src/home/s3/home.ts'
import { s3Bucket } from '../../stack/s3proxy-part.ts'
import { runArchiver } from '../helpers/archiver.ts'
import {
  bucketSettings,
  environmentKeys,
  openS3Home,
  startVersitygw,
} from '../helpers/object-stores.ts'
import { createTopic, produce, uniqueName } from '../helpers/servers.ts'
import type { StoreKeys } from '../helpers/versitygw.ts'
import { versitygwProgram } from '../helpers/versitygw.ts'

/**
 * The rights of deploy/iam-policy.json are enough, and each of them is needed: on a store that
 * refuses single actions, one action after another is taken away.
 */

interface Policy {
  readonly Version: string
  readonly Statement: readonly {
    readonly Effect: string
    readonly Action: readonly string[]
    readonly Resource: string
  }[]
}

const policy = JSON.parse(
  readFileSync(new URL('../../deploy/iam-policy.json', import.meta.url), 'utf8'),
) as Policy
const actions = policy.Statement.flatMap(({ Action }) => Action)
const root: StoreKeys = { accessKeyId: 'root', secretAccessKey: 'root-secret' }

/** Gives the user of the tests these rights in the bucket, and no other. */
async function allow(endpoint: string, prefix: string, without?: string): Promise<void> {
  const place = (resource: string) =>
    resource.replace('my-archive', s3Bucket).replace('prod', prefix)
  const statements = policy.Statement.map((statement) => ({
    ...statement,
    Principal: { AWS: [environmentKeys().accessKeyId] },
    Resource: place(statement.Resource),
    Action: statement.Action.filter((action) => action !== without),
  }))
  const owner = new S3Client({
    ...{ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: root },
  })
  const Policy = JSON.stringify({ ...policy, Statement: statements })
  await owner.send(new PutBucketPolicyCommand({ Bucket: s3Bucket, Policy }))
  owner.destroy()
}

const name = '_manifests/t/0/00000000000000000000.json'
const data = 'type=a/dt=2019-08-01/hr=03/t+0+00000000000000000000-00000000000000000009.jsonl.gz'
const content = Buffer.from('a file')
const facts = { bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') }

/** What workers and commands do with a bucket. */
const deeds: Readonly<Record<string, (home: S3Home) => Promise<void>>> = {
  'find the bucket': (home) => home.begin(),
  'prove the store': (home) => home.prove(),
  'look above the prefix': async (home) => {
    assert.equal(await home.above('_archive.json'), undefined)
  },
  'create a name': async (home) => {
    assert.equal(await home.create(name, 'one'), true)
  },
  'create one that is taken': async (home) => {
    assert.equal(await home.create(name, 'another'), false)
  },
  'upload, publish and remove': async (home) => {
    const staging = await home.stage('_staging/t/0/w-000000')
    const staged = await staging.file('0.part').complete({ path: data, ...facts }, content)
    const file = { path: data, ...facts, ...staged }
    assert.equal(await home.isStaged(file), true)
    assert.deepEqual(await home.publish([file], 'files'), [])
    await home.remove([data, name])
  },
  'abort an upload': async (home) => {
    const staging = await home.stage('_staging/t/0/w-000001')
    await staging.file('0.part').complete({ path: data, ...facts }, content)
    await staging.remove()
  },
  'list uploads': async (home) => {
    for await (const { key } of home.openUploads()) assert.equal(key, data)
  },
}

test('a worker needs the rights of deploy/iam-policy.json, and no others', async (t) => {
  if (versitygwProgram() === undefined) return t.skip('without Go there is no versitygw')
  const endpoint = (await startVersitygw(t, root))!
  const settings = bucketSettings(endpoint)
  const failures = async (without?: string) => {
    await allow(endpoint, settings.prefix, without)
    const home = await openS3Home(t, settings, { patienceMs: 0 })
    const failed: string[] = []
    for (const [deed, act] of Object.entries(deeds)) {
      const error = await act(home).then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      if (error === undefined) continue
      const { message } = await home.explain(error)
      failed.push(`${deed}: ${/does not allow (\S+)/.exec(message)?.[1] ?? message}`)
    }
    return failed
  }
  assert.deepEqual(await failures(), [])
  for (const action of actions) {
    const failed = await failures(action)
    t.diagnostic(`without ${action}: ${failed.join('; ') || 'nothing fails'}`)
    // The start then does not look at the rules of the bucket.
    if (action === 's3:GetLifecycleConfiguration') assert.deepEqual(failed, [])
    else
      assert.ok(
        failed.some((line) => line.endsWith(`: ${action}`)),
        action,
      )
  }
})

test('a worker starts an archive with these rights, and verify reads it', async (t) => {
  if (versitygwProgram() === undefined) return t.skip('without Go there is no versitygw')
  const endpoint = (await startVersitygw(t, root))!
  const prefix = uniqueName('rights')
  await allow(endpoint, prefix)
  const topic = await createTopic(t, { stem: 'rights' })
  await produce(t, topic, [{ value: '{"type":"a"}' }])
  const group = uniqueName('rights')
  const archive = [
    ...['--archive-dir', `s3://${s3Bucket}/${prefix}`, '--group', group, '--no-elasticsearch'],
    ...['--s3-endpoint', endpoint, '--s3-path-style'],
  ]
  const run = await runArchiver(t, ['run', '--topics', topic, '--until-end', ...archive])
  assert.equal(run.code, 0, run.output)
  const verify = await runArchiver(t, ['verify', ...archive])
  assert.match(verify.output, /^proven: 1 partition, 1 record/m)
})
