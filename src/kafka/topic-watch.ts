import { ArchiverError, errorFields } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { Outage } from '../runtime/outage.ts'
import { sleep } from '../runtime/retry.ts'
import { wantedBy, wishOf } from './group/wish.ts'

/** Topics by name, or all that a regular expression matches, now and later. */
export type TopicChoice = readonly string[] | RegExp

export interface TopicWatchEvents {
  /** A look is due. */
  due(): void
  /** Kafka answered. */
  answered(): void
  /** Kafka has none of these topics any more. */
  vanished(topics: readonly string[]): void
  /** The topics are others than before. */
  changed(topics: readonly string[]): Promise<void>
}

/** Which of the topics that exist are chosen. Looks again and again, as topics come and go. */
export class TopicWatch {
  readonly #choice: TopicChoice
  readonly #list: () => Promise<readonly string[]>
  readonly #log: Logger
  readonly #excluded: RegExp | undefined
  readonly #outage = new Outage()
  #topics: readonly string[] = []

  /**
   * @param list asks Kafka for the names of all topics
   * @param excluded what `choice` leaves out, for messages
   */
  constructor(
    choice: TopicChoice,
    list: () => Promise<readonly string[]>,
    log: Logger,
    excluded?: RegExp,
  ) {
    this.#choice = choice
    this.#list = list
    this.#log = log
    this.#excluded = excluded
  }

  /** The chosen topics, as Kafka last said. */
  get topics(): readonly string[] {
    return this.#topics
  }

  /**
   * Looks for the first time.
   * @param where Kafka's addresses, for the message
   * @throws ArchiverError `NO_SUCH_TOPIC` if one that was named does not exist; what `list` throws
   */
  async start(where: string): Promise<void> {
    const existing = await this.#list()
    if (!(this.#choice instanceof RegExp)) {
      const missing = without(this.#choice, existing)
      if (missing.length > 0) {
        throw new ArchiverError(
          'NO_SUCH_TOPIC',
          `Kafka at ${where} has no topic ${missing.join(', ')}; create it first, or name others with --topics`,
          { topics: missing },
        )
      }
    }
    this.#topics = this.#chosen(existing)
    if (this.#topics.length > 0) return
    const excluded = existing.filter((topic) => isPublic(topic) && this.#excluded?.test(topic))
    this.#log.warn(
      {
        event: 'no_topic_matches',
        pattern: String(this.#choice),
        ...(excluded.length === 0 ? {} : { excluded: excluded.slice(0, 20) }),
      },
      'no topic matches yet; waiting for one',
    )
  }

  #chosen(existing: readonly string[]): readonly string[] {
    return existing.filter(wantedBy(wishOf(this.#choice))).sort()
  }

  /** Looks every `refreshMs` until the signal. */
  async run(refreshMs: number, events: TopicWatchEvents, signal: AbortSignal): Promise<void> {
    while (await sleep(refreshMs, signal)) {
      events.due()
      let topics: readonly string[]
      try {
        topics = this.#chosen(await this.#list())
        this.#outage.over(performance.now())
      } catch (error) {
        const fields = errorFields(error)
        this.#log[this.#outage.failed(fields.err, performance.now()) ? 'warn' : 'debug'](
          { event: 'topics_not_listed', ...fields },
          'cannot list topics; retrying',
        )
        continue
      }
      events.answered()
      await this.#compare(topics, events)
    }
  }

  async #compare(topics: readonly string[], events: TopicWatchEvents): Promise<void> {
    const appeared = without(topics, this.#topics)
    const vanished = without(this.#topics, topics)
    if (appeared.length === 0 && vanished.length === 0) return
    this.#topics = topics
    if (vanished.length > 0) {
      this.#log.error(
        { event: 'topics_vanished', topics: vanished },
        'topics do not exist any more; the others go on',
      )
      events.vanished(vanished)
    }
    if (appeared.length > 0)
      this.#log.info({ event: 'topics_appeared', topics: appeared }, 'found new topics')
    await events.changed(topics)
  }
}

/** Kafka's own topics (`__consumer_offsets`) are archived only when they are named. */
function isPublic(topic: string): boolean {
  return !topic.startsWith('__')
}

function without(topics: readonly string[], others: readonly string[]): readonly string[] {
  const known = new Set(others)
  return topics.filter((topic) => !known.has(topic))
}
