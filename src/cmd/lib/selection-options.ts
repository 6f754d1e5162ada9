import { usage } from '../../config/options.ts'
import type { Selection } from '../../files/read/selection.ts'
import { typeOfName } from '../../record/type-name.ts'

/**
 * The selection that the options of a command describe.
 * @param end the name of the option that `to` is
 * @throws ArchiverError `USAGE` for a time range that ends before it begins
 */
export function selectionOf(
  options: {
    readonly type: readonly string[] | undefined
    readonly topic: readonly string[] | undefined
    readonly partition: number | undefined
    readonly from: number | undefined
    readonly to: number | undefined
  },
  end: 'to' | 'until' = 'to',
): Selection {
  const { type, topic, partition, from, to } = options
  checkRange(from, to, end)
  return {
    types: type?.map(typeOfName),
    topics: topic,
    partitions: partition === undefined ? undefined : [partition],
    from,
    to,
  }
}

/** @throws ArchiverError `USAGE` for a time range that ends before it begins */
export function checkRange(
  from: number | undefined,
  to: number | undefined,
  end: 'to' | 'until',
): void {
  if (from !== undefined && to !== undefined && from >= to)
    throw usage(`--from must be before --${end}`)
}
