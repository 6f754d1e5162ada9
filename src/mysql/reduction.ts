import { errorTypes, type Kept, type Reduction } from './row.ts'
import { isMalformed, type Row, reductionOf } from './statement.ts'

/** What is kept of a record shrinks in these steps, until the server accepts it. */
const nextKept: Readonly<Record<Kept | 'all', Kept | undefined>> = {
  all: 'text',
  text: 'envelope',
  envelope: 'position',
  position: undefined,
}

/** Why less of a record is kept. */
export interface Refusal {
  /** All that the server said. It may quote the record. */
  readonly reason: string
  /** What a log may say of it. */
  readonly sayable?: string
  /** The record is too large, and as text it is no smaller. */
  readonly isTooLarge?: boolean
}

/** The next smaller form of a record; undefined if no more can be left out. */
export function reductionAfter(
  row: Row,
  { reason, sayable, isTooLarge = false }: Refusal,
): Reduction | undefined {
  const asText = isTooLarge || isMalformed(row)
  const kept = nextKept[reductionOf(row.form)?.kept ?? (asText ? 'text' : 'all')]
  if (kept === undefined) return undefined
  const errorType = row.form.is === 'collision' ? errorTypes.taken : errorTypes[kept]
  return { kept, errorType, reason, ...(sayable === undefined ? {} : { sayable }) }
}

/**
 * A record whose position another record has: the topic was recreated, or two clusters share a
 * table.
 * @param timestamp of the record that is there
 */
export function collisionWith(row: Row, timestamp: string): Reduction {
  const kept = reductionOf(row.form)?.kept
  const reason = `the table holds another record at this position, of Kafka timestamp ${timestamp}; was the topic recreated?`
  return { kept, errorType: errorTypes.taken, reason }
}

/** Nothing of the value is kept. */
export function isOmitted({ kept }: Reduction): boolean {
  return kept === 'envelope' || kept === 'position'
}
