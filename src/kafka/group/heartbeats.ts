import type { ConsumerGroup } from './consumer-group.ts'
import { heartbeat } from './requests.ts'

export interface HeartbeatEvents {
  /** The id of a static member. */
  instanceId(): string | null
  /** Whether a request to join has no answer yet: then the answer to a heartbeat means nothing. */
  isAsking(): boolean
  /** The group rebalances: the member is to join again. */
  rebalancing(group: ConsumerGroup): void
  /** Another process took the id of this static member. */
  fenced(error: unknown): void
}

/** While a rebalance is expected, heartbeats are so far apart, in ms. */
const hurryIntervalMs = 100
/** A member that has not given up its partitions by then is slow, and heartbeats get rare again. */
const hurryMs = 5000

/** Tells the group that the member is there, and hears whether the group rebalances. */
export class Heartbeats {
  readonly #events: HeartbeatEvents
  #beating: Promise<void> | undefined
  #hurrying: NodeJS.Timeout | undefined
  #isFenced = false

  constructor(events: HeartbeatEvents) {
    this.#events = events
  }

  /**
   * Sends one if it is due, and never two at once.
   * @param interval in ms
   * @throws kafkajs's error, if the consumer has to look after it
   */
  beat(group: ConsumerGroup, interval: number): Promise<void> {
    const { memberId, lastRequest } = group
    const isDue = performance.now() >= lastRequest + interval
    if (memberId === null || this.#isFenced || this.#events.isAsking() || !isDue)
      return Promise.resolve()
    this.#beating ??= this.#beat(group, memberId).finally(() => {
      this.#beating = undefined
    })
    return this.#beating
  }

  /**
   * Expects a rebalance soon, and sends heartbeats often until it is there: what a member has given
   * up is read by nobody until every member has heard of it.
   */
  hurry(group: ConsumerGroup): void {
    this.calm()
    const until = performance.now() + hurryMs
    const timer = setInterval(() => {
      if (performance.now() >= until) this.calm()
      // The consumer's own heartbeat meets the same error, and the consumer looks after it.
      else this.beat(group, 0).catch(() => this.calm())
    }, hurryIntervalMs)
    this.#hurrying = timer.unref()
  }

  /** Expects no rebalance any more. */
  calm(): void {
    clearInterval(this.#hurrying)
  }

  async #beat(group: ConsumerGroup, memberId: string): Promise<void> {
    const { groupId, generationId } = group
    const request = {
      groupId,
      memberId,
      groupInstanceId: this.#events.instanceId(),
      groupGenerationId: generationId!,
    }
    try {
      await heartbeat(group.coordinator!, request)
    } catch (error) {
      const { type } = error as { readonly type?: string }
      if (type === 'FENCED_INSTANCE_ID') {
        this.#isFenced = true
        this.#events.fenced(error)
        return
      }
      // It joined meanwhile.
      if (this.#events.isAsking() || group.generationId !== generationId) return
      if (type === 'NOT_COORDINATOR_FOR_GROUP' || isConnectionError(error)) {
        // The group is as it was, at another broker. kafkajs would join again.
        group.coordinator = await group.cluster.findGroupCoordinator({ groupId })
        if (group.offsetManager !== null) group.offsetManager.coordinator = group.coordinator
        return
      }
      if (type !== 'REBALANCE_IN_PROGRESS') throw error
      this.calm()
      this.#events.rebalancing(group)
    }
    group.lastRequest = performance.now()
    group.instrumentationEmitter.emit('consumer.heartbeat', request)
  }
}

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && error.name.startsWith('KafkaJSConnection')
}
