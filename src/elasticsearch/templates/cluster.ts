import { each, list, number, object, optional, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { type IndexProfile, profileOf } from './index-profile.ts'
import { needsLifecycle, readTemplates, type Template, type Versioned } from './shipped.ts'

/**
 * The profile that the cluster's template of ordinary records has; undefined if it is not there, or
 * is not ours.
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
 * The templates to install on this cluster. Without lifecycle management, none of those that need
 * it. Without a profile, those of the installed one.
 */
export async function templatesFor(
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

/** The path of a template on the cluster. */
export function segmentsOf({ api, name }: Pick<Template, 'api' | 'name'>): string[] {
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
/** A template as the cluster has it. */
export type Found = Versioned & Readonly<Record<string, unknown>>

/** The cluster's template of that name; undefined if it has none. */
export async function findTemplate(
  client: Elasticsearch,
  template: Template,
): Promise<Found | undefined> {
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
    // The server's own `version` counts edits; ours is in `_meta`.
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
