import { count } from '../runtime/format.ts'
import type { FieldFacts } from './field-facts.ts'
import { percent, shareOf } from './formulas.ts'
import type { Decision } from './proposal.ts'
import type { ValueSums } from './value-sums.ts'

/** An object with more keys than this is a map if its keys are rare. */
const minMapKeys = 50
/** Keys of a map are in fewer of its objects than this, on average. */
const maxMapShare = 0.05
/** Objects of one list that Elasticsearch takes as nested (`nested_objects.limit`). */
const maxNestedObjects = 10_000

export function proposeObject(
  name: string,
  group: readonly FieldFacts[],
  below: readonly FieldFacts[],
): Decision {
  const point = asPoint(group, below)
  if (point !== undefined) return point
  const map = mapKeysOf(group, below)
  const hasNul = below.some(({ path }) => path.some((key) => key.includes('\0')))
  if (map !== undefined && hasNul)
    return {
      as: 'not indexed',
      reason: `${map}: they are data, not fields; flattened refuses a NUL in a key`,
    }
  if (map !== undefined)
    return {
      as: 'flattened',
      reason: `${map}: they are data, not fields. Found by value.${name}.<key>, as exact texts; no sums`,
    }
  return { as: 'object', reason: 'an object; its fields follow' }
}

/** Why the keys of an object are data; undefined if they are names of fields. */
export function mapKeysOf(
  group: readonly FieldFacts[],
  below: readonly FieldFacts[],
): string | undefined {
  const depth = Math.min(...group.map(({ path }) => path.length))
  const isCollapsed = group.some(({ hasAnyKey }) => hasAnyKey)
  const children = below.filter(({ path }) => path.length === depth + 1)
  const keys = group.reduce((sum, facts) => sum + facts.keys, 0)
  if (isCollapsed) return 'more different keys than are tracked by name'
  if (keys <= minMapKeys || children.length === 0) return undefined
  const objects = group.reduce((sum, { kinds }) => sum + kinds.object, 0)
  const occurrences = children.reduce((sum, child) => sum + child.occurrences, 0)
  const share = occurrences / (objects * children.length)
  return share < maxMapShare
    ? `${count(keys)} different keys, each in ${percent(share * 100)} of its objects on average`
    : undefined
}

/** An object that is nothing but a point, in a form that Elasticsearch reads. */
function asPoint(group: readonly FieldFacts[], below: readonly FieldFacts[]): Decision | undefined {
  const [only, ...others] = group
  if (only === undefined || others.length > 0) return undefined
  const children = below.filter(({ path }) => path.length === only.path.length + 1)
  const child = (key: string) => children.find(({ path }) => path.at(-1) === key)
  if (children.length !== 2 || below.length !== 2 || only.hasAnyKey) return undefined
  const lost = 'sums over its parts are no longer possible'
  const [lat, lon] = [child('lat'), child('lon')]
  if (isCoordinate(only, lat, 90) && isCoordinate(only, lon, 180))
    return { as: 'geo_point', reason: `lat and lon in every object; ${lost}` }
  const [type, coordinates] = [child('type'), child('coordinates')]
  const { lists, numbers } = coordinates ?? {}
  const isGeoJson =
    type?.examples.join() === 'Point' &&
    type.distinct === 1 &&
    type.occurrences === only.kinds.object &&
    lists?.count === only.kinds.object &&
    lists.minElements === 2 &&
    lists.maxElements === 2 &&
    lists.beyondLatitude === 0 &&
    numbers?.count === 2 * lists.count &&
    Number(numbers.min) >= -180 &&
    Number(numbers.max) <= 180
  return isGeoJson
    ? { as: 'geo_point', reason: `GeoJSON points in every object; ${lost}` }
    : undefined
}

function isCoordinate(object: FieldFacts, part: FieldFacts | undefined, max: number): boolean {
  const numbers = part?.numbers
  return (
    numbers !== undefined &&
    part?.lists === undefined &&
    numbers.count === object.kinds.object &&
    part?.occurrences === object.kinds.object &&
    Number(numbers.min) >= -max &&
    Number(numbers.max) <= max
  )
}

/** What `nested` would give and cost; undefined if no list has two objects. */
export function nestedOffer(
  { objects }: ValueSums,
  group: readonly FieldFacts[],
): string | undefined {
  const lists = group.flatMap((facts) => facts.lists ?? [])
  const some = lists.reduce((sum, { ofObjects }) => sum + ofObjects, 0)
  if (some === 0) return undefined
  const records = group.reduce((sum, facts) => sum + facts.records, 0)
  const most = Math.max(...lists.map(({ maxObjects }) => maxObjects))
  const flat = `${shareOf(some, records)} hold two objects or more, and a query over two of their fields mixes them`
  if (most > maxNestedObjects)
    return `${flat}; nested is not possible: a list has ${count(most)} objects, and Elasticsearch takes ${count(maxNestedObjects)}`
  const each = Math.round((objects / records) * 10) / 10
  return `${flat}; as nested they stay apart, cost ${each} more documents a record, and Kibana's charts do not read them`
}
