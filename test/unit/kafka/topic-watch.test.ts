import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TopicWatch } from '../../../src/kafka/topic-watch.ts'
import { createLogger } from '../../../src/runtime/log.ts'
import { until } from '../../helpers/servers.ts'

function logger() {
  const lines: Record<string, unknown>[] = []
  const stream = { write: (line: string) => lines.push(JSON.parse(line)) }
  return { log: createLogger({ level: 'info', stream }), lines }
}

test('a pattern chooses no internal topic, a name does', async () => {
  const list = async () => ['__consumer_offsets', 'b', 'a', 'other']
  const byPattern = new TopicWatch(/^(__.*|a|b)$/, list, logger().log)
  await byPattern.start('kafka:9092')
  assert.deepEqual(byPattern.topics, ['a', 'b'])
  const byName = new TopicWatch(['b', '__consumer_offsets'], list, logger().log)
  await byName.start('kafka:9092')
  assert.deepEqual(byName.topics, ['__consumer_offsets', 'b'])
})

test('a topic that is named and does not exist is an error; one that may yet match is waited for', async () => {
  const list = async () => ['a']
  await assert.rejects(new TopicWatch(['a', 'b', 'c'], list, logger().log).start('kafka:9092'), {
    code: 'NO_SUCH_TOPIC',
    message: /Kafka at kafka:9092 has no topic b, c; create it first/,
  })
  const { log, lines } = logger()
  const watch = new TopicWatch(/^z/, list, log)
  await watch.start('kafka:9092')
  assert.deepEqual(watch.topics, [])
  assert.deepEqual(
    lines.map(({ event, pattern }) => ({ event, pattern })),
    [{ event: 'no_topic_matches', pattern: '/^z/' }],
  )
})

test('topics that come and go are logged once, and a list that fails changes nothing', async () => {
  const answers: (string[] | Error)[] = [
    ['a', 'b'],
    ['b', 'a'],
    new Error('no broker answers'),
    ['b', 'c'],
    [],
  ]
  const { log, lines } = logger()
  const list = async () => {
    const answer = answers.length > 1 ? answers.shift()! : answers[0]!
    if (answer instanceof Error) throw answer
    return answer
  }
  const watch = new TopicWatch(/./, list, log)
  await watch.start('kafka:9092')
  const stopping = new AbortController()
  const seen = { due: 0, answered: 0, vanished: [] as unknown[], changed: [] as unknown[] }
  const running = watch.run(
    1,
    {
      due: () => seen.due++,
      answered: () => seen.answered++,
      vanished: (topics) => seen.vanished.push(topics),
      changed: async (topics) => {
        seen.changed.push(topics)
      },
    },
    stopping.signal,
  )
  await until('it saw all', () => seen.changed.length === 2 && seen.due > 5)
  stopping.abort()
  await running
  assert.deepEqual(seen.changed, [['b', 'c'], []])
  assert.deepEqual(seen.vanished, [['a'], ['b', 'c']])
  assert.equal(seen.answered, seen.due - 1)
  assert.deepEqual(
    lines.map(({ event, topics, err }) => [event, topics ?? err]),
    [
      ['topics_not_listed', 'no broker answers'],
      ['topics_vanished', ['a']],
      ['topics_appeared', ['c']],
      ['topics_vanished', ['b', 'c']],
    ],
  )
})
