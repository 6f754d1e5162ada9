import { prototypeOf } from './modules.ts'

/** An assigner that carries this hears of it before its consumer joins, or joins again. */
export const beforeJoin = Symbol('beforeJoin')

interface ConsumerGroup {
  readonly assigners: readonly { readonly [beforeJoin]?: () => Promise<void> }[]
}

interface ConsumerGroupPrototype {
  joinAndSync(this: ConsumerGroup): Promise<void>
}

/**
 * kafkajs has no callback before partitions are taken away, and one of its ways to join again has
 * no event either. All of them come by here, so a consumer can store and commit what it has before
 * it gives partitions up.
 */
export function repairJoin(): void {
  const prototype = prototypeOf<ConsumerGroupPrototype>('consumer/consumerGroup', ['joinAndSync'])
  const { joinAndSync } = prototype
  prototype.joinAndSync = async function () {
    for (const assigner of this.assigners) await assigner[beforeJoin]?.()
    return joinAndSync.call(this)
  }
}
