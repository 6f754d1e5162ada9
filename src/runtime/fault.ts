/**
 * Points at which the chaos tests break the program. Without `ARCHIVER_FAULT` they do nothing.
 *
 * `ARCHIVER_FAULT=files.linked:3` kills the process, as kill -9 does, when it reaches that point
 * for the third time.
 */
export const faultPoints = [
  // A file that is staged, of a flush or of a compaction.
  'staging.appended',
  'staging.written',
  // The steps of a commit, each by its label: see `CommitLabel` in `home/home.ts`.
  'origin.content-written',
  'origin.linked',
  'files.synced',
  'files.content-written',
  'files.linked',
  'files.renamed-one',
  'files.renamed',
  'files.directories-synced',
  'compaction.merged-one',
  'compaction.synced',
  'compaction.content-written',
  'compaction.linked',
  'compaction.renamed-one',
  'compaction.renamed',
  'compaction.directories-synced',
  'compaction.replaced-removed-one',
  'compaction.replaced-removed',
  'compaction.manifest-removed-one',
  'compaction.manifest-removed',
  'worker.acknowledged',
  'worker.committed',
] as const

/** The steps of `mapping --rebuild`, for one day. */
export const rebuildPoints = [
  'rebuild.created',
  'rebuild.copied',
  'rebuild.marked',
  'rebuild.blocked',
  'rebuild.caught-up',
  'rebuild.swapped',
] as const

export type FaultPoint = (typeof faultPoints)[number] | (typeof rebuildPoints)[number]

interface ArmedFault {
  readonly point: string
  remaining: number
}

function armed(text: string | undefined): ArmedFault | undefined {
  if (text === undefined || text === '') return undefined
  const [point, times] = text.split(':')
  if (![...faultPoints, ...rebuildPoints].some((known) => known === point))
    throw new Error(`ARCHIVER_FAULT: no such point: ${point}`)
  return { point: point!, remaining: times === undefined ? 1 : Number(times) }
}

const fault = armed(process.env.ARCHIVER_FAULT)

/** Kills the process here if the tests ask for it. */
export function faultPoint(point: FaultPoint): void {
  if (fault === undefined || fault.point !== point) return
  fault.remaining--
  if (fault.remaining <= 0) process.kill(process.pid, 'SIGKILL')
}
