/**
 * Chooses by size which neighbours of one hour become one file. Merging everything at each pass
 * would copy a growing file each time: quadratic cost. Here a byte is copied again only when its
 * file at least doubles. That is the rule of size-tiered merges, as in an LSM tree or Lucene's
 * TieredMergePolicy.
 *
 * **Bound.** Let `n` flushes write `w` bytes into an hour. The first merge copies each byte once.
 * Each later merge at least doubles the file of every byte, except in one file of at most
 * `freeBytes`. So bytes copied <= w * (1 + log2 n) + freeBytes * merges.
 */

/** A file as its size tier sees it. */
export interface TieredFile {
  readonly bytes: number
  /** False for the file of a flush, which no merge has copied yet. */
  readonly isMerged: boolean
}

/** A file this small is copied at any time: that costs less than the fsyncs of the pass. */
export const standardFreeBytes = 16 * 1024

export interface TierLimits {
  /** The max size of a merged file. */
  readonly maxBytes: number
  readonly freeBytes: number
}

/** Neighbours `[start, end)` of a list. */
export interface Run {
  readonly start: number
  readonly end: number
}

/**
 * The runs of neighbours to merge, in ascending order. Only neighbours can become one: a file that
 * spans others would claim their offsets, and its lines would not be in the order of their offsets.
 *
 * @param files of one directory, in the order of their offsets
 */
export function chooseRuns(
  files: readonly TieredFile[],
  { maxBytes, freeBytes }: TierLimits,
): Run[] {
  const runs: Run[] = []
  const waiting: Run[] = [{ start: 0, end: files.length }]
  for (let run = waiting.pop(); run !== undefined; run = waiting.pop()) {
    if (run.end - run.start < 2) continue
    const { total, largest } = weigh(files, run)
    if (total > maxBytes) {
      waiting.push(...cut(files, run, maxBytes).reverse())
    } else if (largest === undefined || isFair(files[largest]!.bytes, total, freeBytes)) {
      runs.push(run)
    } else {
      // No run with the largest file is fair. What stays on each side is less than half: few
      // rounds.
      waiting.push({ start: largest + 1, end: run.end }, { start: run.start, end: largest })
    }
  }
  return runs
}

/** True if the files that join the largest merged file are together at least as large. */
function isFair(largest: number, total: number, freeBytes: number): boolean {
  return largest <= freeBytes || total - largest >= largest
}

/** The size of a run, and the largest of its files that were merged before. */
function weigh(
  files: readonly TieredFile[],
  { start, end }: Run,
): { total: number; largest: number | undefined } {
  let total = 0
  let largest: number | undefined
  for (let i = start; i < end; i++) {
    const { bytes, isMerged } = files[i]!
    total += bytes
    if (isMerged && (largest === undefined || bytes > files[largest]!.bytes)) largest = i
  }
  return { total, largest }
}

/** Cuts a run that is too large: each part has as many files as fit. */
function cut(files: readonly TieredFile[], { start, end }: Run, maxBytes: number): Run[] {
  const parts: Run[] = []
  let from = start
  let total = 0
  for (let i = start; i < end; i++) {
    const { bytes } = files[i]!
    if (i > from && total + bytes > maxBytes) {
      parts.push({ start: from, end: i })
      from = i
      total = 0
    }
    total += bytes
  }
  parts.push({ start: from, end })
  return parts
}
