import type { Found } from './cluster.ts'
import { indexProfiles } from './index-profile.ts'
import { forProfile, type Template, versionOf } from './shipped.ts'

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

/** How the cluster's template of that name compares with ours. */
export function stateOf(template: Template, found: Found | undefined): TemplateState {
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
export function differingKeys(ours: Template['body'], theirs: Found): string[] {
  const [a, b] = [flatten(ours), flatten(theirs)]
  const keys = new Set([...a.keys(), ...[...b.keys()].filter((key) => key.startsWith('template.'))])
  return [...keys].filter((key) => a.get(key) !== b.get(key))
}

/**
 * Every value as text under its path: Elasticsearch gives settings back as text, and lists of one
 * element as they are.
 */
export function flatten(
  value: unknown,
  path = '',
  into = new Map<string, string>(),
): Map<string, string> {
  if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value))
      flatten(inner, path === '' ? key : `${path}.${key}`, into)
  } else into.set(path, String(value))
  return into
}
