import { hash } from 'node:crypto'

/** The ETag of a part whose store gives it the MD5 of its bytes. */
const ofPart = /^"?([0-9a-f]{32})"?$/
/** Without a number: written in one request, so by somebody else. */
const ofObject = /^"?([0-9a-f]{32}(?:-\d+)?)"?$/

/**
 * The ETag that a store of this kind gives to an object of these parts: the MD5 of their MD5s, and
 * how many they are. Undefined if the ETags of the parts have another form.
 */
export function combinedEtag(parts: readonly string[]): string | undefined {
  const sums = parts.map((etag) => ofPart.exec(etag)?.[1])
  if (sums.includes(undefined)) return undefined
  return `${hash('md5', Buffer.from(sums.join(''), 'hex'))}-${sums.length}`
}

/** The ETag of an object without its quotes; undefined if it has another form. */
export function comparableEtag(etag: string): string | undefined {
  return ofObject.exec(etag)?.[1]
}
