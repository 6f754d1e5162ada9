/** What declares, reads and describes options: one door to `src/config/options/`. */

export { describeOptions, explanationOf, flagsOf, paragraph, wrapped } from './options/describe.ts'
export { exposedSecrets } from './options/exposed-secrets.ts'
export * from './options/groups.ts'
export * from './options/kinds.ts'
export * from './options/lists.ts'
export { didYouMean } from './options/nearest.ts'
export * from './options/option.ts'
export { overridden, overrides } from './options/overrides.ts'
export * from './options/paths.ts'
export * from './options/patterns.ts'
export { type OptionSources, readOptions } from './options/read.ts'
export {
  because,
  exclusive,
  implied,
  is,
  needed,
  type Relation,
  related,
  requires,
  type Term,
  that,
} from './options/relations.ts'
export { unknownVariables } from './options/unknown-variables.ts'
export {
  addressIn,
  baseUrl,
  type Expectation,
  httpUrl,
  url,
  urls,
  workerUrls,
} from './options/urls.ts'
