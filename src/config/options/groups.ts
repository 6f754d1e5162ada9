import type { Options, Values } from './option.ts'
import type { Relation, Term } from './relations.ts'

/** Options, and how they go together. */
export interface RelatedOptions<O extends Options = Options> {
  readonly options: O
  readonly relations: readonly Relation[]
}

/** Options that commands are made of. */
export interface OptionSet<O extends Options = Options> extends RelatedOptions<O> {
  /** The groups that the set is made of, for `--help` and the configuration reference. */
  readonly groups: readonly OptionGroup[]
}

/** Options below one heading. */
export interface OptionGroup extends RelatedOptions {
  readonly title: string
}

export type ValuesOf<S extends OptionSet> = Values<S['options']>

type KeysOf<O> = keyof O & string

/** Options below a heading: those of a technology, or of one of its sides. */
export function group<O extends Options>(
  title: string,
  options: O,
  relations: readonly Relation<NoInfer<KeysOf<O>>>[] = [],
): OptionSet<O> {
  return { options, relations, groups: [{ title, options, relations }] }
}

/** Options of one command alone. */
export function own<O extends Options>(options: O): OptionSet<O> {
  return { options, relations: [], groups: [] }
}

/** The set, with relations that count only if `when` holds. */
export function onlyIf<O extends Options>(when: string | Term, set: OptionSet<O>): OptionSet<O> {
  return { ...set, relations: set.relations.map((relation) => ({ ...relation, when })) }
}

/** Some of the options of a set; relations that name others do not come with them. */
export function pick<O extends Options, K extends KeysOf<O>>(
  { options }: OptionSet<O>,
  ...keys: readonly K[]
): OptionSet<Pick<O, K>> {
  return {
    options: Object.fromEntries(keys.map((key) => [key, options[key]])) as Pick<O, K>,
    relations: [],
    groups: [],
  }
}

type Combined<S extends readonly OptionSet[]> = S extends readonly [
  infer First extends OptionSet,
  ...infer Rest extends readonly OptionSet[],
]
  ? First['options'] & Combined<Rest>
  : Record<never, never>

type OptionsOf<S extends readonly OptionSet[]> =
  Combined<S> extends infer O extends Options ? O : never

/** Sets one after another, with the relations between them. */
export function combine<const S extends readonly OptionSet[]>(
  sets: S,
  relations: readonly Relation<KeysOf<OptionsOf<S>>>[] = [],
): OptionSet<OptionsOf<S>> {
  return {
    options: Object.assign({}, ...sets.map(({ options }) => options)) as OptionsOf<S>,
    relations: [...sets.flatMap((set) => set.relations), ...relations],
    groups: sets.flatMap((set) => set.groups),
  }
}
