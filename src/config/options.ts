/** What declares, reads and describes options: one door to `src/options/`. */

export { describeOptions } from './options/describe.ts'
export { exposedSecrets } from './options/exposed-secrets.ts'
export * from './options/kinds.ts'
export * from './options/lists.ts'
export * from './options/option.ts'
export * from './options/paths.ts'
export { type OptionSources, readOptions } from './options/read.ts'
export { unknownVariables } from './options/unknown-variables.ts'
