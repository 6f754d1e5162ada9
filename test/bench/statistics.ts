/** The pure arithmetic of the benchmark. */

/**
 * The middle value; of an even number of them, the mean of the two in the middle. Undefined of
 * none.
 */
export function median(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/**
 * The median of one figure of several runs; undefined if any of them lacks it, so that no median
 * is of fewer rounds.
 */
export function medianOf<T>(
  runs: readonly T[],
  figure: (run: T) => number | undefined,
): number | undefined {
  const values = runs.map(figure)
  return values.every((value) => value !== undefined) ? median(values) : undefined
}

/** How far the runs lie apart: (highest - lowest) / median. */
export function spread(values: readonly number[]): number | undefined {
  const middle = median(values)
  return middle === undefined || middle === 0
    ? undefined
    : (Math.max(...values) - Math.min(...values)) / middle
}

/** `a / b`; undefined if there is nothing to divide, or to divide by. */
export function ratio(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined || b === 0 ? undefined : a / b
}

/** A figure per million records. */
export function perMillion(value: number | undefined, records: number): number | undefined {
  return value === undefined || records === 0 ? undefined : (value * 1e6) / records
}
