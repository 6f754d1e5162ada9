import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Elasticsearch } from '../client/client.ts'
import { RequestFailure } from '../client/failure.ts'
import { findTemplate, segmentsOf, templatesFor } from './cluster.ts'
import { refuseConflicts, visibleTemplates, type WantedTemplate } from './conflicts.ts'
import type { IndexProfile } from './index-profile.ts'
import type { Template } from './shipped.ts'
import { stateOf, type TemplateState } from './state.ts'

/**
 * Installs what is missing or older. It never replaces a newer one, so that workers of two versions
 * do not undo each other. `mend`: also what was changed on the cluster. `profile`: of indices made
 * from now on; without it, the installed one stays.
 * @returns how many were installed
 * @throws ArchiverError `USAGE` if somebody else's template has the same priority for the same
 *   names: then nothing is installed. `UNREACHABLE` if the cluster refuses one
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
      const state = stateOf(template, await findTemplate(client, template))
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
