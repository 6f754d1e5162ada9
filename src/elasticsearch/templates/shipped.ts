import { readdirSync, readFileSync } from 'node:fs'
import { composedFor, type IndexProfile, profileOf } from './index-profile.ts'

/** The folder of the JSON files that are sent as they are, one file a template. */
export const templatesFolder = new URL('../../../index-templates/', import.meta.url)

/** The prefix that the files in the folder are written for. */
const shippedPrefix = 'archive-'

export interface Template {
  readonly name: string
  /** `_component_template` or `_index_template`: the API that installs it. */
  readonly api: '_component_template' | '_index_template' | '_ilm/policy'
  readonly version: number
  readonly body: Readonly<Record<string, unknown>>
}

const apis = {
  component: '_component_template',
  index: '_index_template',
  policy: '_ilm/policy',
} as const

/** Templates and policies that a cluster without index lifecycle management refuses. */
export function needsLifecycle({ name, api }: Template): boolean {
  return api === '_ilm/policy' || name.endsWith('@lifecycle')
}

/** The part of a template that has its version. */
export interface Versioned {
  readonly version?: number
  readonly policy?: { readonly _meta?: { readonly version?: number } }
}

/** 0 if it has none. */
export function versionOf({ version, policy }: Versioned): number {
  return version ?? policy?._meta?.version ?? 0
}

/**
 * The templates of the folder, for an index prefix, components first. With another prefix than the
 * shipped one the patterns follow it, and the index templates get names of their own, so that two
 * archives share a cluster. They share the components, those of all profiles.
 */
export function readTemplates(indexPrefix: string, profile: IndexProfile = 'standard'): Template[] {
  return readdirSync(templatesFolder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => {
      const [, kind, template] = /^(component|index|policy)-(.+)\.json$/.exec(name) ?? []
      if (kind !== 'component' && kind !== 'index' && kind !== 'policy')
        throw new Error(`index-templates/${name}: unexpected name`)
      const body = JSON.parse(readFileSync(new URL(name, templatesFolder), 'utf8')) as Record<
        string,
        unknown
      >
      const read = { name: template!, api: apis[kind], version: versionOf(body), body }
      return forPrefix(forProfile(read, profile), indexPrefix)
    })
}

function forPrefix(template: Template, indexPrefix: string): Template {
  if (template.api !== '_index_template' || indexPrefix === shippedPrefix) return template
  const patterns = template.body.index_patterns as string[]
  // What is about the workers is shared by all archives of a cluster.
  if (!patterns.some((pattern) => pattern.startsWith(shippedPrefix))) return template
  return {
    ...template,
    name: `${indexPrefix}${template.name}`,
    body: {
      ...template.body,
      index_patterns: patterns.map((pattern) => pattern.replace(shippedPrefix, indexPrefix)),
    },
  }
}

/** The template as it is in a profile. */
export function forProfile(template: Template, profile: IndexProfile): Template {
  const { composed_of: composedOf } = template.body as { readonly composed_of?: readonly string[] }
  if (composedOf === undefined || profileOf(composedOf) === undefined) return template
  return { ...template, body: { ...template.body, composed_of: composedFor(profile, composedOf) } }
}
