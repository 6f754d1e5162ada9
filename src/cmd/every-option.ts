import { dashboardOptions, runOptions, setupOptions } from '../config.ts'
import type { Options } from '../options.ts'
import * as archiveOptions from './archive-options.ts'

/** What the file at `--config` may hold: the options of all commands, which share it. */
export const everyOption: Options = Object.assign(
  {},
  runOptions,
  setupOptions,
  dashboardOptions,
  ...Object.values(archiveOptions),
)
