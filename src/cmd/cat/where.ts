import { randomUUID } from 'node:crypto'
import { compareDecimals, compareText, decimalOf } from '../../record/exact-order.ts'
import { visitNumbers } from '../../record/json-numbers.ts'
import { ArchiverError } from '../../runtime/errors.ts'

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
 * `value.user.id=u1`, `value.amount>100`, `kafka.key!=k1`: the path of a field in the line, and
 * what to compare it with. A number in the line and a value that spells a number compare as
 * numbers, exactly as written, of any size and precision. Everything else compares as text, by code
 * points: strings, `true`, `false`, `null`, and numbers as they are written. A line without the
 * field matches `!=` alone. Of an array, one matching element is enough.
 *
 * @throws ArchiverError `USAGE`
 */
export function parseCondition(text: string): Condition {
  const [, path, operator, wanted] = /^([^=!<>]+?)\s*(!=|<=|>=|=|<|>)\s*(.*)$/s.exec(text) ?? []
  if (path === undefined || operator === undefined || wanted === undefined) {
    throw new ArchiverError(
      'USAGE',
      `--where: "${text}" is not allowed; expected a field, one of = != < <= > >=, and a value, e.g. value.amount>=100`,
    )
  }
  const keys = path.split(/(?<!\\)\./).map((key) => key.replaceAll('\\.', '.'))
  const compare = comparisons[operator]!
  const decimal = decimalOf(wanted)
  const double = Number(wanted)
  return (line) => {
    const json = line.toString('utf8')
    const leaves = leavesOf(JSON.parse(json), keys)
    const isExact = leaves.every(
      (leaf) => typeof leaf !== 'number' || (decimal !== undefined && leaf !== double),
    )
    const exact = isExact ? leaves : leavesOf(JSON.parse(withNumbersAsText(line)), keys)
    const differences = exact.map((leaf) => {
      // Rounding keeps the order: unequal doubles are in the order of their numbers.
      if (typeof leaf === 'number') return leaf - double
      const text = String(leaf)
      if (isExact || !text.startsWith(numberMark)) return compareText(text, wanted)
      const number = text.slice(numberMark.length)
      return decimal === undefined
        ? compareText(number, wanted)
        : compareDecimals(decimalOf(number)!, decimal)
    })
    return operator === '!=' ? differences.every(compare) : differences.some(compare)
  }
}

/** Prefix of a number that is read as text. No message can know it. */
const numberMark = `number ${randomUUID()} `

/**
 * The line with each number as a text. JSON.parse would round numbers, and its reviver recurses as
 * deep as the value.
 */
function withNumbersAsText(line: Buffer): string {
  const parts: string[] = []
  let copied = 0
  visitNumbers(line, { start: 0, end: line.length }, (_path, start, end) => {
    parts.push(
      line.toString('utf8', copied, start),
      `"${numberMark}`,
      line.toString('latin1', start, end),
      '"',
    )
    copied = end
  })
  parts.push(line.toString('utf8', copied))
  return parts.join('')
}

/**
 * The values at a path. Elements of arrays on the way count separately. Depth costs memory, not
 * stack.
 */
function leavesOf(root: unknown, keys: readonly string[]): unknown[] {
  const leaves: unknown[] = []
  const pending: { readonly value: unknown; readonly depth: number }[] = [{ value: root, depth: 0 }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { value, depth } = next
    if (Array.isArray(value)) {
      for (const element of value as unknown[]) pending.push({ value: element, depth })
      continue
    }
    const key = keys[depth]
    const isObject = typeof value === 'object' && value !== null
    if (key === undefined) {
      if (!isObject) leaves.push(value)
    } else if (isObject && Object.hasOwn(value, key)) {
      pending.push({ value: (value as Record<string, unknown>)[key], depth: depth + 1 })
    }
  }
  return leaves
}
