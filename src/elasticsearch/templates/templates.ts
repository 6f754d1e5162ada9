import { readdirSync, readFileSync } from 'node:fs'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { each, list, number, object, optional, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { RequestFailure } from '../client/failure.ts'
import {
  haveCommonName,
  readClusterTemplates,
  refuseConflicts,
  visibleTemplates,
  type WantedTemplate,
} from './conflicts.ts'
import { composedFor, type IndexProfile, indexProfiles, profileOf } from './index-profile.ts'

/** The folder of the JSON files that are sent as they are, one file a template. */
export const templatesFolder = new URL('../../../index-templates/', import.meta.url)

/** The prefix that the files in the folder are written for. */
const shippedPrefix = 'archive-'

export interface Template {
  readonly name: string
  /** `_component_template` or `_index_template`: where it is installed. */
  readonly api: '_component_template' | '_index_template' | '_ilm/policy'
  readonly version: number
  readonly body: Readonly<Record<string, unknown>>
}

/**
 * How the cluster's template compares with ours. `changed`: of our version, but not what we install
 * in any profile.
 */
export type TemplateState =
  | 'missing'
  | 'older'
  | 'same'
  | 'newer'
  | 'changed'
  | 'of another profile'

/** Something on the cluster that is not as this version installs it. */
export interface TemplateDifference {
  readonly name: string
  readonly state: Exclude<TemplateState, 'same'> | 'overridden'
  /** For people. */
  readonly message: string
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

interface Body {
  readonly version?: number
  readonly policy?: { readonly _meta?: { readonly version?: number } }
}

function versionOf({ version, policy }: Body): number {
  return version ?? policy?._meta?.version ?? 0
}

/**
 * The templates of the folder, for an index prefix, components first. With a prefix of one's own
 * the patterns follow it and the index templates get names of their own, so that two archives share
 * a cluster; the components are shared, those of all profiles.
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

function forProfile(template: Template, profile: IndexProfile): Template {
  const { composed_of: composedOf } = template.body as { readonly composed_of?: readonly string[] }
  if (composedOf === undefined || profileOf(composedOf) === undefined) return template
  return { ...template, body: { ...template.body, composed_of: composedFor(profile, composedOf) } }
}

/**
 * The profile that the cluster's template of ordinary records has; undefined where it is not there,
 * or is none of ours.
 */
export async function installedProfile(
  client: Elasticsearch,
  indexPrefix: string,
): Promise<IndexProfile | undefined> {
  const ordinary = readTemplates(indexPrefix).find(
    ({ body }) => profileOf((body.composed_of ?? []) as readonly string[]) !== undefined,
  )
  const found = ordinary === undefined ? undefined : await findTemplate(client, ordinary)
  return profileOf((found?.composed_of ?? []) as readonly string[])
}

/** Whether the cluster has index lifecycle management; the minimal distribution has not. */
async function hasLifecycle(client: Elasticsearch): Promise<boolean> {
  const { status } = await client.request('GET', ['_ilm', 'status'], {
    ignore: [400, 403, 404, 405, 410],
  })
  return status === 200 || status === 403
}

/**
 * What is to be installed on this cluster: without lifecycle management, nothing of that; without a
 * profile, that which is there.
 */
async function templatesFor(
  client: Elasticsearch,
  indexPrefix: string,
  profile: IndexProfile | undefined,
): Promise<Template[]> {
  const all = readTemplates(indexPrefix, profile ?? (await installedProfile(client, indexPrefix)))
  if (!all.some(needsLifecycle)) return all
  const lifecycle = await hasLifecycle(client)
  // A policy before the template that names it.
  return all
    .filter((template) => lifecycle || !needsLifecycle(template))
    .sort((a, b) => Number(b.api === '_ilm/policy') - Number(a.api === '_ilm/policy'))
}

function segmentsOf({ api, name }: Pick<Template, 'api' | 'name'>): string[] {
  return [...api.split('/'), name]
}

const policyShape = each(
  object({ policy: optional(object({ _meta: optional(object({ version: optional(number) })) })) }),
)
const templateShape = object({ version: optional(number), composed_of: optional(list(text)) })
const templatesShape = each(
  list(
    object({
      component_template: optional(templateShape),
      index_template: optional(templateShape),
    }),
  ),
)
const simulatedShape = object({})

type Found = Body & Readonly<Record<string, unknown>>

async function findTemplate(client: Elasticsearch, template: Template): Promise<Found | undefined> {
  if (template.api === '_ilm/policy') {
    const { status, body } = await client.request<Record<string, Found>>(
      'GET',
      segmentsOf(template),
      {
        ignore: [404],
        shape: policyShape,
      },
    )
    const found = body[template.name]
    // The server's own `version` counts edits; ours stands in `_meta`.
    return status === 404 || found === undefined ? undefined : ({ policy: found.policy } as Found)
  }
  const { status, body } = await client.request<Record<string, readonly Record<string, Found>[]>>(
    'GET',
    segmentsOf(template),
    { ignore: [404], shape: templatesShape },
  )
  if (status === 404) return undefined
  const [found] = Object.values(body)[0] ?? []
  return found?.component_template ?? found?.index_template
}

/** How the cluster's template of that name compares with ours. */
export async function templateState(
  client: Elasticsearch,
  template: Template,
): Promise<TemplateState> {
  return stateOf(template, await findTemplate(client, template))
}

function stateOf(template: Template, found: Found | undefined): TemplateState {
  if (found === undefined) return 'missing'
  const version = versionOf(found)
  if (version > template.version) return 'newer'
  if (version < template.version) return 'older'
  // A policy is there to be changed: retention is the operator's.
  const isAs = ({ body }: Template) => differingKeys(body, found).length === 0
  if (template.api === '_ilm/policy' || isAs(template)) return 'same'
  return indexProfiles.some((profile) => isAs(forProfile(template, profile)))
    ? 'of another profile'
    : 'changed'
}

/**
 * Keys of ours that the cluster has otherwise, and keys inside the template that only the cluster
 * has.
 */
function differingKeys(ours: Template['body'], theirs: Found): string[] {
  const [a, b] = [flatten(ours), flatten(theirs)]
  const keys = new Set([...a.keys(), ...[...b.keys()].filter((key) => key.startsWith('template.'))])
  return [...keys].filter((key) => a.get(key) !== b.get(key))
}

/**
 * Every value as text under its path: Elasticsearch gives settings back as text, and lists of one
 * element as they are.
 */
function flatten(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value))
      flatten(inner, path === '' ? key : `${path}.${key}`, into)
  } else into.set(path, String(value))
  return into
}

