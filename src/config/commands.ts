import { catSet } from './commands/cat.ts'
import { compactSet } from './commands/compact.ts'
import { copySet } from './commands/copy.ts'
import { dashboardSet } from './commands/dashboard.ts'
import { leaveSet } from './commands/leave.ts'
import { lsSet } from './commands/ls.ts'
import { mappingSet } from './commands/mapping.ts'
import { pruneSet } from './commands/prune.ts'
import { restoreSet } from './commands/restore.ts'
import { retryRejectedSet } from './commands/retry-rejected.ts'
import { runSet } from './commands/run.ts'
import { setupSet } from './commands/setup.ts'
import { statusSet } from './commands/status.ts'
import { sweepSet } from './commands/sweep.ts'
import { verifySet } from './commands/verify.ts'
import type { OptionGroup, Options } from './options.ts'

/** The options of each command, by its name. */
export const commandSets = {
  run: runSet,
  setup: setupSet,
  dashboard: dashboardSet,
  verify: verifySet,
  'retry-rejected': retryRejectedSet,
  ls: lsSet,
  cat: catSet,
  mapping: mappingSet,
  restore: restoreSet,
  status: statusSet,
  compact: compactSet,
  prune: pruneSet,
  copy: copySet,
  leave: leaveSet,
  sweep: sweepSet,
}

export type CommandName = keyof typeof commandSets

/** The groups of all commands, in the order of `--help` and of the configuration reference. */
export const sharedGroups: readonly OptionGroup[] = [
  ...new Set(Object.values(commandSets).flatMap(({ groups }) => groups)),
]

/** What the file at `--config` may hold: the options of all commands, which share it. */
export const everyOption: Options = Object.assign(
  {},
  ...Object.values(commandSets).map(({ options }) => options),
)
