/** Files, manifest and guard of one flush: see docs/object-store.md, «Costs». */
export function requestsOfFlush(files: number): number {
  return 3 * files + 2
}

const msPerDay = 86_400_000

/**
 * The cost, in requests, of a partition that always has records, by the number of files in each
 * flush.
 */
export function requestsPerDay(flushIntervalMs: number, files: number): number {
  return Math.ceil((msPerDay / flushIntervalMs) * requestsOfFlush(files))
}
