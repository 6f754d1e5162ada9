/** A partition as a fetch asks for it. */
interface AskedPartition {
  readonly partition: number
  readonly fetchOffset: string
  readonly maxBytes: number
}

export interface AskedTopic {
  readonly topic: string
  readonly partitions: readonly AskedPartition[]
}

/** The fields of a fetch request that belong to its session. */
export interface SessionFields {
  readonly sessionId: number
  readonly sessionEpoch: number
  readonly forgottenTopics: readonly {
    readonly topic: string
    readonly partitions: readonly number[]
  }[]
}

/** FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH. */
const sessionErrors: readonly (number | undefined)[] = [70, 71]
/** Asks for a session, and ends the one that the request names. */
const firstEpoch = 0
const maxEpoch = 2 ** 31 - 1

/**
 * A fetch session with one broker (KIP-227). The broker remembers the partitions and their offsets.
 * A request names only what has changed since the one before, and an answer has only partitions
 * with news. Without it, each fetch of an idle consumer names all of its partitions, and so does
 * the answer.
 *
 * A broker without sessions answers with the id 0 or none; then each request names everything.
 */
export class FetchSession {
  #id = 0
  #epoch = firstEpoch
  /** What the broker remembers, by topic and partition. */
  #known = new Map<string, Map<number, AskedPartition>>()

  /** What to send for a fetch of these partitions. */
  next(topics: readonly AskedTopic[]): {
    readonly topics: readonly AskedTopic[]
    readonly session: SessionFields
  } {
    const isFull = this.#epoch === firstEpoch
    const before = isFull ? new Map<string, Map<number, AskedPartition>>() : this.#known
    const now = new Map<string, Map<number, AskedPartition>>()
    const changed: AskedTopic[] = []
    for (const { topic, partitions } of topics) {
      const known = before.get(topic)
      const ofTopic = now.get(topic) ?? new Map<number, AskedPartition>()
      now.set(topic, ofTopic)
      const news: AskedPartition[] = []
      for (const asked of partitions) {
        ofTopic.set(asked.partition, asked)
        if (!isSame(known?.get(asked.partition), asked)) news.push(asked)
      }
      if (news.length > 0) changed.push({ topic, partitions: news })
    }
    this.#known = now
    return {
      topics: changed,
      session: {
        sessionId: this.#id,
        sessionEpoch: this.#epoch,
        forgottenTopics: forgotten(before, now),
      },
    }
  }

  /** @returns false if the broker does not know the session: the fetch must be sent again */
  answered(answer: { readonly errorCode?: number; readonly sessionId?: number }): boolean {
    if (sessionErrors.includes(answer.errorCode)) {
      this.#id = 0
      this.#epoch = firstEpoch
      return false
    }
    this.#id = answer.sessionId ?? 0
    this.#epoch = this.#id === 0 ? firstEpoch : this.#epoch === maxEpoch ? 1 : this.#epoch + 1
    return true
  }

  /**
   * Nobody knows whether the broker has seen the request, or its answer was thrown away. The next
   * request names everything.
   */
  failed(): void {
    this.#epoch = firstEpoch
  }
}

function isSame(known: AskedPartition | undefined, asked: AskedPartition): boolean {
  return known?.fetchOffset === asked.fetchOffset && known.maxBytes === asked.maxBytes
}

function forgotten(
  before: ReadonlyMap<string, ReadonlyMap<number, AskedPartition>>,
  now: ReadonlyMap<string, ReadonlyMap<number, AskedPartition>>,
): SessionFields['forgottenTopics'] {
  return [...before].flatMap(([topic, known]) => {
    const still = now.get(topic)
    const partitions = [...known.keys()].filter((partition) => still?.has(partition) !== true)
    return partitions.length === 0 ? [] : [{ topic, partitions }]
  })
}
