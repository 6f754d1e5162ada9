import * as archiveOptions from '../../config/archive.ts'
import { dashboardOptions, runOptions, setupOptions } from '../../config/config.ts'
import type { Options } from '../../config/options.ts'

/** What the file at `--config` may hold: the options of all commands, which share it. */
export const everyOption: Options = Object.assign(
  {},
  runOptions,
  setupOptions,
  dashboardOptions,
  ...Object.values(archiveOptions),
)
