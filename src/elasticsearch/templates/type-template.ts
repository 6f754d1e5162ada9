import { createHash } from 'node:crypto'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import type { Elasticsearch } from '../client/client.ts'
import { RequestFailure } from '../client/failure.ts'
import { findTemplate, segmentsOf } from './cluster.ts'
import { haveCommonName, readClusterTemplates } from './conflicts.ts'
import { composedFor, type IndexProfile } from './index-profile.ts'
import type { Template } from './shipped.ts'
import { flatten } from './state.ts'

/**
 * The mapping of one type: a component template with the fields of its values, and an index
 * template that is composed of ours, of it, and of `archive@custom`, which wins.
 */

/** Above the archive's own templates (100 to 120), below what people choose for theirs (200). */
const typePriority = 130
/** Years of timestamps whose indices the template is for; others have the common mapping. */
const firstYear = 1970
const lastYear = 2099
const defaultTotalFields = 1000
/** Room for fields that come later. */
const spareFields = 500

export interface TypeMapping {
  readonly indexPrefix: string
  /** As people spell it. */
  readonly type: string
  /** `archive-shop-`: what the names of the indices of the type begin with. */
  readonly start: string
  /** Patterns of these indices. */
  readonly patterns: readonly string[]
  /** The mapping of `value`, and how many fields it names. */
  readonly mapping: unknown
  readonly size: number
  readonly profile: IndexProfile
}

/** What the names of both templates of a type end with. */
export const typeTemplateSuffix = '@mapping'

/** The name of both templates of a type. */
function typeTemplateName(start: string): string {
  return `${start.replace(/-$/, '')}${typeTemplateSuffix}`
}

/** Years of the patterns of a type. */
export const typeYears: readonly number[] = Array.from(
  { length: lastYear - firstYear + 1 },
  (_, i) => firstYear + i,
)

export interface TypeTemplates {
  readonly component: Template
  readonly index: Template
}

/** Both templates of a type. The same mapping gives the same bodies, but for their version. */
export function typeTemplates(
  { indexPrefix, type, start, patterns, mapping, size, profile }: TypeMapping,
  version: number,
): TypeTemplates {
  const name = typeTemplateName(start)
  const limit = Math.ceil((size + spareFields) / 1000) * 1000
  const template = {
    ...(limit > defaultTotalFields
      ? { settings: { index: { mapping: { total_fields: { limit } } } } }
      : {}),
    mappings: { properties: { value: mapping } },
  }
  const digest = digestOf(template)
  const meta = { managed_by: 'archiver', index_prefix: indexPrefix, type, digest }
  const component = {
    version,
    _meta: {
      ...meta,
      description: 'The fields of one type, as archiver mapping --apply found them',
    },
    template: {
      ...template,
      mappings: { ...template.mappings, _meta: { archiver_mapping: digest } },
    },
  }
  const index = {
    version,
    _meta: meta,
    index_patterns: patterns,
    priority: typePriority,
    composed_of: [
      ...composedFor(profile, [
        'archive@settings',
        'archive@lifecycle',
        'archive@envelope',
        'archive@value',
      ]),
      name,
      'archive@custom',
    ],
    ignore_missing_component_templates: ['archive@lifecycle', 'archive@custom'],
    allow_auto_create: true,
  }
  return {
    component: { name, api: '_component_template', version, body: component },
    index: { name, api: '_index_template', version, body: index },
  }
}

/** What a template says, whatever the order and the spelling in which the cluster gives it back. */
function digestOf(template: unknown): string {
  const entries = [...flatten(template)]
    .filter(([key]) => !key.startsWith('mappings._meta.'))
    .sort()
  return createHash('sha256').update(JSON.stringify(entries)).digest('hex').slice(0, 16)
}

/** The templates of a type on the cluster. */
export interface InstalledType {
  readonly name: string
  readonly version: number
  readonly component: Readonly<Record<string, unknown>> | undefined
  readonly index: Readonly<Record<string, unknown>> | undefined
  /** What the component maps below `value`. */
  readonly mapping: unknown
  /** The digest in its `_meta`. */
  readonly digest: string | undefined
  /** Somebody changed it since. */
  readonly isEdited: boolean
}

