import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { kafkajs } from '../../../../src/kafka/kafkajs.ts'
import { clockEdits } from '../../../../src/kafka/repairs/clocks.ts'
import { prototypeOf, replaceModule } from '../../../../src/kafka/repairs/modules.ts'
import { edited, withSourceEdits } from '../../../../src/kafka/repairs/source-edits.ts'

const require = createRequire(import.meta.url)
const source = dirname(dirname(require.resolve('kafkajs/src/admin')))

/** Every name that an object inherits, and one that is like them in nothing. */
const names = [...Object.getOwnPropertyNames(Object.prototype), 'orders']

interface State {
  assign(topics: readonly object[]): void
  pause(topics: readonly object[]): void
  resume(topics: readonly object[]): void
  isPaused(topic: string, partition: number): boolean
  active(): readonly { readonly topic: string; readonly partitions: readonly number[] }[]
}

test('a topic may have any name that objects inherit: what kafkajs pauses and resumes of it', () => {
  const SubscriptionState = require('kafkajs/src/consumer/subscriptionState') as new () => State
  const state = new SubscriptionState()
  state.assign(names.map((topic) => ({ topic, partitions: [0, 1] })))
  state.pause(names.map((topic) => ({ topic, partitions: [0] })))
  for (const topic of names) {
    assert.deepEqual([state.isPaused(topic, 0), state.isPaused(topic, 1)], [true, false], topic)
  }
  assert.deepEqual(
    state.active().map(({ topic, partitions }) => [topic, partitions]),
    names.map((topic) => [topic, [1]]),
  )
  state.resume(names.map((topic) => ({ topic, partitions: [0] })))
  for (const topic of names) assert.equal(state.isPaused(topic, 0), false, topic)
})

test('a topic may have any name that objects inherit: its assignment and offsets', () => {
  const { MemberAssignment } = require('kafkajs/src/consumer/assignerProtocol') as {
    MemberAssignment: {
      encode(of: object): Buffer
      decode(bytes: Buffer): { assignment: Readonly<Record<string, readonly number[]>> }
    }
  }
  const assignment = Object.fromEntries(names.map((name, i) => [name, [i]]))
  const { assignment: decoded } = MemberAssignment.decode(
    MemberAssignment.encode({ version: 0, assignment }),
  )
  assert.deepEqual(Object.entries(decoded), Object.entries(assignment))

  const initialize = require('kafkajs/src/consumer/offsetManager/initializeConsumerOffsets') as (
    group: readonly object[],
    log: readonly object[],
  ) => readonly { readonly topic: string; readonly partitions: readonly object[] }[]
  const offsets = (offset: string) =>
    names.map((topic) => ({ topic, partitions: [{ partition: 3, offset }] }))
  assert.deepEqual(initialize(offsets('-1'), offsets('7')), offsets('7'))

  const OffsetManager = require('kafkajs/src/consumer/offsetManager') as new (
    options: object,
  ) => {
    resolveOffset(of: object): void
    nextOffset(topic: string, partition: number): { toString(): string }
  }
  const manager = new OffsetManager({ memberAssignment: decoded, cluster: {} })
  for (const [i, topic] of names.entries())
    manager.resolveOffset({ topic, partition: i, offset: String(10 * i) })
  for (const [i, topic] of names.entries())
    assert.equal(manager.nextOffset(topic, i).toString(), String(10 * i + 1))
})

test('a topic may have any name that objects inherit: where its records go', () => {
  const partitionMetadata = [0, 1, 2].map((partitionId) => ({ partitionId, leader: 0 }))
  const choose = kafkajs.Partitioners.DefaultPartitioner()
  const seen = (topic: string) =>
    new Set(
      [0, 1, 2].map(() =>
        choose({
          topic,
          partitionMetadata: partitionMetadata as never,
          message: { value: null, headers: {} },
        }),
      ),
    )
  for (const topic of names) assert.deepEqual([...seen(topic)].sort(), [0, 1, 2], topic)
})

test('what a broker says of one partition is no error of the others, unless the partition is elsewhere', async () => {
  interface Answer {
    readonly responses: readonly { readonly partitions: readonly { readonly failure?: Error }[] }[]
  }
  const { parse } = require('kafkajs/src/protocol/requests/fetch/v11/response') as {
    parse(answer: object): Promise<Answer>
  }
  const ask = async (...codes: number[]) => {
    const partitions = codes.map((errorCode, partition) => ({ partition, errorCode, messages: [] }))
    const { responses } = await parse({ responses: [{ topicName: 'orders', partitions }] })
    return responses[0]!.partitions.map(({ failure }) => failure?.message)
  }
  assert.deepEqual(await ask(0, 0), [undefined, undefined])
  // Damage, an unreadable disk, no permission, and unrecognized codes.
  for (const code of [2, 29, 56, -1, 999]) {
    const [healthy, failure] = await ask(0, code)
    assert.equal(healthy, undefined)
    assert.ok(failure !== undefined, `${code}`)
  }
  for (const code of [1, 3, 5, 6]) await assert.rejects(ask(2, code), { name: /^KafkaJS/ })
})

