import type { Space } from '../../home/home.ts'

/** Archiving keeps at least this much, or a tenth of a small file system. */
const maxReserve = 4 * 2 ** 30
const reservedShare = 0.1

/** A copy that was not begun, because archiving needs the room; in bytes. */
export interface Shortage {
  readonly needed: number
  readonly free: number
  /** What stays free for archiving. */
  readonly reserve: number
}

/**
 * Undefined if a copy of this size leaves archiving enough room, or if the file system does not
 * say.
 */
export function shortageOf(space: Space | undefined, needed: number): Shortage | undefined {
  if (space === undefined || space.total === 0) return undefined
  const reserve = Math.floor(Math.min(maxReserve, space.total * reservedShare))
  return space.free - needed < reserve ? { needed, free: space.free, reserve } : undefined
}

/** A lack of room in the fields of a log line. `title`: of the home. */
export function shortageFields(
  title: string,
  { needed, free, reserve }: Shortage,
): Record<string, unknown> {
  return { path: title, needed_bytes: needed, free_bytes: free, reserve_bytes: reserve }
}
