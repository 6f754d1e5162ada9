import { didYouMean } from './nearest.ts'
import { negatedVariableName, type Options, variableName, variablePrefix } from './option.ts'

/** Our variables that are not options: `src/runtime/fault.ts`, and the servers of the tests. */
const otherVariables = /^ARCHIVER_(FAULT$|TEST_)/

/**
 * A line for every variable that begins as ours do and is none of these options: a mistyped name
 * must not be ignored in silence. It is not an error, because Kubernetes sets such variables for a
 * service called archiver.
 */
export function unknownVariables(
  options: Options,
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const known = Object.entries(options).flatMap(([key, { negated }]) =>
    negated === undefined ? [variableName(key)] : [variableName(key), negatedVariableName(key)],
  )
  const candidates = known.map((name) => name.slice(variablePrefix.length))
  return Object.keys(env)
    .filter(
      (name) =>
        name.startsWith(variablePrefix) && !known.includes(name) && !otherVariables.test(name),
    )
    .map((name) => {
      const meant = didYouMean(name.slice(variablePrefix.length), candidates, variablePrefix)
      return `ignoring unknown environment variable ${name}${meant}`
    })
}
