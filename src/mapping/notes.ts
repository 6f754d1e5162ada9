import { count, plural } from '../runtime/format.ts'
import type { TypeFacts } from './facts.ts'
import type { FieldFacts } from './field-facts.ts'
import { isRefusedKey, nameParts } from './field-names.ts'
import { shareOf } from './formulas.ts'
import type { FieldKind, FieldProposal } from './proposal.ts'
import { isRare, sumOf } from './value-sums.ts'

/** Names in a note; more are counted. */
const maxNames = 5

/** What a person should know before applying a proposal. Pure. */
export function notesOf(
  facts: TypeFacts,
  fields: readonly FieldProposal[],
  groups: ReadonlyMap<string, readonly FieldFacts[]>,
): string[] {
  const others = fields.filter(({ name, as }) => isOtherKind(as, groups.get(name) ?? []))
  const whole = fields.filter(
    ({ name, as }) => as === 'keyword' && isOfWords(groups.get(name) ?? []),
  )
  return [
    ...(facts.notObjects === 0
      ? []
      : [
          `${shareOf(facts.notObjects, facts.records)} have a value without fields (a number, a text): they become rejects`,
        ]),
    ...emptyKeysNote(facts, fields),
    ...(facts.isCapped
      ? [
          'there are more different fields than are tracked by name: rare ones are counted together, as *',
        ]
      : []),
    ...(others.length === 0
      ? []
      : [
          `${plural(others.length, 'field')} (${listed(others)}) ${others.length === 1 ? 'becomes another kind' : 'become other kinds'} than in older indices: rebuild them, or search them apart`,
        ]),
    ...(whole.length === 0
      ? []
      : [
          `${plural(whole.length, 'field')} (${listed(whole)}) ${whole.length === 1 ? 'is' : 'are'} found as a whole only, not by the words in ${whole.length === 1 ? 'it' : 'them'}`,
        ]),
  ]
}

/** `total, discount and 3 more`. */
function listed(fields: readonly FieldProposal[]): string {
  const names = fields.slice(0, maxNames).map(({ name }) => JSON.stringify(name).slice(1, -1))
  const more = fields.length - names.length
  return more === 0 ? names.join(', ') : `${names.join(', ')} and ${count(more)} more`
}

/** What Kibana and aggregates over several indices keep apart. */
const families: Readonly<Record<FieldKind, string>> = {
  boolean: 'boolean',
  date: 'date',
  date_nanos: 'date',
  double: 'number',
  flattened: 'flattened',
  geo_point: 'geo_point',
  ip: 'ip',
  keyword: 'text',
  'keyword+text': 'text',
  long: 'number',
  // Elasticsearch lists it as an object.
  'not indexed': 'object',
  object: 'object',
  text: 'text',
}

/** Without this proposal an index maps the field as the first value that comes, by its kind. */
function isOtherKind(as: FieldKind, group: readonly FieldFacts[]): boolean {
  const { objects, texts, booleans, numbers, scalars } = sumOf(group)
  const kinds = [
    [objects, 'object'],
    [texts, 'text'],
    [booleans, 'boolean'],
    [numbers.count, 'number'],
  ] as const
  return kinds.some(([some, family]) => !isRare(some, objects + scalars) && family !== families[as])
}

/** Half of the texts are several words for the analyzer of `.text`, which the field has no more. */
function isOfWords(group: readonly FieldFacts[]): boolean {
  const { joined, texts } = sumOf(group)
  return texts > 0 && joined / texts >= 0.5
}

/** Elasticsearch looks at no key below a field that is mapped as a whole. */
function emptyKeysNote({ fields, records }: TypeFacts, mapped: readonly FieldProposal[]): string[] {
  const whole = new Set(mapped.filter(({ as }) => as !== 'object').map(({ name }) => name))
  const refused = fields.filter(({ path, isAnyKey }) => {
    const first = path.findIndex(isRefusedKey)
    if (isAnyKey || first !== path.length - 1) return false
    const above = nameParts(path.slice(0, -1))
    return !above.some((_, i) => whole.has(above.slice(0, i + 1).join('.')))
  })
  if (refused.length === 0) return []
  const some = Math.max(...refused.map((field) => field.records))
  const atLeast = refused.length > 1 && some < records ? 'at least ' : ''
  return [`${atLeast}${shareOf(some, records)} have an empty key: Elasticsearch rejects them`]
}
