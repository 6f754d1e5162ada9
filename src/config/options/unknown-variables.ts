import { didYouMean } from './nearest.ts'
import { negatedVariableName, type Options, variableName, variablePrefix } from './option.ts'

/**
 * Variables of ours that are no options: `src/runtime/fault.ts`, and what points tests at servers.
 */
const otherVariables = /^ARCHIVER_(FAULT$|TEST_)/

/**
 * A line for every variable that begins as ours do and is none of these options, so that a mistyped
 * one is not passed over in silence. It is no error: Kubernetes makes such variables of its own for
 * a service of that name.
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
      return `${name} is the variable of no option and is passed over${meant}`
    })
}
