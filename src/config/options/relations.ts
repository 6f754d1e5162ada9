import { flagName, type Option, type Options, usage, type Values } from './option.ts'

/**
 * How options go together, declared beside them: `exclusive('deep', 'fast')`. One engine checks the
 * declarations, and `--help` and the configuration reference print them.
 */

/** Something that is true or false of the value of one option. */
export interface Term<K extends string = string> {
  readonly key: K
  readonly holds: (value: unknown) => boolean
  /** `--sasl-mechanism plain` for that value, `--sasl-mechanism plain or oauthbearer` for none. */
  readonly text: (value?: unknown) => string
}

/** The key of an option stands for: it is given. */
type Terms<K extends string> = readonly (K | Term<K>)[]

export type Relation<K extends string = string> = (
  | { readonly kind: 'exclusive'; readonly terms: Terms<K> }
  | { readonly kind: 'requires'; readonly terms: Terms<K>; readonly anyOf: Terms<K> }
  | { readonly kind: 'needed'; readonly terms: Terms<K> }
  | { readonly kind: 'implied'; readonly terms: Terms<K>; readonly key: K }
) & {
  readonly reason?: string
  /** The relation counts only if this holds. */
  readonly when?: K | Term<K>
}

/** At most one of these may be given. */
export function exclusive<K extends string>(...terms: Terms<K>): Relation<K> {
  return { kind: 'exclusive', terms }
}

/** Each of the subjects, if it is given, needs at least one of the others. */
export function requires<const S extends string, const K extends string>(
  subjects: Terms<S>,
  ...anyOf: Terms<K>
): Relation<S | K> {
  return { kind: 'requires', terms: subjects, anyOf }
}

/** At least one of these has to be given. */
export function needed<K extends string>(...terms: Terms<K>): Relation<K> {
  return { kind: 'needed', terms }
}

/** The switch `key` is on if one of these is given. */
export function implied<K extends string>(key: K, ...terms: Terms<K>): Relation<K> {
  return { kind: 'implied', terms, key }
}

/** The relation with what a message says after it. */
export function because<K extends string>(reason: string, relation: Relation<K>): Relation<K> {
  return { ...relation, reason }
}

/** The option has one of these words. */
export function is<K extends string>(key: K, ...words: readonly string[]): Term<K> {
  return {
    key,
    holds: (value) => words.includes(value as string),
    text: (value) =>
      `--${flagName(key)} ${words.includes(value as string) ? String(value) : list(words, 'or')}`,
  }
}

/** Something about the value of an option that has one. */
export function that<K extends string, T>(
  key: K,
  text: string,
  holds: (value: T) => boolean,
): Term<K> {
  return { key, text: () => text, holds: (value) => value !== undefined && holds(value as T) }
}

/** `a`, `a or b`, `a, b or c`. */
export function list(words: readonly string[], last: 'and' | 'or'): string {
  return words.length < 2
    ? words.join('')
    : `${words.slice(0, -1).join(', ')} ${last} ${words.at(-1)}`
}

/** What a relation is checked with. */
interface Given {
  readonly relations: readonly Relation[]
  readonly holds: (term: string | Term) => boolean
  /** A term for a message. */
  readonly shown: (term: string | Term) => string
}

/**
 * The values of these options, with what they imply.
 * @throws ArchiverError `USAGE`: one line that names the options of the first relation that does
 *   not hold.
 */
export function related<O extends Options>(
  { options, relations }: { readonly options: O; readonly relations: readonly Relation[] },
  values: Values<O>,
): Values<O> {
  const found: Record<string, unknown> = { ...values }
  const holds = (term: string | Term): boolean =>
    typeof term === 'string' ? isGiven(options[term]!, found[term]) : term.holds(found[term.key])
  const shown = (term: string | Term): string =>
    typeof term === 'string' ? textOf(term) : term.text(found[term.key])
  const counted = relations.filter(({ when }) => when === undefined || holds(when))
  for (const relation of counted)
    if (relation.kind === 'implied' && relation.terms.some(holds)) found[relation.key] = true
  for (const relation of counted) {
    const mistake = mistakeIn(relation, { relations, holds, shown })
    if (mistake === undefined) continue
    throw usage(relation.reason === undefined ? mistake : `${mistake}: ${relation.reason}`)
  }
  return found as Values<O>
}

function isGiven({ nothing }: Option<unknown>, value: unknown): boolean {
  return value !== undefined && value !== false && value !== nothing
}

function mistakeIn(relation: Relation, { relations, holds, shown }: Given): string | undefined {
  const { terms } = relation
  switch (relation.kind) {
    case 'exclusive': {
      const [first, second] = terms.filter(holds)
      if (first === undefined || second === undefined) return undefined
      return `${shown(first)} and ${shown(second)} exclude each other`
    }
    case 'requires': {
      const subject = terms.find(holds)
      if (subject === undefined || relation.anyOf.some(holds)) return undefined
      return `${shown(subject)} needs ${anyOf(relation.anyOf, relations)}`
    }
    case 'needed':
      return terms.some(holds) ? undefined : `${list(terms.map(textOf), 'or')} is needed`
    case 'implied':
      return undefined
  }
}

function textOf(term: string | Term): string {
  return typeof term === 'string' ? `--${flagName(term)}` : term.text()
}

/** What gives one of these terms, with the options that imply it. */
function anyOf(terms: Terms<string>, relations: readonly Relation[]): string {
  const implying = relations.flatMap((relation) =>
    relation.kind === 'implied' && terms.includes(relation.key) ? relation.terms : [],
  )
  return list([...terms, ...implying].map(textOf), 'or')
}

/** What the relations say of one option, as sentences. */
export function sentencesOf(key: string, relations: readonly Relation[]): readonly string[] {
  const excluded = relations.filter((relation) => isPlain(relation, key))
  return relations.flatMap((relation) => {
    // What an option excludes is one sentence, however it is declared.
    if (isPlain(relation, key)) return relation === excluded[0] ? [notWith(key, excluded)] : []
    if (relation.kind === 'implied')
      return relation.key === key ? [`Implied by ${list(relation.terms.map(textOf), 'or')}.`] : []
    const own = relation.terms.find((term) => (typeof term === 'string' ? term : term.key) === key)
    if (own === undefined) return []
    const sentence = sentenceOf(relation, own, relations)
    return typeof own === 'string' ? [sentence] : [`${capital(own.text())}: ${uncapital(sentence)}`]
  })
}

/** Excludes something whatever the option's value is. */
function isPlain({ kind, terms }: Relation, key: string): boolean {
  return kind === 'exclusive' && terms.includes(key)
}

function notWith(key: string, excluded: readonly Relation[]): string {
  const others = new Set(excluded.flatMap(({ terms }) => terms.map(textOf)))
  others.delete(textOf(key))
  return `Not with ${list([...others], 'or')}.`
}

function sentenceOf(
  relation: Relation,
  own: string | Term,
  relations: readonly Relation[],
): string {
  const others = relation.terms.filter((term) => term !== own).map(textOf)
  if (relation.kind === 'requires') return `Needs ${anyOf(relation.anyOf, relations)}.`
  if (relation.kind === 'exclusive') return `Not with ${list(others, 'or')}.`
  return others.length === 0 ? 'Required.' : `This or ${list(others, 'or')} is needed.`
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
const uncapital = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)
