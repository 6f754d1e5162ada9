import type { OptionSet, RelatedOptions } from './groups.ts'
import { negatable } from './kinds.ts'
import { flagName, type Option, type Options, type Values } from './option.ts'
import type { Relation, Term } from './relations.ts'

/**
 * Options that exist a second time, for another thing of the same kind: with the prefix `to`,
 * `s3Endpoint` is also `toS3Endpoint`. The second one is derived from the first, and means what the
 * first says until it is given.
 */
type Overrides<P extends string, O extends Options> = {
  readonly [K in keyof O & string as `${P}${Capitalize<K>}`]: Override<O[K]>
}

/** Null: not even what the first one says. */
type Override<D> = D extends Option<infer T> ? Option<T | null | undefined> : never

const prefixed = (prefix: string, key: string) =>
  `${prefix}${key.charAt(0).toUpperCase()}${key.slice(1)}`

/**
 * The options again, with a prefix, below a heading of their own.
 * @param of whose options they are, for their explanations.
 */
export function overrides<P extends string, O extends Options>(
  prefix: P,
  { options, relations }: RelatedOptions<O>,
  { title, of }: { readonly title: string; readonly of: string },
): OptionSet<Overrides<P, O>> {
  const derived = Object.fromEntries(
    Object.entries(options).map(([key, option]) => [
      prefixed(prefix, key),
      override(key, option, prefix, of),
    ]),
  ) as Options as Overrides<P, O>
  const related = {
    options: derived,
    relations: relations.map((relation) => ofOverrides(prefix, relation)),
  }
  return { ...related, groups: [{ title, ...related }] }
}

/** One with a default has a word or a number for every choice; the others need one for none. */
function override(key: string, option: Option<unknown>, prefix: string, of: string) {
  const { defaultValue, isSwitch } = option
  const isOptional = defaultValue === undefined
  const first = `--${flagName(key)}`
  const none = isOptional
    ? `; with --no-${flagName(prefixed(prefix, key))}: as if that were not given`
    : ''
  return {
    ...(isOptional ? negatable(option, null) : option),
    explanation: `${first} for ${of}. Without it: what ${first} says${none}.`,
    defaultText: undefined,
    defaultValue: undefined,
    nothing: isSwitch ? false : null,
  }
}

function ofOverrides(prefix: string, relation: Relation): Relation {
  const again = (term: string | Term): string | Term => {
    if (typeof term === 'string') return prefixed(prefix, term)
    const key = prefixed(prefix, term.key)
    const [first, second] = [`--${flagName(term.key)}`, `--${flagName(key)}`]
    return { ...term, key, text: (value) => term.text(value).replace(first, second) }
  }
  const terms = relation.terms.map(again)
  return relation.kind === 'requires'
    ? { ...relation, terms, anyOf: relation.anyOf.map(again) }
    : { ...relation, terms }
}

/**
 * The values for the second thing. An option that needs another one goes with it: if the other one
 * is given for the second thing, the first thing's do not count.
 */
export function overridden<P extends string, O extends Options>(
  prefix: P,
  { options, relations }: RelatedOptions<O>,
  values: Values<O> & Values<Overrides<P, O>>,
): Values<O> {
  const all: Readonly<Record<string, unknown>> = values
  const own = (key: string) => all[prefixed(prefix, key)]
  const isWithout = (key: string) =>
    relations.some(
      (relation) =>
        relation.kind === 'requires' &&
        relation.terms.some((term) => keyOf(term) === key) &&
        relation.anyOf.some((term) => own(keyOf(term)) !== undefined),
    )
  const effective = (key: string, { defaultValue }: Option<unknown>) => {
    const given = own(key)
    if (given !== undefined) return given === null ? undefined : given
    return isWithout(key) ? defaultValue : all[key]
  }
  return Object.fromEntries(
    Object.entries(options).map(([key, option]) => [key, effective(key, option)]),
  ) as Values<O>
}

function keyOf(term: string | Term): string {
  return typeof term === 'string' ? term : term.key
}
