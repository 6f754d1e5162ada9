import type { DescribedField } from './described.ts'

/** Colors with a meaning, close to those of Kibana's own palettes. */
export const colors = {
  good: '#54b399',
  calm: '#6092c0',
  quiet: '#b0b9c6',
  warning: '#d6bf57',
  bad: '#e7664c',
  worst: '#aa3a2b',
} as const

/** Of values whose names say nothing about good and bad. */
const neutral = [
  '#6092c0',
  '#9170b8',
  '#79aad9',
  '#b9a888',
  '#ca8eae',
  '#3f6f9c',
  '#b6a2d3',
  '#8f8268',
  '#a4c5e6',
  '#d3c7ae',
]

/** Of values that are neither as they should be nor wrong: shades, so that neighbours differ. */
const warnings = [colors.warning, '#da8b45', '#f0d68a', '#b98b2e']

const badNames = /fail|err(or)?\b|declin|reject|denied|fatal|crit|panic|alarm|timeout|bounced/i
const warningNames = /cancel|refund|return|abort|expire|warn|retry|overdue|late\b/i
const goodNames =
  /^(ok|success(ful|fully)?|succeeded|delivered|complete[d]?|done|captured|passed|healthy)$/i

/** A value whose name says that something went wrong. */
export function isBad(value: string): boolean {
  return badNames.test(value)
}

/**
 * A color for each value of a text that has few, if the name of one says good or bad; else Kibana's
 * own do.
 */
export function valueColors({
  values,
}: DescribedField): Readonly<Record<string, string>> | undefined {
  if (values === undefined || values.length > 12) return undefined
  const says = (value: string) => [badNames, warningNames, goodNames].some((is) => is.test(value))
  if (!values.some(says)) return undefined
  let next = 0
  let warned = 0
  return Object.fromEntries(
    values.map((value) => {
      if (isBad(value)) return [value, colors.bad]
      if (warningNames.test(value)) return [value, warnings[warned++ % warnings.length]!]
      if (goodNames.test(value)) return [value, colors.good]
      return [value, neutral[next++ % neutral.length]!]
    }),
  )
}