interface Meta {
  readonly managed_by?: string
  readonly type?: string
  readonly digest?: string
  readonly index_prefix?: string
}

/**
 * Reads the templates of a type.
 * @throws ArchiverError `USAGE` if a template of that name is not ours
 */
export async function readInstalledType(
  client: Elasticsearch,
  start: string,
): Promise<InstalledType> {
  const name = typeTemplateName(start)
  const find = (api: Template['api']) => findTemplate(client, { name, api, version: 0, body: {} })
  const [component, index] = [await find('_component_template'), await find('_index_template')]
  for (const found of [component, index])
    if (found !== undefined && metaOf(found).managed_by !== 'archiver')
      throw refusal(name, 'is not of this program; rename it, or delete it')
  const template = component?.template as
    | { readonly mappings?: { readonly properties?: { readonly value?: unknown } } }
    | undefined
  const { digest } = component === undefined ? {} : metaOf(component)
  return {
    name,
    version: Math.max(component?.version ?? 0, index?.version ?? 0),
    component,
    index,
    mapping: template?.mappings?.properties?.value,
    digest,
    isEdited: component !== undefined && digest !== digestOf(template),
  }
}

function metaOf(found: Readonly<Record<string, unknown>>): Meta {
  return (found._meta ?? {}) as Meta
}

function refusal(name: string, why: string): ArchiverError {
  return new ArchiverError('USAGE', `template ${name} ${why}. Nothing was installed`, {
    template: name,
  })
}

/**
 * Refuses what would overwrite the work of others, or be without effect.
 * @throws ArchiverError `USAGE`; it names the template
 */
export async function refuseOthersTemplates(
  client: Elasticsearch,
  installed: InstalledType,
  patterns: readonly string[],
): Promise<void> {
  if (installed.isEdited)
    throw refusal(
      installed.name,
      'was edited since it was installed; keep the edit in archive@custom and delete the template, or leave it as it is',
    )
  for (const { name, index_template: theirs } of await readClusterTemplates(client)) {
    if (name === installed.name || (theirs.priority ?? 0) < typePriority) continue
    const pattern = theirs.index_patterns.find((other) =>
      patterns.some((own) => haveCommonName(own, other)),
    )
    if (pattern === undefined) continue
    throw refusal(
      name,
      `(${pattern}, priority ${theirs.priority}) is for the same indices and wins over a priority of ${typePriority}; delete it, or give it a lower priority`,
    )
  }
}

/**
 * Installs both templates of a type, for the indices that are made from now on.
 * @throws ArchiverError `USAGE` if the cluster refuses the mapping: then nothing has changed
 */
export async function installTypeTemplates(
  client: Elasticsearch,
  { component, index }: TypeTemplates,
  before: InstalledType,
): Promise<void> {
  try {
    await client.request('PUT', segmentsOf(component), { body: component.body })
    await client.request('PUT', segmentsOf(index), { body: index.body })
  } catch (error) {
    if (!(error instanceof RequestFailure) || error.status !== 400) throw error
    if (before.component !== undefined)
      await client.request('PUT', segmentsOf(component), { body: withoutDates(before.component) })
    else await client.request('DELETE', segmentsOf(component), { ignore: [404] })
    throw refusal(component.name, `is refused by Elasticsearch: ${messageOf(error)}`)
  }
}

/** A template as it was put: Elasticsearch adds dates, and takes none. */
function withoutDates(found: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(found).filter(([key]) => !key.includes('_date')))
}

/** Names below `value` that a component template of the operator maps. */
export async function fieldsOfCustom(client: Elasticsearch): Promise<string[]> {
  const found = await findTemplate(client, {
    name: 'archive@custom',
    api: '_component_template',
    version: 0,
    body: {},
  })
  const template = found?.template as
    | { readonly mappings?: { readonly properties?: { readonly value?: Node } } }
    | undefined
  const names: string[] = []
  const walk = (node: Node | undefined, path: string) => {
    for (const [key, child] of Object.entries(node?.properties ?? {})) {
      const name = path === '' ? key : `${path}.${key}`
      const isObject = child.properties !== undefined && (child.type ?? 'object') === 'object'
      if (isObject) walk(child, name)
      else names.push(name)
    }
  }
  walk(template?.mappings?.properties?.value, '')
  return names
}

interface Node {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Node>>
}
