import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  type AskedTopic,
  FetchSession,
  type SessionFields,
} from '../../../../src/kafka/repairs/fetch-session.ts'

/** A broker's side of KIP-227. */
class SessionBroker {
  #id = 0
  #epoch = 0
  /** What it would look for records of, as `topic/partition@offset`. */
  asked: readonly string[] = []
  #known = new Map<string, string>()

  fetch(topics: readonly AskedTopic[], session: SessionFields, hasSessions: boolean) {
    const full = session.sessionEpoch === 0
    if (!full && session.sessionId !== this.#id) return { errorCode: 70, sessionId: 0 }
    if (!full && session.sessionEpoch !== this.#epoch) return { errorCode: 71, sessionId: 0 }
    if (full) {
      assert.deepEqual(session.forgottenTopics, [])
      this.#known.clear()
    }
    for (const { topic, partitions } of topics)
      for (const { partition, fetchOffset } of partitions)
        this.#known.set(`${topic}/${partition}`, fetchOffset)
    for (const { topic, partitions } of session.forgottenTopics)
      for (const partition of partitions)
        assert.ok(this.#known.delete(`${topic}/${partition}`), 'it knows what is forgotten')
    this.asked = [...this.#known].map(([key, offset]) => `${key}@${offset}`).sort()
    if (!hasSessions) return { errorCode: 0, sessionId: 0 }
    if (full) {
      this.#id++
      this.#epoch = 1
    } else this.#epoch++
    return { errorCode: 0, sessionId: this.#id }
  }

  evict(): void {
    this.#id++
  }
}

const topics = fc
  .uniqueArray(
    fc.record({ topic: fc.constantFrom('a', 'b'), partition: fc.nat(4), offset: fc.nat(2) }),
    {
      selector: ({ topic, partition }) => `${topic}/${partition}`,
      minLength: 1,
    },
  )
  .map((all): readonly AskedTopic[] =>
    [...Map.groupBy(all, ({ topic }) => topic)].map(([topic, some]) => ({
      topic,
      partitions: some.map(({ partition, offset }) => ({
        partition,
        fetchOffset: String(offset),
        maxBytes: 1,
      })),
    })),
  )

const step = fc.record({
  topics,
  happens: fc.constantFrom('answered', 'answered', 'answer lost', 'request lost', 'evicted'),
  hasSessions: fc.boolean(),
})

function asText(asked: readonly AskedTopic[]): string[] {
  return asked
    .flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, fetchOffset }) => `${topic}/${partition}@${fetchOffset}`),
    )
    .sort()
}

test('the broker looks at exactly what is asked for, whatever is lost on the way', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const broker = new SessionBroker()
      const session = new FetchSession()
      for (const { topics, happens, hasSessions } of steps) {
        if (happens === 'evicted') broker.evict()
        const send = () => {
          const next = session.next(topics)
          return broker.fetch(next.topics, next.session, hasSessions)
        }
        if (happens === 'request lost') {
          session.next(topics)
          session.failed()
          continue
        }
        const answer = send()
        if (happens === 'answer lost') {
          session.failed()
          continue
        }
        if (!session.answered(answer)) assert.ok(session.answered(send()))
        assert.deepEqual(broker.asked, asText(topics))
      }
    }),
    { numRuns: 2000 },
  )
})

test('a fetch without news names nothing', () => {
  const session = new FetchSession()
  const asked: AskedTopic[] = [
    { topic: 'a', partitions: [{ partition: 0, fetchOffset: '7', maxBytes: 1 }] },
  ]
  assert.deepEqual(session.next(asked).topics, asked)
  session.answered({ errorCode: 0, sessionId: 5 })
  assert.deepEqual(session.next(asked), {
    topics: [],
    session: { sessionId: 5, sessionEpoch: 1, forgottenTopics: [] },
  })
})
