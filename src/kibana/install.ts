import { isDeepStrictEqual } from 'node:util'
import { ArchiverError } from '../runtime/errors.ts'
import { objectKey, type StoredObject } from './answer.ts'
import type { Kibana } from './client.ts'
import { markOf, objectsInSpace, type SavedObject } from './saved-object.ts'

/**
 * How an object in Kibana compares with ours of the same id. `older`: another version of the
 * archiver made it. `changed`: somebody edited it. `foreign`: it is not the archiver's at all.
 */
export type ObjectState = 'missing' | 'same' | 'older' | 'changed' | 'foreign'

export interface ComparedObject {
  readonly object: SavedObject
  readonly state: ObjectState
}

export function stateOf(ours: SavedObject, theirs: StoredObject | undefined): ObjectState {
  if (theirs === undefined) return 'missing'
  const isDataView = ours.type === 'index-pattern'
  if (isDataView && theirs.attributes.title !== ours.attributes.title) return 'foreign'
  if (!isDataView) {
    const mark = markOf(theirs.attributes.description)
    if (mark === undefined) return 'foreign'
    if (mark !== markOf(ours.attributes.description)) return 'older'
  }
  // An object that a newer Kibana has migrated cannot be compared. The mark in the description says
  // that it was ours.
  if (theirs.typeMigrationVersion !== ours.typeMigrationVersion) return 'same'
  return holds(unfolded(theirs.attributes), unfolded(ours.attributes)) ? 'same' : 'changed'
}

/** Attributes that are JSON as text, parsed. */
function unfolded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unfolded)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unfolded(inner)]))
  }
  if (typeof value !== 'string' || !/^[[{]/.test(value)) return value
  try {
    return unfolded(JSON.parse(value))
  } catch {
    // A text that only begins like JSON.
    return value
  }
}

/**
 * True if theirs contains everything in ours. Kibana adds to it, for example how often a field was
 * used.
 */
function holds(theirs: unknown, ours: unknown): boolean {
  if (typeof ours !== 'object' || ours === null || Array.isArray(ours)) {
    if (!Array.isArray(ours) || !Array.isArray(theirs)) return isDeepStrictEqual(theirs, ours)
    return theirs.length === ours.length && ours.every((inner, i) => holds(theirs[i], inner))
  }
  if (typeof theirs !== 'object' || theirs === null) return false
  return Object.entries(ours).every(([key, inner]) =>
    holds((theirs as Record<string, unknown>)[key], inner),
  )
}

/**
 * The state of each of our objects, with the ids that it has in the space.
 * @throws ArchiverError `KIBANA` if Kibana cannot be asked.
 */
export async function compareObjects(
  kibana: Kibana,
  objects: readonly SavedObject[],
): Promise<ComparedObject[]> {
  const ours = objectsInSpace(objects, kibana.space)
  const theirs = await kibana.find(ours)
  return ours.map((object) => ({ object, state: stateOf(object, theirs.get(objectKey(object))) }))
}

/**
 * Imports objects that are missing, older or changed. Never replaces a foreign object, and imports
 * nothing if all is as it should be.
 * @returns the state in which it found each object.
 * @throws ArchiverError `KIBANA`
 */
export async function installObjects(
  kibana: Kibana,
  objects: readonly SavedObject[],
): Promise<ComparedObject[]> {
  const compared = await compareObjects(kibana, objects)
  const foreign = compared
    .filter(({ state }) => state === 'foreign')
    .map(({ object }) => objectKey(object))
  if (foreign.length > 0) {
    throw new ArchiverError(
      'KIBANA',
      `Kibana at ${kibana.address} has ${foreign.join(', ')}, which the archiver did not make; nothing was imported. Rename it there, or use another --kibana-space`,
    )
  }
  await kibana.import(compared.filter(({ state }) => state !== 'same').map(({ object }) => object))
  return compared
}
