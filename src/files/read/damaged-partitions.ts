import { partitionKey, type TopicPartition } from '../../record/record.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import { plural } from '../../runtime/format.ts'
import { readableText } from '../../runtime/readable-text.ts'
import { standardError } from '../../runtime/standard-streams.ts'
import { damageOf } from '../log/damage.ts'
import type { ListedPartition } from '../log/manifest.ts'

/**
 * The partitions of an archive that a command cannot read. A damaged file affects its partition
 * alone: the command names it on standard error, continues with the others, and fails at its end.
 */
export class DamagedPartitions {
  readonly #tell: (text: string) => void
  readonly #errors = new Map<string, ArchiverError>()

  constructor(tell: (text: string) => void = (text) => standardError.print(text)) {
    this.#tell = tell
  }

  /** Returns those whose origin can be trusted, and names the others. */
  sound(partitions: readonly ListedPartition[]): TopicPartition[] {
    for (const { error, topic, partition } of partitions)
      if (error !== undefined) this.add({ topic, partition }, error)
    return partitions.filter(({ error }) => error === undefined)
  }

  /**
   * Runs a task of one partition. @returns undefined if that partition is damaged. @throws what
   * concerns more than it.
   */
  async attempt<T>(tp: TopicPartition, task: () => Promise<T>): Promise<T | undefined> {
    try {
      return await task()
    } catch (error) {
      const damage = damageOf(tp, error)
      if (damage === undefined) throw error
      this.add(tp, damage)
      return undefined
    }
  }

  add(tp: TopicPartition, error: ArchiverError): void {
    const key = partitionKey(tp)
    if (!this.#errors.has(key)) this.#tell(readableText(`BAD  ${key}: ${error.message}`))
    this.#errors.set(key, error)
  }

  has(tp: TopicPartition): boolean {
    return this.#errors.has(partitionKey(tp))
  }

  get isAny(): boolean {
    return this.#errors.size > 0
  }

  /** @throws ArchiverError of the first damage, if there was any. */
  throwIfAny(): void {
    const [first] = this.#errors.values()
    if (first === undefined) return
    const keys = [...this.#errors.keys()]
    const named = `${keys.slice(0, 8).join(', ')}${keys.length > 8 ? ' …' : ''}`
    throw new ArchiverError(
      first.code,
      `${plural(keys.length, 'partition')} cannot be read: ${named}; the others are not affected`,
      first.context,
      first,
    )
  }
}
