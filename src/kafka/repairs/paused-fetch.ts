import { prototypeOf } from './modules.ts'

const wakeUps = Symbol('wakeUps')

interface ConsumerGroup {
  readonly cluster: { refreshMetadataIfNecessary(): Promise<void> }
  /** In ms. */
  readonly maxWaitTime: number
  checkForStaleAssignment(): void
  recoverFromFetch(error: unknown): Promise<void>
  getActiveTopicPartitions(): Readonly<Record<string, ReadonlySet<number>>>
  /** Ends the waits for a partition that is resumed. */
  [wakeUps]?: Set<() => void>
}

interface ConsumerGroupPrototype {
  fetch(this: ConsumerGroup, nodeId: number): Promise<readonly unknown[]>
  resume(this: ConsumerGroup, topicPartitions: unknown): void
}

/**
 * While all partitions are paused, kafkajs sleeps for as long as a fetch may take, whatever is
 * resumed meanwhile: half a second at every start, for partitions are paused until they are open,
 * and after every time that sinks were full. This one wakes up.
 */
export function repairPausedFetch(): void {
  const prototype = prototypeOf<ConsumerGroupPrototype>('consumer/consumerGroup', [
    'fetch',
    'resume',
  ])
  const { fetch, resume } = prototype
  prototype.fetch = async function (nodeId) {
    const isPaused = Object.values(this.getActiveTopicPartitions()).every(({ size }) => size === 0)
    if (!isPaused) return fetch.call(this, nodeId)
    try {
      await this.cluster.refreshMetadataIfNecessary()
      this.checkForStaleAssignment()
      await untilResumed(this)
    } catch (error) {
      await this.recoverFromFetch(error)
    }
    return []
  }
  prototype.resume = function (topicPartitions) {
    resume.call(this, topicPartitions)
    for (const wakeUp of this[wakeUps] ?? []) wakeUp()
  }
}

function untilResumed(group: ConsumerGroup): Promise<void> {
  return new Promise((resolve) => {
    group[wakeUps] ??= new Set()
    const waiting = group[wakeUps]
    const wakeUp = () => {
      clearTimeout(timer)
      waiting.delete(wakeUp)
      resolve()
    }
    const timer = setTimeout(wakeUp, group.maxWaitTime)
    waiting.add(wakeUp)
  })
}
