import { object } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { findTemplate, templatesFor } from './cluster.ts'
import { haveCommonName, readClusterTemplates } from './conflicts.ts'
import type { IndexProfile } from './index-profile.ts'
import { type Template, versionOf } from './shipped.ts'
import { differingKeys, stateOf, type TemplateState } from './state.ts'

/** Something on the cluster that is not as this version installs it. */
export interface TemplateDifference {
  readonly name: string
  readonly state: Exclude<TemplateState, 'same'> | 'overridden'
  /** For people. */
  readonly message: string
}

/**
 * What on the cluster is not as this version installs it, and what would win over it. Changes
 * nothing. Without `profile`: compares with the installed one.
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
    // A template that builds on the envelope is made on purpose.
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

const simulatedShape = object({})

/** Whether an index of that name would have other settings and mappings than our template says. */
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

/** A name that matches both patterns, if there is one. Ours ends with its only `*`. */
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
