import type { Elasticsearch } from '../../elasticsearch/client/client.ts'
import { IndexNames } from '../../elasticsearch/index-name.ts'
import { installedProfile } from '../../elasticsearch/templates/cluster.ts'
import { haveCommonName } from '../../elasticsearch/templates/conflicts.ts'
import { installTemplates } from '../../elasticsearch/templates/install.ts'
import { differingKeys } from '../../elasticsearch/templates/state.ts'
import {
  fieldsOfCustom,
  type InstalledType,
  installTypeTemplates,
  readInstalledType,
  refuseOthersTemplates,
  type TypeTemplates,
  typeTemplates,
  typeYears,
} from '../../elasticsearch/templates/type-template.ts'
import { valueMapping } from '../../mapping/index-mapping.ts'
import type { Proposal } from '../../mapping/proposal.ts'
import type { RecordType } from '../../record/record.ts'
import { unknownHour } from '../../record/time.ts'
import { isSameType, nameOfType } from '../../record/type-name.ts'
import { ArchiverError } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'

/** What `--apply` would do. */
export interface MappingPlan {
  readonly templates: TypeTemplates
  readonly before: InstalledType
  /** The cluster has both templates already. */
  readonly isSame: boolean
  /** For people, a line a field; none if only other settings differ. */
  readonly differences: readonly string[]
}

export interface MappingSubject {
  readonly type: RecordType
  readonly indexPrefix: string
  /** All types of the archive. */
  readonly types: readonly RecordType[]
  readonly proposal: Proposal
  readonly nested: readonly string[]
}

/**
 * Compares a proposal with what the cluster has for the type.
 * @throws ArchiverError `USAGE` if a template of somebody else, or somebody's edit, is in the way
 */
export async function planMapping(
  client: Elasticsearch,
  { type, indexPrefix, types, proposal, nested }: MappingSubject,
): Promise<MappingPlan> {
  const names = new IndexNames(indexPrefix)
  const start = names.of(type, unknownHour).replace(/unknown$/, '')
  const patterns = names.ofYears(type, typeYears)
  refuseOtherTypes(names, type, types, patterns)
  for (const name of nested)
    if (!proposal.fields.some((field) => field.name === name && field.nested !== undefined))
      throw new ArchiverError('USAGE', `--nested ${name}: no list of objects has this name`)
  const before = await readInstalledType(client, start)
  await refuseOthersTemplates(client, before, patterns)
  const { mapping, size } = valueMapping(proposal, { nested, own: await fieldsOfCustom(client) })
  const subject = {
    indexPrefix,
    type: nameOfType(type),
    start,
    patterns,
    mapping,
    size,
    profile: (await installedProfile(client, indexPrefix)) ?? 'standard',
  }
  const same = typeTemplates(subject, before.version)
  const isSame =
    before.digest === digestIn(same) &&
    before.index !== undefined &&
    differingKeys(same.index.body, before.index).length === 0
  return {
    templates: isSame ? same : typeTemplates(subject, before.version + 1),
    before,
    isSame,
    differences: differencesOf(before.mapping, mapping),
  }
}

function digestIn({ component }: TypeTemplates): unknown {
  return (component.body._meta as { readonly digest: string }).digest
}

/** @throws ArchiverError `USAGE` if the template would also be for the indices of another type */
function refuseOtherTypes(
  names: IndexNames,
  type: RecordType,
  types: readonly RecordType[],
  patterns: readonly string[],
): void {
  const own = names.of(type, unknownHour)
  for (const other of types) {
    const start = names.of(other, unknownHour).replace(/unknown$/, '')
    if (isSameType(other, type) || names.of(other, unknownHour) === own) continue
    const caught = patterns.find((pattern) => haveCommonName(pattern, `${start}*`))
    if (caught === undefined) continue
    throw new ArchiverError(
      'USAGE',
      `type ${nameOfType(other)} has indices that the pattern ${caught} of this type matches, too: map this type by hand, see docs/mapping.md`,
    )
  }
}

/** Installs the archive's templates, if they are missing, and those of the type. */
export async function applyMapping(
  client: Elasticsearch,
  { indexPrefix }: MappingSubject,
  { templates, before }: MappingPlan,
  log: Logger,
): Promise<void> {
  await installTemplates(client, indexPrefix, log)
  await installTypeTemplates(client, templates, before)
}

/** One line a field that is new, different, or no longer named. */
function differencesOf(before: unknown, after: unknown): string[] {
  const [old, next] = [fieldsIn(before), fieldsIn(after)]
  return [...new Set([...old.keys(), ...next.keys()])].sort().flatMap((name) => {
    const [one, two] = [old.get(name), next.get(name)]
    if (one === two) return []
    if (one === undefined) return [`+ value.${name}: ${two}`]
    if (two === undefined) return [`- value.${name}: ${one}`]
    return [`~ value.${name}: ${one} becomes ${two}`]
  })
}

interface Node {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Node>>
  readonly fields?: Readonly<Record<string, Node>>
  readonly [key: string]: unknown
}

/** Each field in words: `date (uuuu-MM-dd), .text keyword`. */
function fieldsIn(mapping: unknown): Map<string, string> {
  const found = new Map<string, string>()
  const walk = (node: Node, path: string) => {
    for (const [key, child] of Object.entries(node.properties ?? {})) {
      const name = path === '' ? key : `${path}.${key}`
      const words = wordsOf(child)
      if (words !== 'object') found.set(name, words)
      walk(child, name)
    }
  }
  walk((mapping ?? {}) as Node, '')
  return found
}

function wordsOf({ type = 'object', fields = {}, properties: _, ...rest }: Node): string {
  const details = [
    ...(rest.format === undefined ? [] : [String(rest.format)]),
    ...(rest.enabled === false ? ['not indexed'] : []),
    ...(rest.coerce === true ? ['texts count'] : []),
  ]
  const subFields = Object.keys(fields)
    .sort()
    .map((name) => `.${name} ${wordsOf(fields[name]!)}`)
  const own = details.length === 0 ? type : `${type} (${details.join(', ')})`
  return [own, ...subFields].join(', ')
}
