import { readdirSync, readFileSync } from 'node:fs'
import { ArchiverError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Elasticsearch } from './client.ts'

/** The folder of the JSON files that are sent as they are, one file a template. */
export const templatesFolder = new URL('../../index-templates/', import.meta.url)

/** The prefix that the files in the folder are written for. */
const shippedPrefix = 'archive-'

export interface Template {
  readonly name: string
  /** `_component_template` or `_index_template`: where it is installed. */
  readonly api: '_component_template' | '_index_template'
  readonly version: number
  readonly body: Readonly<Record<string, unknown>>
}

/** What became of one template. */
export type TemplateState = 'missing' | 'older' | 'same' | 'newer'

const apis = { component: '_component_template', index: '_index_template' } as const

/**
 * The templates of the folder, for an index prefix, components first. With a prefix of one's own the patterns follow it and the
 * index templates get names of their own, so that two archives share a cluster; the components are shared.
 */
export function readTemplates(indexPrefix: string): Template[] {
  return readdirSync(templatesFolder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => {
      const [, kind, template] = /^(component|index)-(.+)\.json$/.exec(name) ?? []
      if (kind !== 'component' && kind !== 'index') throw new Error(`index-templates/${name}: unexpected name`)
      const body = JSON.parse(readFileSync(new URL(name, templatesFolder), 'utf8')) as Record<string, unknown>
      return forPrefix({ name: template!, api: apis[kind], version: Number(body.version), body }, indexPrefix)
    })
}

function forPrefix(template: Template, indexPrefix: string): Template {
  if (template.api === '_component_template' || indexPrefix === shippedPrefix) return template
  const patterns = template.body.index_patterns as string[]
  // What is about the workers is shared by all archives of a cluster.
  if (!patterns.some((pattern) => pattern.startsWith(shippedPrefix))) return template
  return {
    ...template,
    name: `${indexPrefix}${template.name}`,
    body: { ...template.body, index_patterns: patterns.map((pattern) => pattern.replace(shippedPrefix, indexPrefix)) },
  }
}

/** How the cluster's template of that name compares with ours, by version. */
export async function templateState(client: Elasticsearch, template: Template): Promise<TemplateState> {
  const path = `/${template.api}/${encodeURIComponent(template.name)}`
  const { status, body } = await client.request<Record<string, readonly Record<string, { version?: number }>[]>>(
    'GET',
    path,
    {
      ignore: [404],
    },
  )
  if (status === 404) return 'missing'
  const [found] = Object.values(body)[0] ?? []
  const version = (found?.component_template ?? found?.index_template)?.version ?? 0
  if (version === template.version) return 'same'
  return version < template.version ? 'older' : 'newer'
}

/**
 * Installs what is missing or older; never replaces a newer one, so that workers of two versions do not undo each other.
 * @throws ArchiverError `UNREACHABLE` where the cluster refuses it.
 */
export async function installTemplates(client: Elasticsearch, indexPrefix: string, log: Logger): Promise<void> {
  for (const template of readTemplates(indexPrefix)) {
    try {
      const state = await templateState(client, template)
      if (state === 'newer') {
        log.warn({ template: template.name }, `the cluster has a newer template ${template.name}; it stays as it is`)
      }
      if (state === 'same' || state === 'newer') continue
      await client.request('PUT', `/${template.api}/${encodeURIComponent(template.name)}`, { body: template.body })
      log.info(
        { template: template.name, version: template.version },
        `installed ${template.api.slice(1)} ${template.name}`,
      )
    } catch (error) {
      throw new ArchiverError(
        'UNREACHABLE',
        `Elasticsearch refused template ${template.name}: ${messageOf(error)}; grant manage_index_templates, or install index-templates/ yourself and use --no-templates`,
        { template: template.name },
        error,
      )
    }
  }
}
