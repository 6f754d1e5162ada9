import type { TypeFacts } from '../../mapping/facts.ts'
import type { FieldFacts } from '../../mapping/field-facts.ts'
import { percent } from '../../mapping/formulas.ts'
import { type FieldProposal, kindText, type Proposal } from '../../mapping/proposal.ts'
import { count, plural } from '../../runtime/format.ts'
import { truncate } from '../../runtime/terminal.ts'
import { type Column, table } from '../lib/table.ts'

/** How fields are mapped today, by name; undefined if Elasticsearch was not asked. */
export type Today = ReadonlyMap<string, readonly string[]> | undefined

/** Longer names and values are cut on a terminal. */
const maxNameColumns = 40
const maxValueColumns = 36

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
    { head: 'field', min: 16 },
    { head: 'in', right: true },
    { head: 'values', min: 16 },
    ...(today === undefined ? [] : [{ head: 'today' }]),
    { head: 'proposed' },
    { head: 'why', wraps: true },
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
      reasonOf(field, proposed, left),
    ]
  })
  return table(columns, rows, width).split('\n')
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
  const { dates, decimals, minLength, maxLength, formats } = texts
  if (dates?.count === texts.count)
    return `text, ${dates.earliest.slice(0, 10)} to ${dates.latest.slice(0, 10)}`
  const [format] = Object.entries(formats).find(([, some]) => some === texts.count) ?? []
  const length = minLength === maxLength ? `${minLength}` : `${minLength}-${maxLength}`
  if (format === 'decimal' && decimals?.whole === texts.count) return 'text, digits'
  return format === undefined ? `text of ${length}` : `text, ${format}`
}
