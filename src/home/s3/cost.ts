/** Files, manifest and guard of one flush: see docs/object-store.md, «Costs». */
export function requestsOfFlush(files: number): number {
  return 3 * files + 2
}

const msPerDay = 86_400_000

/** What a partition that always has records costs in requests, with so many files in each flush. */
export function requestsPerDay(flushIntervalMs: number, files: number): number {
  return Math.ceil((msPerDay / flushIntervalMs) * requestsOfFlush(files))
}
