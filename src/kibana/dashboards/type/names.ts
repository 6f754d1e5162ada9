import { createHash } from 'node:crypto'
import { quoted } from '../../saved-object.ts'
import { plainName } from '../../text.ts'
import type { DescribedField } from './described.ts'

/** Names of fields, for people, for ids and for queries. */

/** The name of a field without the envelope's part. */
export function ownName(name: string): string {
  return name.replace(/^value\./, '')
}

/** The name of a field as a person reads it. */
export function label({ name, of }: Pick<DescribedField, 'name' | 'of'>): string {
  return plainName(ownName(of ?? name))
}

/**
 * A field in the id of a panel or a control: the same for the same field. A colon separates
 * references to panels, so it has none.
 */
export function idPart(name: string): string {
  if (/^[\w.-]{1,100}$/.test(name)) return name
  return `field-${createHash('sha256').update(name).digest('hex').slice(0, 16)}`
}

/**
 * A field name in KQL. Quoted, blanks, wildcards, operators and words such as `or` have no meaning
 * in it.
 */
export function kqlField(name: string): string {
  return /^[\w.@-]+$/.test(name) ? name : quoted(name)
}

/** A query for the records whose field has one of some values. */
export function isOneOf(name: string, values: readonly string[]): string {
  return `${kqlField(name)} : (${values.map(quoted).join(' or ')})`
}

/** The words of the last key of a name, in lower case: `value.http.statusCode` → status, code. */
export function wordsOf(name: string): readonly string[] {
  const last = name.split('.').at(-1) ?? ''
  return last
    .replace(/([a-z\d])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z\d]+/)
    .filter((word) => word !== '')
}

/** If two fields say as much, the less nested one says more about the whole record. */
export function shallowness(name: string): number {
  return 1 - 0.02 * Math.min(10, name.split('.').length)
}

/** A share of something, for people: never 0 or 100 % unless it is. */
export function percent(share: number): string {
  if (share > 0 && share < 0.01) return 'under 1 %'
  return share < 1 && share > 0.99 ? 'over 99 %' : `${Math.round(share * 100)} %`
}
