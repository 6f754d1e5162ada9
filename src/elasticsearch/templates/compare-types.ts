import type { Elasticsearch } from '../client/client.ts'
import { installedProfile } from './cluster.ts'
import type { TemplateDifference } from './compare.ts'
import { readClusterTemplates } from './conflicts.ts'
import { type IndexProfile, profileOf } from './index-profile.ts'
import { readInstalledType, typeTemplateSuffix } from './type-template.ts'

/**
 * Templates of types (`archiver mapping --apply`) that are not as they were installed. Without
 * `profile`: compares with the installed one.
 * @throws RequestFailure
 */
export async function compareTypeTemplates(
  client: Elasticsearch,
  indexPrefix: string,
  profile?: IndexProfile,
): Promise<TemplateDifference[]> {
  const wanted = profile ?? (await installedProfile(client, indexPrefix))
  const differences: TemplateDifference[] = []
  for (const { name, index_template: template } of await readClusterTemplates(client)) {
    if (template._meta?.managed_by !== 'archiver' || template._meta.index_prefix !== indexPrefix)
      continue
    const start = `${name.slice(0, -typeTemplateSuffix.length)}-`
    const { component, isEdited } = await readInstalledType(client, start)
    const differ = (state: TemplateDifference['state'], why: string) =>
      differences.push({ name, state, message: `template ${name} of a type ${why}` })
    if (component === undefined) differ('missing', 'lacks its component template; apply it again')
    else if (isEdited)
      differ('changed', 'was edited; keep the edit in archive@custom, delete it and apply it again')
    const own = profileOf(template.composed_of ?? [])
    if (wanted !== undefined && own !== wanted)
      differ(
        'of another profile',
        `is of profile ${own}, the archive's is ${wanted}; apply it again`,
      )
  }
  return differences
}
