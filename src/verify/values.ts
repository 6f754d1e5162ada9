import type { Elasticsearch } from '../elasticsearch/client/client.ts'
import {
  type FieldStats,
  type FieldType,
  type TypeDayRecords,
  ValueReader,
} from '../elasticsearch/read/value-reader.ts'
import { readHours } from '../files/read/lines.ts'
import { type TypeDay, typeDaysOf } from '../files/read/selection.ts'
import type { ReadableHome } from '../home/home.ts'
import { decimalOf } from '../record/exact-order.ts'
import { visitNumbers } from '../record/json-numbers.ts'
import { decodeLine, rangeOfValue } from '../record/line/decoder.ts'
import { LineHead } from '../record/line/head.ts'
import { marks } from '../record/line/layout.ts'
import type { RecordType } from '../record/record.ts'
import { hourOf, unknownHour } from '../record/time.ts'
import { comparedTypes, FieldSum } from './field-sums.ts'

/** A field whose aggregates are not those of the files. */
export interface ValueDifference {
  readonly type: string
  /** `2019-08-01` or `unknown`. */
  readonly day: string
  /** With `value.`, as in queries. */
  readonly field: string
  /** How the index maps it. */
  readonly mapped_as: string
  readonly indices: readonly string[]
  readonly differs: readonly string[]
  readonly files: FieldStats
  readonly elasticsearch: FieldStats
}

/** A type and day that were not compared, and why. */
export interface NotCompared {
  readonly type: string
  readonly day: string
  readonly reason: string
}

/** What a comparison of all values found. */
export interface ValuesVerdict {
  /** Types and days whose fields were compared. */
  days: number
  fields: number
  /** Numbers that their fields ignore, as the type of the field does not hold them. */
  ignored: number
  readonly differences: ValueDifference[]
  readonly not_compared: NotCompared[]
}

export interface ValuesOptions {
  readonly home: ReadableHome
  readonly client: Elasticsearch
  readonly indexPrefix: string
  readonly topics: readonly string[] | undefined
  readonly onProgress: (type: string, day: string, records: number) => void
  readonly onDifference: (difference: ValueDifference) => void
}

/** No longer text is a number. */
const maxNumberText = 1024
/** Records between two reports of progress. */
const progressEvery = 10_000

/**
 * Compares count, minimum, maximum and sum of each numeric field with the numbers in the files,
 * type by type and day by day. Memory holds the fields of one type and day. Refresh the indices
 * before.
 *
 * @throws ArchiverError `UNREACHABLE`; `DAMAGED` when a file cannot be read.
 */
export async function compareValues(options: ValuesOptions): Promise<ValuesVerdict> {
  const verdict: ValuesVerdict = {
    days: 0,
    fields: 0,
    ignored: 0,
    differences: [],
    not_compared: [],
  }
  const reader = new ValueReader(options.client, options.indexPrefix)
  for await (const typeDay of typeDaysOf(options.home))
    await compareDay(options, reader, typeDay, verdict)
  return verdict
}

/**
 * The records of one type in the directory of a day; older archives have several types in one
 * directory.
 */
interface Group {
  readonly records: TypeDayRecords
  readonly rejected: ReadonlySet<string> | undefined
  readonly types: ReadonlyMap<string, FieldType>
  /** Some field counts numbers in texts. */
  readonly hasTexts: boolean
  readonly sums: Map<string, FieldSum>
  count: number
}

async function compareDay(
  options: ValuesOptions,
  reader: ValueReader,
  { day, hours }: TypeDay,
  verdict: ValuesVerdict,
): Promise<void> {
  const { home, topics } = options
  const groups = new Map<string, Group>()
  const head = new LineHead()
  let seen = 0
  for await (const { block, start, end } of readHours(
    home,
    hours,
    { topics },
    { order: 'oldest' },
  )) {
    const line = block.subarray(start, end)
    head.read(line, 0)
    const key = typeFieldOf(line)
    let group = groups.get(key)
    if (group === undefined) {
      group = await groupOf(
        reader,
        decodeLine(line).type,
        day === 'unknown' ? unknownHour : hourOf(head.timestamp),
        topics,
      )
      groups.set(key, group)
    }
    add(group, line)
    if (++seen % progressEvery === 0) options.onProgress(group.records.type.name, day, seen)
  }
  for (const group of groups.values()) await compareGroup(options, reader, day, group, verdict)
}

