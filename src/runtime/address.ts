import { isIP } from 'node:net'
import { ArchiverError } from './errors.ts'

/** A URL, and its credentials apart from it. */
export interface Address {
  /** Without credentials: it may be shown. */
  readonly url: URL
  /** Undefined if there is none, like the password. */
  readonly username: string | undefined
  readonly password: string | undefined
}

/** How a URL has to spell credentials. */
export const encodedCredentials =
  'a URL in which , / ? # @ % of a user or password are percent-encoded'

/**
 * Separates a URL from its credentials. A password with a slash can leave a URL of another host
 * with the rest of the password in its path, so an @ that does not end the credentials is refused.
 *
 * @throws Error whose message says what is allowed, and nothing of the text
 */
export function addressOf(text: string): Address {
  const refused = () => new Error(encodedCredentials)
  if (!URL.canParse(text)) throw refused()
  const url = new URL(text)
  const { username, password } = url
  url.username = ''
  url.password = ''
  if (url.href.includes('@') || !isPercentEncoded(username) || !isPercentEncoded(password))
    throw refused()
  return { url, username: decoded(username), password: decoded(password) }
}

function decoded(text: string): string | undefined {
  return text === '' ? undefined : decodeURIComponent(text)
}

/** False if a percent sign begins no escape. */
export function isPercentEncoded(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

/** True for a host that is this machine: nothing sent to it leaves the machine. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  if (name === 'localhost' || name.endsWith('.localhost')) return true
  const address = name.replace(/^::ffff:(?=[0-9.]+$)/, '')
  if (isIP(address) === 4) return address.startsWith('127.')
  // A URL spells the embedded IPv4 address in hexadecimal.
  return isIP(name) === 6 && /^(::1|::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4})$/.test(name)
}

/**
 * A request path, one name a segment. This is the only place that encodes names: `%2a` in a name is
 * sent as `%252a`, which a server reads as `%2a` again, never as a wildcard or another path. A
 * wildcard (`*`) and a list (`a,b`) of names keep their meaning.
 *
 * @throws ArchiverError `INTERNAL` for a segment that is empty, `.` or `..`: a URL with it names
 *    another path
 */
export function pathOf(segments: readonly string[]): string {
  const unusable = segments.find((segment) => segment === '' || segment === '.' || segment === '..')
  if (unusable !== undefined) {
    throw new ArchiverError(
      'INTERNAL',
      `a request path has the segment ${JSON.stringify(unusable)}`,
      { segments },
    )
  }
  return `/${segments.map(encodeURIComponent).join('/')}`
}

/**
 * What to look at if a server does not answer: the end of a message.
 * @param option names the server, `--mysql`
 * @param more the end of the question, `, and does this port want --kafka-tls`
 */
export function unansweredHint(option: string, more = ''): string {
  return `is it running, and is ${option} right${more}?`
}

/**
 * The message about a server that answers with a redirect, which is not followed. It shows no
 * credentials and no query of the target.
 */
export function redirected(status: number, location: string | string[] | null | undefined): string {
  const [target = ''] = [location ?? ''].flat()
  const shown = target.replace(/[?#].*$/s, '').replace(/^([^:/]*:?\/\/)[^/]*@/, '$1')
  return `it redirects to ${shown === '' ? 'another address' : JSON.stringify(shown)} (${status}), which is not followed: name the address that answers itself`
}