/**
 * Installs what is missing or older; never replaces a newer one, so that workers of two versions do
 * not undo each other. `mend`: also what was changed on the cluster. `profile`: that of indices
 * made from now on; without it, it stays as it is.
 * @returns how many were installed.
 * @throws ArchiverError `USAGE` if a template of somebody else has the same priority for the same
 *   names: then nothing is installed; `UNREACHABLE` if the cluster refuses one.
 */
export async function installTemplates(
  client: Elasticsearch,
  indexPrefix: string,
  log: Logger,
  {
    mend = false,
    profile,
  }: { readonly mend?: boolean; readonly profile?: IndexProfile | undefined } = {},
): Promise<number> {
  let installed = 0
  let name = `${indexPrefix}*`
  try {
    const due: { readonly template: Template; readonly state: TemplateState }[] = []
    for (const template of await templatesFor(client, indexPrefix, profile)) {
      name = template.name
      const state = await templateState(client, template)
      if (state === 'newer')
        log.warn({ event: 'template_newer', template: name }, 'keeping a newer template')
      if (state === 'same' || state === 'newer' || (state === 'changed' && !mend)) continue
      due.push({ template, state })
    }
    const wanted = due.flatMap(({ template }) => wantedOf(template))
    if (wanted.length > 0) refuseConflicts(wanted, await visibleTemplates(client), indexPrefix)
    for (const { template, state } of due) {
      name = template.name
      await client.request('PUT', segmentsOf(template), { body: template.body })
      installed++
      const { api, version } = template
      const kind = api.slice(1).replace('/', ' ')
      log.info(
        { event: 'template_installed', template: name, kind, version, was: state },
        'installed a template',
      )
    }
    return installed
  } catch (error) {
    if (!(error instanceof RequestFailure)) throw error
    const refused = error.status === 401 || error.status === 403
    const advice = refused
      ? 'grant manage_index_templates (and manage_ilm), or run setup as somebody who has them and use --no-templates'
      : 'try again when the cluster is well'
    throw new ArchiverError(
      'UNREACHABLE',
      `Elasticsearch did not take template ${name}: ${messageOf(error)}; ${advice}`,
      { template: name },
    )
  }
}

