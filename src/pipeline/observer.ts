/**
 * What a sink does besides acknowledging. The sinks report it; metrics and status documents show
 * it.
 */
export interface Observer {
  /** A bulk request or a flush took this time, in ms. */
  done(sink: string, ms: number): void
  /** Something that a person may ask about happened `count` times. */
  happened(sink: string, event: SinkEvent, reason: string, count: number): void
}

/** `retry`: sent again. `reject`: refused for good, and kept as a reject. */
export type SinkEvent = 'retry' | 'reject'

/** How long things took since it was last asked, in ms. */
export interface Latency {
  readonly operations: number
  readonly mean: number
  readonly max: number
}

export interface CountedEvent {
  readonly sink: string
  readonly event: SinkEvent
  readonly reason: string
  readonly count: number
}

/**
 * More reasons than this between two questions count as one, `other`: their text may come from a
 * producer.
 */
const maxReasons = 100

/** Keeps what was observed until somebody takes it. */
export class Observations implements Observer {
  #latencies = new Map<string, { operations: number; sum: number; max: number }>()
  #events = new Map<string, { sink: string; event: SinkEvent; reason: string; count: number }>()

  done(sink: string, ms: number): void {
    const latency = this.#latencies.get(sink) ?? { operations: 0, sum: 0, max: 0 }
    latency.operations++
    latency.sum += ms
    latency.max = Math.max(latency.max, ms)
    this.#latencies.set(sink, latency)
  }

  happened(sink: string, event: SinkEvent, reason: string, count: number): void {
    const isKnown = this.#events.has(`${sink} ${event} ${reason}`)
    const kept = isKnown || this.#events.size < maxReasons ? reason : 'other'
    const key = `${sink} ${event} ${kept}`
    const counted = this.#events.get(key)
    if (counted === undefined) this.#events.set(key, { sink, event, reason: kept, count })
    else counted.count += count
  }

  /** What was observed since the last call. */
  take(): {
    readonly latencies: ReadonlyMap<string, Latency>
    readonly events: readonly CountedEvent[]
  } {
    const latencies = new Map(
      [...this.#latencies].map(([sink, { operations, sum, max }]) => [
        sink,
        { operations, mean: sum / operations, max },
      ]),
    )
    const events = [...this.#events.values()]
    this.#latencies = new Map()
    this.#events = new Map()
    return { latencies, events }
  }
}

/** Several observers as one. */
export function observers(...all: readonly Observer[]): Observer {
  return {
    done: (sink, ms) => {
      for (const one of all) one.done(sink, ms)
    },
    happened: (sink, event, reason, count) => {
      for (const one of all) one.happened(sink, event, reason, count)
    },
  }
}
