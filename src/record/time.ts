/**
 * Hours and days of Kafka's timestamps, in UTC. An hour is a directory of the archive, a day is an
 * index of Elasticsearch.
 */

export const msPerHour = 3_600_000
const hoursPerDay = 24
export const msPerDay = hoursPerDay * msPerHour

/** The hour, and the day, of a timestamp outside the years 1970 to 9999. */
export const unknownHour = -1

/** The first ms of the year 10000. */
const endOfTime = 253_402_300_800_000

/** Whether a timestamp in ms has an hour: it lies in the years 1970 to 9999. */
export function hasHour(timestamp: number): boolean {
  return timestamp >= 0 && timestamp < endOfTime
}

/** Hours since 1970 of a timestamp in ms, or `unknownHour`. */
export function hourOf(timestamp: number): number {
  return hasHour(timestamp) ? Math.floor(timestamp / msPerHour) : unknownHour
}

/** Days since 1970 of an hour. `unknownHour` is a day of its own. */
export function dayOf(hour: number): number {
  return Math.floor(hour / hoursPerDay)
}

/** `2019-08-01`: a day since 1970. */
export function isoDay(day: number): string {
  return isoDate(day * msPerDay)
}

/** `2019-08-01`: the day of a time in ms. */
export function isoDate(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

/** `03`: the hour of its day. */
export function hourOfDay(hour: number): string {
  return String(hour % hoursPerDay).padStart(2, '0')
}