/** Places where kafkajs may read the wall clock, for people or for records. */
const mayAskTheTime = new Set([
  'instrumentation/event.js',
  'loggers/index.js',
  'protocol/message/v1/index.js',
  'protocol/recordBatch/v0/index.js',
  'protocol/requests/offsetCommit/v1/request.js',
  'protocol/requests/produce/v2/request.js',
  'protocol/requests/produce/v3/request.js',
])

test('kafkajs measures no time by a clock that can be set', () => {
  const edits = new Map(clockEdits.map((edit) => [`${edit.module}.js`, edit]))
  const asking: string[] = []
  for (const name of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.js') || name.includes('.spec')) continue
    const edit = edits.get(name)
    const text = readFileSync(join(source, name), 'utf8')
    if (/Date\.now|new Date\b/.test(edit === undefined ? text : edited(text, [edit]))) {
      asking.push(relative('.', name))
    }
  }
  assert.deepEqual(new Set(asking), mayAskTheTime)
})

/**
 * What this program asks the clock of the wall for: a moment to compare with those of records, or a
 * name.
 */
const mayAskForTheMoment = [
  'cmd/compact.ts',
  'cmd/dashboard.ts',
  // Which days are over.
  'cmd/mapping.ts',
  // How old an upload of the store is.
  'cmd/sweep.ts',
  'traffic/generator.ts',
  'cmd/prune.ts',
  'restore/to-kafka.ts',
  'config/worker.ts',
  // When keys are read again.
  'home/s3/credentials.ts',
  // How far the clock of a store is off, for people.
  'home/s3/explain.ts',
  // How old a folder of another host is.
  'home/s3/scratch-folders.ts',
  // Hours close at the full hour; when a pass is due is measured.
  'files/compact/compactor.ts',
  'traffic/data/record-maker.ts',
  // Edits the clocks of kafkajs.
  'kafka/repairs/clocks.ts',
  'kafka/restore/produce-request.ts',
  // A note of a prune claims days that are over.
  'verify/prune-notes.ts',
]

test('this program measures no time by a clock that can be set', () => {
  const own = fileURLToPath(new URL('../../../../src/', import.meta.url))
  const asking = readdirSync(own, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.ts') && readFileSync(join(own, name), 'utf8').includes('Date.now'),
  )
  assert.deepEqual(asking.sort(), mayAskForTheMoment.toSorted())
})

test('an edit that does not fit fails the start', () => {
  const edit = { module: 'consumer/runner', find: 'let', replace: 'var', times: 1 }
  assert.equal(edited('let a', [edit]), 'var a')
  for (const text of ['', 'let a; let b']) {
    assert.throws(
      () => edited(text, [edit]),
      /kafkajs is not as expected \(2\.2\.4\): consumer\/runner has "let"/,
    )
  }
  assert.throws(() => withSourceEdits([edit], () => {}), /consumer\/runner was loaded before/)
  const unused = { ...edit, module: 'protocol/requests/fetch/v0/request' }
  const path = require.resolve(`kafkajs/src/${unused.module}`)
  const loaded = require.cache[path]
  delete require.cache[path]
  try {
    assert.throws(() => withSourceEdits([unused], () => {}), /fetch\/v0\/request is not loaded/)
  } finally {
    require.cache[path] = loaded
  }
})

test('a broker may have an address of IPv6, in brackets', async () => {
  interface Built {
    readonly host: string
    readonly port: number
  }
  const builder = require('kafkajs/src/cluster/connectionPoolBuilder') as (options: object) => {
    build(destination?: { host: string; port: number }): Promise<Built>
  }
  const logger = { namespace: () => logger }
  const brokers = ['[::1]:9092', '[fe80::1%eth0]:19092', 'kafka-1:9093', '127.0.0.1:1']
  const { build } = builder({ brokers, clientId: 'test', logger, retry: {} })
  const built: Built[] = []
  for (const _ of brokers) built.push(await build())
  assert.deepEqual(
    built.map(({ host, port }) => [host, port]),
    [
      ['::1', 9092],
      ['fe80::1%eth0', 19092],
      ['kafka-1', 9093],
      ['127.0.0.1', 1],
    ],
  )
  // As the cluster names it.
  const { host, port } = await build({ host: '::1', port: 9092 })
  assert.deepEqual([host, port], ['::1', 9092])
})

test('a repair of what kafkajs does not have, or has loaded already, says what that is', () => {
  const attempts: Readonly<Record<string, () => unknown>> = {
    'consumer/consumerGroup has no nowhere and no neither': () =>
      prototypeOf('consumer/consumerGroup', ['nowhere', 'neither'] as never),
    'utils/sleep has no fetch': () => prototypeOf('utils/sleep', ['fetch'] as never),
    'utils/sleep was loaded before it could be repaired': () =>
      replaceModule('utils/sleep', (original) => original),
  }
  for (const [message, attempt] of Object.entries(attempts)) {
    assert.throws(attempt, {
      code: 'INTERNAL',
      message: `kafkajs is not as expected (2.2.4): ${message}`,
    })
  }
})
