import { ArchiverError } from '../errors.ts'

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
 * `value.user.id=u1`, `value.amount>100`, `kafka.key!=k1`: a field of the line by its path, and what it is compared with. Numbers compare as
 * numbers where both are, everything else as text. A line without the field fits `!=` alone; of an array one element is enough.
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
  return (line) => {
    const found = leavesOf(JSON.parse(line.toString('utf8')), keys)
    if (operator === '!=') return found.every((leaf) => compare(difference(leaf, wanted)))
    return found.some((leaf) => compare(difference(leaf, wanted)))
  }
}

/** What stands at a path; the elements of arrays on the way count each for itself. */
function leavesOf(value: unknown, keys: readonly string[]): unknown[] {
  if (Array.isArray(value)) return value.flatMap((element: unknown) => leavesOf(element, keys))
  const [key, ...rest] = keys
  if (key === undefined) return typeof value === 'object' && value !== null ? [] : [value]
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return []
  return leavesOf((value as Record<string, unknown>)[key], rest)
}

function difference(leaf: unknown, wanted: string): number {
  const number = Number(wanted)
  if (typeof leaf === 'number' && wanted.trim() !== '' && !Number.isNaN(number)) return leaf - number
  const text = String(leaf)
  return text < wanted ? -1 : text > wanted ? 1 : 0
}
