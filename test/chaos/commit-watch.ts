import type { Admin } from 'kafkajs'
import { messageOf } from '../../src/runtime/errors.ts'
import { pause } from './breaker.ts'
import type { LoadTopic } from './load.ts'

/**
 * Watches what the group has committed: that it reaches the end, and that it does not go backwards
 * for long.
 */
export class CommitWatch {
  readonly #admin: Admin
  readonly #group: string
  readonly #topics: readonly LoadTopic[]
  readonly #highest = new Map<string, { offset: number; since: number | undefined }>()
  #watching = true
  #running: Promise<void> = Promise.resolve()
  longestRegressionSeconds = 0

  constructor(admin: Admin, group: string, topics: readonly LoadTopic[]) {
    this.#admin = admin
    this.#group = group
    this.#topics = topics
  }

  start(): void {
    this.#running = (async () => {
      while (this.#watching) {
        await pause(2000)
        await this.#lags().catch(() => {}) // The broker is away, on purpose.
      }
    })()
  }

  async stop(): Promise<void> {
    this.#watching = false
    await this.#running
  }

  /**
   * Waits until everything is committed; returns the partitions that are still behind when the time
   * is over.
   */
  async untilDrained(seconds: number, status: (line: string) => void): Promise<string[]> {
    const deadline = performance.now() + seconds * 1000
    let behind = ['Kafka does not answer']
    while (performance.now() < deadline) {
      await pause(1000)
      try {
        const lags = await this.#lags()
        behind = lags.filter(({ lag }) => lag > 0).map(({ tp, lag }) => `${tp} by ${lag}`)
        if (behind.length === 0) return []
        status(`waiting for lag 0: ${lags.reduce((sum, { lag }) => sum + lag, 0)}`)
      } catch (error) {
        behind = [messageOf(error)]
      }
    }
    return behind
  }

  async #lags(): Promise<{ tp: string; lag: number }[]> {
    const lags: { tp: string; lag: number }[] = []
    const now = performance.now()
    for (const { name } of this.#topics) {
      const ends = await this.#admin.fetchTopicOffsets(name)
      const [answer] = await this.#admin.fetchOffsets({ groupId: this.#group, topics: [name] })
      const committed = new Map(
        answer!.partitions.map(({ partition, offset }) => [partition, Number(offset)]),
      )
      for (const { partition, high } of ends) {
        const tp = `${name}/${partition}`
        const offset = committed.get(partition) ?? -1
        this.#note(tp, offset, now)
        lags.push({ tp, lag: offset < 0 ? Math.max(1, Number(high)) : Number(high) - offset })
      }
    }
    return lags
  }

  #note(tp: string, offset: number, now: number): void {
    const known = this.#highest.get(tp)
    if (known === undefined || offset >= known.offset) {
      this.#highest.set(tp, { offset, since: undefined })
      return
    }
    known.since ??= now
    this.longestRegressionSeconds = Math.max(
      this.longestRegressionSeconds,
      (now - known.since) / 1000,
    )
  }
}
