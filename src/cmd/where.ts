import { ArchiverError } from '../errors.ts'
import { compareDecimals, compareText, decimalOf } from './exact-order.ts'

/** A test of one line of the archive. */
export type Condition = (line: Buffer) => boolean

type Comparison = (difference: number) => boolean

const comparisons: Readonly<Record<string, Comparison>> = {
  '=': (difference) => difference === 0,
  '!=': (difference) => difference !== 0,
  '<': (difference) => difference < 0,
  '<=': (difference) => difference <= 0,
  '>': (difference) => difference > 0,
  '>=': (difference) => difference >= 0,
}

/**
 * `value.user.id=u1`, `value.amount>100`, `kafka.key!=k1`: a field of the line by its path, and what it is compared with.
 * A number of the line and a value that spells one compare as numbers, exactly as both are written, of any size and
 * precision. Everything else compares as text, by code points: strings as they are, `true`, `false`, `null`, and a
 * number as it is written. A line without the field fits `!=` alone; of an array one element is enough.
 *
 * @throws ArchiverError `USAGE`
 */
export function parseCondition(text: string): Condition {
  const [, path, operator, wanted] = /^([^=!<>]+?)\s*(!=|<=|>=|=|<|>)\s*(.*)$/s.exec(text) ?? []
  if (path === undefined || operator === undefined || wanted === undefined) {
    throw new ArchiverError(
      'USAGE',
      `--where: "${text}" is not allowed; expected a field, one of = != < <= > >=, and a value, such as value.amount>=100`,
    )
  }
  const keys = path.split(/(?<!\\)\./).map((key) => key.replaceAll('\\.', '.'))
  const compare = comparisons[operator]!
  const decimal = decimalOf(wanted)
  const double = Number(wanted)
  return (line) => {
    const json = line.toString('utf8')
    const leaves = leavesOf(JSON.parse(json), keys)
    const isExact = leaves.every((leaf) => typeof leaf !== 'number' || (decimal !== undefined && leaf !== double))
    const exact = isExact ? leaves : leavesOf(JSON.parse(json, withSource), keys)
    const differences = exact.map((leaf) => {
      // Rounding keeps the order: doubles that differ differ as the numbers do.
      if (typeof leaf === 'number') return leaf - double
      if (!(leaf instanceof NumberText)) return compareText(String(leaf), wanted)
      if (decimal === undefined) return compareText(leaf.text, wanted)
      return compareDecimals(decimalOf(leaf.text)!, decimal)
    })
    return operator === '!=' ? differences.every(compare) : differences.some(compare)
  }
}

/** A number as the line has it. */
class NumberText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** A reviver gets the text of a number since Node 21 (ECMAScript: JSON.parse source text access). */
function withSource(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return typeof value === 'number' && context?.source !== undefined ? new NumberText(context.source) : value
}

/** The values at a path; the elements of arrays on the way count each for itself. */
function leavesOf(value: unknown, keys: readonly string[]): unknown[] {
  if (Array.isArray(value)) return value.flatMap((element: unknown) => leavesOf(element, keys))
  const [key, ...rest] = keys
  const isObject = typeof value === 'object' && value !== null && !(value instanceof NumberText)
  if (key === undefined) return isObject ? [] : [value]
  if (!isObject || !Object.hasOwn(value, key)) return []
  return leavesOf((value as Record<string, unknown>)[key], rest)
}
