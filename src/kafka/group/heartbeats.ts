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

/** Tells the group that the member is there, and hears whether the group rebalances. */
export class Heartbeats {
  readonly #events: HeartbeatEvents
  #beating: Promise<void> | undefined
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
    if (memberId === null || this.#isFenced || performance.now() < lastRequest + interval)
      return Promise.resolve()
    this.#beating ??= this.#beat(group, memberId).finally(() => {
      this.#beating = undefined
    })
    return this.#beating
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
      this.#events.rebalancing(group)
    }
    group.lastRequest = performance.now()
    group.instrumentationEmitter.emit('consumer.heartbeat', request)
  }
}

function isConnectionError(error: unknown): boolean {
  return error instanceof Error && error.name.startsWith('KafkaJSConnection')
}