async function groupOf(
  reader: ValueReader,
  type: RecordType,
  hour: number,
  topics: readonly string[] | undefined,
): Promise<Group> {
  const records = { type, hour, topics }
  const [rejected, types] = [await reader.rejected(records), await reader.fieldTypes(records)]
  const hasTexts = [...types.values()].some(({ takesTexts }) => takesTexts)
  return { records, rejected, types, hasTexts, sums: new Map(), count: 0 }
}

/** `"type":"…",` as the line has it; empty for a reserved type. */
function typeFieldOf(line: Buffer): string {
  const kafka = line.indexOf(marks.kafka)
  const type = line.indexOf(marks.type)
  return type === -1 || type > kafka ? '' : line.toString('latin1', type, kafka)
}

function add(group: Group, line: Buffer): void {
  if (group.rejected !== undefined && group.rejected.size > 0) {
    const { topic, partition, record } = decodeLine(line)
    if (group.rejected.has(`${topic}/${partition}/${record.offset}`)) return
  }
  group.count++
  const value = rangeOfValue(line)
  if (value === undefined) return
  const addNumber = (path: string, start: number, end: number) =>
    sumOf(group, path)?.add(line.toString('latin1', start, end))
  const addText = (path: string, start: number, end: number) => {
    if (end - start > maxNumberText || group.types.get(path)?.takesTexts !== true) return
    const text = line.toString('latin1', start, end)
    if (decimalOf(text) !== undefined) sumOf(group, path)?.add(text.trim())
  }
  visitNumbers(line, value, addNumber, 'value', group.hasTexts ? addText : undefined)
}

/** The sum of a field; undefined if its aggregates are not compared. */
function sumOf(group: Group, path: string): FieldSum | undefined {
  const known = group.sums.get(path)
  if (known !== undefined) return known
  const kinds = group.types.get(path)?.kinds
  if (kinds?.length !== 1 || !comparedTypes.has(kinds[0]!)) return undefined
  const sum = new FieldSum(kinds[0]!)
  group.sums.set(path, sum)
  return sum
}

async function compareGroup(
  options: ValuesOptions,
  reader: ValueReader,
  day: string,
  { records, rejected, types, sums, count }: Group,
  verdict: ValuesVerdict,
): Promise<void> {
  const type = records.type.name
  const documents = await reader.total(records)
  if (rejected === undefined || documents !== count) {
    const reason =
      rejected === undefined
        ? 'too many records were rejected to list them'
        : `${documents} documents for ${count} records`
    verdict.not_compared.push({ type, day, reason })
    return
  }
  // A field without a number in the files may have numbers in Elasticsearch: texts that it took
  // for numbers.
  for (const [
    name,
    {
      kinds: [only, ...others],
    },
  ] of types) {
    if (others.length === 0 && comparedTypes.has(only!) && !sums.has(name))
      sums.set(name, new FieldSum(only!))
  }
  const found = await reader.stats(records, [...sums.keys()])
  verdict.days++
  for (const [field, sum] of sums) {
    const stats = found.get(field)
    if (stats === undefined) continue
    verdict.fields++
    verdict.ignored += sum.ignored
    const differs = sum.differences(stats)
    if (differs.length === 0) continue
    const pick = ({ count, min, max, sum }: FieldStats): FieldStats => ({ count, min, max, sum })
    const difference: ValueDifference = {
      type,
      day,
      field,
      mapped_as: sum.type,
      indices: reader.indicesOf(records),
      differs,
      files: pick(sum),
      elasticsearch: pick(stats),
    }
    verdict.differences.push(difference)
    options.onDifference(difference)
  }
}

/** For people: what differs, and by how much. */
export function describeDifference({
  type,
  day,
  field,
  mapped_as: mappedAs,
  differs,
  files,
  elasticsearch,
}: ValueDifference): string {
  const figures = differs.map((name) => {
    const key = name as keyof FieldStats
    return `${name} ${elasticsearch[key]} instead of ${files[key]}`
  })
  return `type ${type}, ${day}, ${field} (${mappedAs}): ${figures.join(', ')}`
}
