import type { Selection } from '../../files/read/selection.ts'
import { typeOfName } from '../../record/type-name.ts'

/** The selection that the options of a command describe. */
export function selectionOf(options: {
  readonly type: readonly string[] | undefined
  readonly topic: readonly string[] | undefined
  readonly partition: number | undefined
  readonly from: number | undefined
  readonly to: number | undefined
}): Selection {
  const { type, topic, partition, from, to } = options
  return {
    types: type?.map(typeOfName),
    topics: topic,
    partitions: partition === undefined ? undefined : [partition],
    from,
    to,
  }
}
