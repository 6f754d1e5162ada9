import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Retrier } from '../../../../src/home/s3/retry.ts'
import { usualSettings } from '../../../../src/home/s3/settings.ts'
import { createLogger } from '../../../../src/runtime/log.ts'

const settings = { ...usualSettings, bucket: 'archive', prefix: '', endpoint: 'http://store:9000' }

function slowDown(): Error {
  return Object.assign(new Error('Please reduce your request rate'), {
    name: 'SlowDown',
    $metadata: { httpStatusCode: 503 },
  })
}

function listen() {
  const lines: Record<string, unknown>[] = []
  const log = createLogger({
    level: 'debug',
    stream: { write: (line: string) => void lines.push(JSON.parse(line)) },
  })
  return { lines, log }
}

test('a request is sent until it is answered, and a store that keeps refusing is one warning', async () => {
  const { lines, log } = listen()
  const retrier = new Retrier(settings, log, Number.POSITIVE_INFINITY)
  let sent = 0
  const answer = await retrier.send({ operation: 'PutObject', key: 'k' }, async () => {
    if (++sent < 6) throw slowDown()
    return 'stored'
  })
  assert.equal(answer, 'stored')
  const events = lines.filter(({ event }) => event === 'store_request_retried')
  assert.equal(events.length, 5)
  const news = events.filter(({ level }) => level === 'warn' || level === 40)
  assert.equal(news.length, 1)
  const { operation, key, failures, reason } = news[0]!
  assert.deepEqual(
    { operation, key, failures, reason },
    { operation: 'PutObject', key: 'k', failures: 3, reason: 'SlowDown' },
  )
})

test('what says something about the request is thrown at once, in words', async () => {
  const retrier = new Retrier(settings, listen().log, Number.POSITIVE_INFINITY)
  let sent = 0
  await assert.rejects(
    retrier.send({ operation: 'PutObject', key: 'k' }, async () => {
      sent++
      throw Object.assign(new Error('x'), {
        name: 'AccessDenied',
        $metadata: { httpStatusCode: 403 },
      })
    }),
    { code: 'ARCHIVE_UNUSABLE', message: /s3:PutObject/ },
  )
  assert.equal(sent, 1)
})

test('patience ends', async () => {
  const impatient = new Retrier(settings, listen().log, 0)
  await assert.rejects(impatient.send({ operation: 'PutObject' }, () => Promise.reject(slowDown())))
})

test('a retrier that gives up says what it waited for, and sends nothing more', async () => {
  const retrier = new Retrier(settings, listen().log, Number.POSITIVE_INFINITY)
  assert.equal(new Retrier(settings, listen().log, 0).giveUp(), undefined)
  let refusals = 0
  const refused = retrier.send({ operation: 'GetObject', key: 'k' }, () => {
    refusals++
    return Promise.reject(slowDown())
  })
  const unanswered = retrier.send({ operation: 'PutObject', key: 'm' }, () => new Promise(() => {}))
  const outcomes = Promise.allSettled([refused, unanswered])
  while (refusals < 2) await new Promise((resolve) => setTimeout(resolve, 10))
  const waited = retrier.giveUp()
  assert.match(
    waited ?? '',
    /^GetObject of s3:\/\/archive\/k, which failed (twice|2 times): .*SlowDown.* \(and 1 other request\)$/,
  )
  const [first, second] = await outcomes
  assert.match(String((first as PromiseRejectedResult).reason), /gave up GetObject of .* failed 2/)
  assert.match(String((second as PromiseRejectedResult).reason), /gave up PutObject of .* not ans/)
  let sent = 0
  await assert.rejects(
    retrier.send({ operation: 'HeadObject', key: 'n' }, async () => ++sent),
    { code: 'UNREACHABLE' },
  )
  assert.equal(sent, 0)
})
