import { visitNumbers } from '../../record/json-numbers.ts'
import { JsonScanner } from '../../record/json-scan.ts'
import { rangeOfValue } from '../../record/line/decoder.ts'
import { lineStart, type RecordBatch } from '../../record/record.ts'

/**
 * How the numbers of a value that a double does not hold are mapped. Elasticsearch maps a field the
 * first time it comes, and all numbers to `double`. If a value has a whole number beyond 2^53 or a
 * number beyond all doubles, the action line of its document names another dynamic template for
 * that field, as the bulk API allows (`dynamic_templates`). An existing field stays as it is.
 */

/** Names in `component-archive@value.json`. Both templates have no match: they count when named. */
export const numberTemplates = {
  /** Whole numbers beyond ±2^53: exact up to ±(2^63-1); what is no such number is ignored. */
  whole: 'whole_numbers_beyond_double',
  /** Numbers beyond ±1.8e308: ignored as numbers, found by their text. */
  huge: 'numbers_beyond_double',
} as const

type NumberTemplate = (typeof numberTemplates)[keyof typeof numberTemplates]

/** The max of fields that an action line names; others are mapped as if they had no such number. */
const maxNamed = 200
const maxSafe = 2 ** 53

const scanner = new JsonScanner([])

/**
 * What the action line of record `i` names, as JSON; undefined when it has ordinary numbers only.
 */
export function numberTemplatesOf(batch: RecordBatch, i: number): string | undefined {
  if (batch.longNumbers?.[i] === 0) return undefined
  // Values without a type are not indexed.
  if (batch.types[batch.typeIndexes[i]!]!.reserved) return undefined
  return numberTemplatesOfLine(
    batch.lines.subarray(lineStart(batch, i), batch.ends[i]!),
    batch.longNumbers !== undefined,
  )
}

/** `isKnown`: it is known that the value has a number worth a look. The line may end with LF. */
export function numberTemplatesOfLine(line: Buffer, isKnown = false): string | undefined {
  const value = rangeOfValue(line)
  if (value === undefined) return undefined
  if (!isKnown && !scanner.scan(line, value.start, value.end).longNumbers) return undefined
  const named = new Map<string, NumberTemplate>()
  const fractions = new Set<string>()
  visitNumbers(
    line,
    value,
    (path, start, end) => {
      const template = templateOf(line, start, end)
      if (template !== undefined) {
        if (named.size < maxNamed || named.has(path)) {
          if (named.get(path) !== numberTemplates.whole) named.set(path, template)
        }
      } else if (!isWhole(line, start, end)) fractions.add(path)
    },
    'value',
  )
  // A list with a fraction stays `double`: `long` would leave the fraction out.
  const entries = [...named].filter(
    ([path, template]) => template === numberTemplates.huge || !fractions.has(path),
  )
  return entries.length === 0 ? undefined : JSON.stringify(Object.fromEntries(entries))
}

function templateOf(bytes: Buffer, start: number, end: number): NumberTemplate | undefined {
  if (isWhole(bytes, start, end)) {
    if (end - start < 16) return undefined
    return Math.abs(Number(bytes.toString('latin1', start, end))) >= maxSafe
      ? numberTemplates.whole
      : undefined
  }
  if (end - start < 5) return undefined
  return Number.isFinite(Number(bytes.toString('latin1', start, end)))
    ? undefined
    : numberTemplates.huge
}

/** Written without a fraction and an exponent: what Elasticsearch takes for a whole number. */
function isWhole(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    if (byte === 0x2e || (byte | 0x20) === 0x65) return false
  }
  return true
}
