import type { TypeFacts } from '../../mapping/facts.ts'
import type { FieldFacts } from '../../mapping/field-facts.ts'
import { percent } from '../../mapping/formulas.ts'
import { type FieldProposal, kindText, type Proposal } from '../../mapping/proposal.ts'
import { count, plural } from '../../runtime/format.ts'
import { readableText } from '../../runtime/readable-text.ts'
import { truncate } from '../../runtime/terminal.ts'
import { type Column, table } from './table.ts'

/** How fields are mapped today, by name; undefined if Elasticsearch was not asked. */
export type Today = ReadonlyMap<string, readonly string[]> | undefined

/** Longer names and values are cut on a terminal. */
const maxNameColumns = 40
const maxValueColumns = 36
/** A reason in a narrower column goes on a line of its own. */
const minReasonColumns = 30

/**
 * The fields of a type as a table.
 * @param width of the terminal in columns; undefined: lines may have any length
 */
export function describeMapping(
  facts: TypeFacts,
  proposal: Proposal,
  today: Today,
  width: number | undefined,
): string[] {
  const proposed = new Map(proposal.fields.map((field) => [field.name, field]))
  const left = new Map(proposal.left.map((field) => [field.name, field.reason]))
  // What is below a field that is mapped as a whole is in the facts of --json.
  const shown = facts.fields.filter(
    ({ name, isAnyKey }) => !isAnyKey && (proposed.has(name) || left.has(name)),
  )
  const columns: Column[] = [
    { head: 'field' },
    { head: 'in', right: true },
    { head: 'values' },
    ...(today === undefined ? [] : [{ head: 'today' }]),
    { head: 'proposed' },
  ]
  const cut = (text: string, max: number) => (width === undefined ? text : truncate(text, max))
  const rows = shown.map((field) => {
    const one = proposed.get(field.name)
    return [
      cut(JSON.stringify(field.name).slice(1, -1) || '""', maxNameColumns),
      shareIn(field, facts.records),
      cut(describeValues(field), maxValueColumns),
      ...(today === undefined ? [] : [today.get(field.name)?.join(', ') ?? '']),
      one === undefined ? '' : kindText(one),
    ]
  })
  const [head = '', ...lines] = table(columns, rows).split('\n')
  const reasons = shown.map((field) => reasonOf(field, proposed, left))
  const at = Math.max(head.length, ...lines.map((line) => line.length)) + 2
  const room = width === undefined ? Number.POSITIVE_INFINITY : width - at
  if (room < minReasonColumns) {
    const indent = '    '
    return [
      head,
      ...lines.flatMap((line, i) => [
        truncate(line, width! - 1),
        ...wrapped(reasons[i]!, width! - 1 - indent.length).map((part) => indent + part),
      ]),
    ]
  }
  return [
    `${head.padEnd(at)}why`,
    ...lines.flatMap((line, i) => {
      const [first = '', ...rest] = wrapped(reasons[i]!, room - 1)
      return [(line.padEnd(at) + first).trimEnd(), ...rest.map((part) => ' '.repeat(at) + part)]
    }),
  ]
}

/** What a person should know besides the fields. */
export function describeNotes({ notes, fields }: Proposal): string[] {
  const nested = fields.filter((field) => field.nested !== undefined)
  return [
    ...notes.map((note) => `note: ${note}`),
    ...nested.map(({ name, nested: offer }) => `nested: ${name}: ${offer}; --nested ${name}`),
  ]
}

function shareIn({ records }: FieldFacts, all: number): string {
  return all === 0 ? '' : percent((records / all) * 100)
}

function reasonOf(
  { name }: FieldFacts,
  proposed: ReadonlyMap<string, FieldProposal>,
  left: ReadonlyMap<string, string>,
): string {
  return proposed.get(name)?.reason ?? left.get(name) ?? ''
}

/** What the values of a field are, in a few words. */
export function describeValues(field: FieldFacts): string {
  const { kinds, numbers, texts, lists, distinct, isDistinctExact } = field
  const parts = [
    ...(kinds.object > 0 ? [`object of ${plural(field.keys, 'key')}`] : []),
    ...(kinds.boolean > 0 ? ['boolean'] : []),
    ...(numbers === undefined
      ? []
      : [numbers.min === numbers.max ? numbers.min : `${numbers.min} to ${numbers.max}`]),
    ...(texts === undefined ? [] : [describeTexts(texts)]),
    ...(kinds.null > 0 ? ['null'] : []),
  ]
  const list = lists === undefined ? '' : 'list of '
  const different =
    distinct > 1 ? `, ${isDistinctExact ? '' : '~'}${count(distinct)} different` : ''
  return `${list}${parts.join(' | ')}${different}` || 'nothing'
}

function describeTexts(texts: NonNullable<FieldFacts['texts']>): string {
  const { dates, minLength, maxLength, formats } = texts
  if (dates?.count === texts.count)
    return `text, ${dates.earliest.slice(0, 10)} to ${dates.latest.slice(0, 10)}`
  const [format] = Object.entries(formats).find(([, some]) => some === texts.count) ?? []
  const length = minLength === maxLength ? `${minLength}` : `${minLength}-${maxLength}`
  return format === undefined ? `text of ${length}` : `text, ${format}`
}

/** Lines of at most `columns` characters, between words; a longer word stays whole. */
function wrapped(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of readableText(text).split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
