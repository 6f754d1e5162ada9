import { archiveGroup } from './archive.ts'
import { bulkGroup } from './bulk.ts'
import { catSet } from './commands/cat.ts'
import { compactSet } from './commands/compact.ts'
import { dashboardSet } from './commands/dashboard.ts'
import { lsSet } from './commands/ls.ts'
import { pruneSet } from './commands/prune.ts'
import { restoreSet } from './commands/restore.ts'
import { retryRejectedSet } from './commands/retry-rejected.ts'
import { runSet } from './commands/run.ts'
import { setupSet } from './commands/setup.ts'
import { statusSet } from './commands/status.ts'
import { verifySet } from './commands/verify.ts'
import { elasticsearchGroup } from './elasticsearch.ts'
import { filesGroup } from './files.ts'
import { kafkaGroups } from './kafka.ts'
import { kibanaGroup } from './kibana.ts'
import { logGroup } from './log.ts'
import { mysqlGroup, mysqlSinkGroup } from './mysql.ts'
import type { OptionGroup, Options } from './options.ts'
import { topicsGroup } from './topics.ts'
import { typesGroup } from './types.ts'
import { workerGroup } from './worker.ts'

/** The options of each command, by its name. */
export const commandSets = {
  run: runSet,
  setup: setupSet,
  dashboard: dashboardSet,
  verify: verifySet,
  'retry-rejected': retryRejectedSet,
  ls: lsSet,
  cat: catSet,
  restore: restoreSet,
  status: statusSet,
  compact: compactSet,
  prune: pruneSet,
}

export type CommandName = keyof typeof commandSets

/** The groups that commands share, in the order of `--help` and of the configuration reference. */
export const sharedGroups: readonly OptionGroup[] = [
  ...kafkaGroups,
  topicsGroup,
  typesGroup,
  archiveGroup,
  filesGroup,
  elasticsearchGroup,
  bulkGroup,
  mysqlGroup,
  mysqlSinkGroup,
  workerGroup,
  kibanaGroup,
  logGroup,
]

/** What the file at `--config` may hold: the options of all commands, which share it. */
export const everyOption: Options = Object.assign(
  {},
  ...Object.values(commandSets).map(({ options }) => options),
)
