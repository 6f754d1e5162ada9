/**
 * What a sink does that its acknowledgements do not tell. Told by the sinks, heard by status
 * documents.
 */
export interface Observer {
  /** A bulk request or a flush was done, and took so long, in ms. */
  done(sink: string, ms: number): void
  /** Something that a person may ask about happened so many times. */
  happened(sink: string, event: SinkEvent, reason: string, count: number): void
}

/** `retry`: sent again. `reject`: refused for good, and kept as a reject. */
export type SinkEvent = 'retry' | 'reject'

/** How long things took, of those since it was last asked. */
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
 * More different reasons than this between two questions are one: a producer may have a hand in
 * their text.
 */
const mostReasons = 100

/** Keeps what was observed until it is asked for. */
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
    const kept = isKnown || this.#events.size < mostReasons ? reason : 'other'
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
