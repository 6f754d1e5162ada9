import { partitionKey, type TopicPartition } from '../record/record.ts'
import type { Answers, LogBounds, Source } from './source.ts'

/** Who waits for an answer about a partition. */
interface Asker<T> {
  readonly tp: TopicPartition
  readonly answered: (answer: T | undefined) => void
  readonly failed: (error: unknown) => void
}

/**
 * One question at a time, for all that ask meanwhile. A thousand partitions that are opened at once
 * then cost a few requests, not a thousand.
 *
 * **Invariant**: an answer is younger than the call that gets it. Who asks while a question is on
 * its way waits for the next one; an older answer could show an end of the log that is below what a
 * sink holds by now, and that looks like a loss.
 */
class SharedQuestion<T> {
  readonly #put: (tps: readonly TopicPartition[]) => Promise<Answers<T>>
  #askers: Asker<T>[] = []
  #isOnItsWay = false

  constructor(put: (tps: readonly TopicPartition[]) => Promise<Answers<T>>) {
    this.#put = put
  }

  /** @throws what Kafka answered, for this topic or for all */
  ask(tp: TopicPartition): Promise<T | undefined> {
    return new Promise((answered, failed) => {
      this.#askers.push({ tp, answered, failed })
      if (this.#isOnItsWay) return
      this.#isOnItsWay = true
      // All that ask in this turn of the event loop share the first question.
      setImmediate(() => void this.#putNext())
    })
  }

  async #putNext(): Promise<void> {
    while (this.#askers.length > 0) {
      const askers = this.#askers
      this.#askers = []
      const tps = new Map(askers.map(({ tp }) => [partitionKey(tp), tp]))
      try {
        const { found, refused } = await this.#put([...tps.values()])
        for (const { tp, answered, failed } of askers) {
          if (refused.has(tp.topic)) failed(refused.get(tp.topic))
          else answered(found.get(partitionKey(tp)))
        }
      } catch (error) {
        for (const { failed } of askers) failed(error)
      }
    }
    this.#isOnItsWay = false
  }
}

/** What is asked of Kafka when partitions are opened or located. */
export class Questions {
  readonly #committed: SharedQuestion<number>
  readonly #bounds: SharedQuestion<LogBounds>

  constructor(source: Pick<Source, 'bounds' | 'committedOffsets'>) {
    this.#committed = new SharedQuestion((tps) => source.committedOffsets(tps))
    this.#bounds = new SharedQuestion((tps) => source.bounds(tps))
  }

  /** What the group has committed; undefined if it has no offset. */
  committedOffset(tp: TopicPartition): Promise<number | undefined> {
    return this.#committed.ask(tp)
  }

  /** The bounds of its log; undefined if Kafka does not know the partition. */
  bounds(tp: TopicPartition): Promise<LogBounds | undefined> {
    return this.#bounds.ask(tp)
  }
}
