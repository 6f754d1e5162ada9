/**
 * How the producers' values are mapped: the component template that the index template of ordinary
 * records is composed of. `npm run bench -- mapping` measures what a profile costs and serves, and
 * `docs/elasticsearch.md` says it.
 */
export const valueComponents = { standard: 'archive@value', lean: 'archive@value-lean' } as const

export type IndexProfile = keyof typeof valueComponents

export const indexProfiles = Object.keys(valueComponents) as IndexProfile[]

/** The same list of component templates, with the values mapped as the profile says. */
export function composedFor(profile: IndexProfile, composedOf: readonly string[]): string[] {
  const ofAnyProfile = Object.values<string>(valueComponents)
  return composedOf.map((name) => (ofAnyProfile.includes(name) ? valueComponents[profile] : name))
}

/**
 * The profile of an index template that is composed of these; undefined if it is not ours.
 */
export function profileOf(composedOf: readonly string[]): IndexProfile | undefined {
  return indexProfiles.find((profile) => composedOf.includes(valueComponents[profile]))
}
