import { type AskedTopic, FetchSession, type SessionFields } from './fetch-session.ts'
import { prototypeOf } from './modules.ts'
import type { SourceEdit } from './source-edits.ts'

interface FetchRequest {
  readonly topics: readonly AskedTopic[]
  /** A fetch without a session: others of the same connection are not what it asks for. */
  readonly isAlone?: boolean
}

interface FetchAnswer {
  readonly errorCode?: number
  readonly sessionId?: number
}

interface BrokerPrototype {
  fetch(
    this: object,
    request: FetchRequest & { readonly session?: SessionFields },
  ): Promise<FetchAnswer>
}

/** kafkajs knows the fields of a session in its requests, and does not fill them. */
export const fetchSessionEdits: readonly SourceEdit[] = [
  {
    module: 'broker/index',
    find: 'topics: consolidatedTopicPartitions,\n        rackId,\n',
    replace:
      'topics: consolidatedTopicPartitions,\n        rackId,\n        ...arguments[0].session,\n',
    times: 1,
  },
]

/**
 * Consumers of kafkajs have a fetch session with each broker. Nobody fetches twice at once from one
 * broker: each consumer has its own connections and one fetch loop a broker.
 */
export function repairFetchSessions(): void {
  const sessions = new WeakMap<object, FetchSession>()
  const prototype = prototypeOf<BrokerPrototype>('broker', ['fetch'])
  const { fetch } = prototype
  prototype.fetch = async function (request) {
    if (request.isAlone === true) return fetch.call(this, request)
    const session = sessions.get(this) ?? new FetchSession()
    sessions.set(this, session)
    try {
      const answer = await fetch.call(this, { ...request, ...session.next(request.topics) })
      if (session.answered(answer)) return answer
      const again = await fetch.call(this, { ...request, ...session.next(request.topics) })
      session.answered(again)
      return again
    } catch (error) {
      session.failed()
      throw error
    }
  }
}
