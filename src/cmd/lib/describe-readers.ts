import { count, plural } from '../../runtime/format.ts'
import type { ReadersVerdict } from '../../verify/readers.ts'

/** What `verify --readers` found, as lines. */
export function describeReaders({ records, findings, error }: ReadersVerdict): string[] {
  const left = error === undefined ? [] : [`readers: the rest was not looked at: ${error}`]
  const looked = `readers: ${plural(records, 'JSON value')} looked at`
  if (findings.length === 0) return [`${looked}; strict readers take them all`, ...left]
  return [
    `${looked}; strict readers refuse, or read otherwise:`,
    ...findings.map(({ kind, meaning, refused, records: found, first }) => {
      const named = first
        .map(({ topic, partition, offset }) => `${topic}/${partition}/${offset}`)
        .join(', ')
      const more = found > first.length ? `, and ${count(found - first.length)} more` : ''
      return `       ${refused ? '' : 'note: '}${kind}: ${plural(found, 'record')} with ${meaning}: ${named}${more}`
    }),
    ...left,
  ]
}
