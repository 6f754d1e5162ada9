import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { restoreSet } from '../../../src/config/commands/restore.ts'
import { type RunOptions, runSet } from '../../../src/config/commands/run.ts'
import { flushIntervalMs } from '../../../src/config/files.ts'
import { readOptions, related } from '../../../src/config/options.ts'
import { everyTopicOptions, optionsOfTopic } from '../../../src/config/topic-settings.ts'
import { ArchiverError } from '../../../src/runtime/errors.ts'
import { temporaryDirectory } from '../../helpers/servers.ts'

/** Options of some topics alone. */

const read = (...argv: string[]): RunOptions =>
  related(runSet, readOptions(runSet.options, { argv, env: {} }))

async function fromFile(t: TestContext, text: string, ...argv: string[]): Promise<RunOptions> {
  const file = join(await temporaryDirectory(t), 'archiver.yaml')
  writeFileSync(file, text)
  return read('--config', file, ...argv)
}

const of = (options: RunOptions, topic: string) => {
  const { typeFrom, typePath, flushInterval, flushBytes } = optionsOfTopic(options, topic)
  return { typeFrom, typePath, flushInterval, flushBytes }
}

const usual = {
  typeFrom: 'value',
  typePath: 'type',
  flushInterval: undefined,
  flushBytes: 256 * 2 ** 20,
}

it('are those of the first pattern that matches the whole name', () => {
  const options = read(
    ...['--topics', 'events.a,orders', '--topic-settings', 'events[.].*:type-path=kind'],
    ...[
      '--topic-settings',
      'events[.].*:flush-interval=10',
      '--topic-settings',
      '.*:flush-bytes=1MB',
    ],
  )
  assert.deepEqual(of(options, 'events.a'), { ...usual, typePath: 'kind', flushInterval: 10 })
  assert.deepEqual(of(options, 'orders'), { ...usual, flushBytes: 1_000_000 })
  assert.deepEqual(of(options, 'my.events.a'), { ...usual, flushBytes: 1_000_000 })
  assert.equal(flushIntervalMs(optionsOfTopic(options, 'events.a')), 10_000)
  assert.deepEqual(everyTopicOptions(options).map(flushIntervalMs), [60_000, 10_000, 60_000])
})

it('may be a mapping in the file, which chooses the topics as well', async (t) => {
  const text =
    'topics:\n  "events[.].*":\n    type-path: kind\n    flush-interval: 10\n  (?:a|b):\n  plain: {}\n'
  const options = await fromFile(t, text)
  assert.deepEqual(of(options, 'events.a'), { ...usual, typePath: 'kind', flushInterval: 10 })
  assert.deepEqual(of(options, 'a'), usual)
  assert.equal(options.topics, undefined)
  const chosen = ['events.a', 'xevents.a', 'a', 'b', 'ab', 'plain', 'plainer'].filter((topic) =>
    options.topicsRegex!.test(topic),
  )
  assert.deepEqual(chosen, ['events.a', 'a', 'b', 'plain'])
  const named = await fromFile(t, text, '--topics', 'orders')
  assert.deepEqual([named.topics, named.topicsRegex], [['orders'], undefined])
  const aside = await fromFile(t, 'topics: orders\ntopic-settings: { o.*: { type-from: topic } }\n')
  assert.deepEqual([of(aside, 'orders').typeFrom, aside.topics], ['topic', ['orders']])
})

it('do not hinder other commands that share the file', async (t) => {
  const file = join(await temporaryDirectory(t), 'archiver.yaml')
  writeFileSync(file, 'topics: { a.*: { flush-interval: 1 } }\n')
  const { options } = restoreSet
  const everything = { ...runSet.options, ...options }
  const values = readOptions(options, { argv: ['--config', file], env: {} }, everything)
  assert.ok(values.topicsRegex?.test('ab'))
})

it('are refused in one line if they are none', async (t) => {
  for (const [setting, message] of [
    ['a:type-pth=x', /not type-pth; did you mean type-path\?: type-from, type-path/],
    ['a:brokers=x', /an option that may be set for topics, not brokers/],
    ['a:flush-interval=soon', /flush-interval of a to be a number from 0\.1 to 86400/],
    ['(:flush-interval=1', /expected a JavaScript regular expression/],
    ['a', /pattern:option=value/],
    [':flush-interval=1', /pattern:option=value/],
    ['a:type-from=nowhere', /type-from of a to be one of value, header, topic/],
  ] as const)
    assert.throws(
      () => read('--topics', 'a', '--topic-settings', setting),
      (error: unknown) =>
        error instanceof ArchiverError &&
        error.message.startsWith(`--topic-settings: "${setting}" is not allowed`) &&
        message.test(error.message),
      setting,
    )
  assert.throws(
    () => read(...['--topic-settings', 'a:type-path=x', '--topic-settings', 'a:type-path=y']),
    /type-path of a once/,
  )
  for (const [text, message] of [
    ['topics: { a: { type-pth: x } }', /topics.* not type-pth; did you mean type-path/],
    ['topics: { a: { flush-interval: [1] } }', /topics: line 1: expected/],
    ['topics: { a: 5 }', /topics: line 1: expected/],
    ['topics: { "(": {} }', /regular expression/],
    ['brokers: { a: { type-path: x } }', /brokers: line 1: expected/],
  ] as const)
    await assert.rejects(fromFile(t, text), message, text)
})