function wantedOf({ api, name, body }: Template): WantedTemplate[] {
  if (api !== '_index_template') return []
  const { index_patterns: patterns, priority } = body as {
    index_patterns: string[]
    priority: number
  }
  return [{ name, patterns, priority }]
}

/**
 * What on the cluster is not as this version installs it, and what would win over it. Changes
 * nothing. Without `profile`: that which is installed.
 */
export async function compareTemplates(
  client: Elasticsearch,
  indexPrefix: string,
  profile?: IndexProfile,
): Promise<TemplateDifference[]> {
  const differences: TemplateDifference[] = []
  const templates = await templatesFor(client, indexPrefix, profile)
  for (const template of templates) {
    const { name, api, version, body } = template
    const found = await findTemplate(client, template)
    const state = stateOf(template, found)
    if (state === 'same') continue
    const kind = api.slice(1).replace('/', ' ')
    const detail =
      state === 'missing'
        ? ''
        : state === 'changed' || state === 'of another profile'
          ? ` in ${differingKeys(body, found!).slice(0, 5).join(', ')}`
          : ` (version ${versionOf(found!)}, ours is ${version})`
    differences.push({ name, state, message: `${kind} ${name} is ${state}${detail}` })
  }
  return [...differences, ...(await overridingTemplates(client, templates))]
}

/** Templates of others that win over ours for some index of ours, and change what it would be. */
async function overridingTemplates(
  client: Elasticsearch,
  templates: readonly Template[],
): Promise<TemplateDifference[]> {
  const differences: TemplateDifference[] = []
  const ours = templates.filter(({ api }) => api === '_index_template')
  for (const { name, index_template: theirs } of await readClusterTemplates(client)) {
    if (ours.some((template) => template.name === name)) continue
    // Who builds upon the envelope knows what they do.
    if (theirs.composed_of?.includes('archive@envelope')) continue
    for (const template of ours) {
      const { index_patterns: patterns, priority } = template.body as {
        index_patterns: string[]
        priority: number
      }
      if ((theirs.priority ?? 0) < priority) continue
      const sample = theirs.index_patterns
        .flatMap((theirs) => patterns.map((own) => commonName(own, theirs)))
        .find(isText)
      if (sample === undefined || !(await isSettledOtherwise(client, sample, template))) continue
      differences.push({
        name,
        state: 'overridden',
        message: `index template ${name} (${theirs.index_patterns.join(', ')}, priority ${theirs.priority ?? 0}) wins over ${template.name} (priority ${priority}), for ${sample} for example; lower its priority, or let it be composed of archive@settings, archive@envelope and archive@value`,
      })
      break
    }
  }
  return differences
}

function isText(value: string | undefined): value is string {
  return value !== undefined
}

/**
 * The settings and mappings that an index of that name would have are not those of our template.
 */
async function isSettledOtherwise(
  client: Elasticsearch,
  sample: string,
  { name }: Template,
): Promise<boolean> {
  type Simulated = { readonly template?: Readonly<Record<string, unknown>> }
  const wins = await client.request<Simulated>(
    'POST',
    ['_index_template', '_simulate_index', sample],
    {
      shape: simulatedShape,
    },
  )
  const ours = await client.request<Simulated>('POST', ['_index_template', '_simulate', name], {
    ignore: [400, 404],
  })
  return JSON.stringify(wins.body.template) !== JSON.stringify(ours.body.template)
}

/**
 * A name that matches both patterns, where they have one in common; ours ends with its only `*`.
 */
function commonName(own: string, theirs: string): string | undefined {
  if (!haveCommonName(own, theirs)) return undefined
  const prefix = own.replace(/\*$/, '')
  const star = theirs.indexOf('*')
  const literal = star === -1 ? theirs : theirs.slice(0, star)
  if (literal.startsWith(prefix)) return theirs.replaceAll('*', 'x')
  if (star === -1 || !prefix.startsWith(literal)) return undefined
  const rest = theirs.slice(star + 1).replaceAll('*', 'x')
  return `${prefix}x${rest}`
}
