import { type Address, addressOf, encodedCredentials } from '../../runtime/address.ts'
import { kind, secret } from './kinds.ts'
import { isHostPort, listKind, namesIn } from './lists.ts'
import type { Option } from './option.ts'

/** Options that are URLs. A URL may hold a password, so a message shows only one without an `@`. */

export interface Expectation {
  /** What is allowed, for messages. */
  readonly expected: string
  readonly isExpected: (address: Address) => boolean
}

export const httpUrl: Expectation = {
  expected: 'http://host:port or https://host:port',
  isExpected: ({ url }) => /^https?:$/.test(url.protocol),
}

/** A server that has paths of its own below this address. */
export const baseUrl: Expectation = {
  expected: 'http://host:port or https://host:port, and the path behind it if a proxy needs one',
  isExpected: (address) => httpUrl.isExpected(address) && !/[?#]/.test(address.url.href),
}

const mayHoldPassword = (text: string): boolean => text.includes('@')

/**
 * A URL as its parts.
 * @param isSecret whether the text, or another of its list, may hold a password
 * @throws Error whose message says what is allowed, and shows nothing of the text
 */
export function addressIn(
  text: string,
  { expected, isExpected }: Expectation,
  isSecret = mayHoldPassword(text),
): Address {
  const refused = (why: string) => new Error(isSecret ? `${expected}, ${why}` : expected)
  // A URL parser ignores blanks and line breaks, and takes `http:host` for `http://host`.
  if (/\s/.test(text) || !/^[a-z][a-z0-9+.-]*:\/\/[^/]/i.test(text))
    throw refused(encodedCredentials)
  let address: Address
  try {
    address = addressOf(text)
  } catch (error) {
    throw refused((error as Error).message)
  }
  if (!isExpected(address)) throw new Error(expected)
  return address
}

interface Described {
  readonly explanation: string
  readonly placeholder?: string
}

/** One URL. `parse` throws an Error whose message says what is allowed. */
export function url<T>(described: Described, parse: (text: string) => T): Option<T | undefined> {
  const option = kind<T>(
    () => '<url>',
    () => parse,
  )(described)
  return secret(option, mayHoldPassword)
}

/**
 * Several URLs of one kind. A comma in a password makes two URLs that both look as if they had no
 * password. So a message shows all of them or none. `check` throws an Error whose message says what
 * is allowed.
 */
export function urls(
  described: Described & { readonly default: string },
  expectation: Expectation,
  check: (addresses: readonly Address[]) => void,
): Option<readonly Address[]> {
  const option = listKind<Address>('<url,…>', (elements) => {
    const texts = namesIn(elements)
    const isSecret = mayHoldPassword(texts.join())
    const addresses = texts.map((text, i) => {
      try {
        return addressIn(text, expectation, isSecret)
      } catch (error) {
        const which = texts.length > 1 ? ` (URL number ${i + 1})` : ''
        throw new Error(`${(error as Error).message}${which}`)
      }
    })
    check(addresses)
    return addresses
  })(described)
  return secret(option, mayHoldPassword)
}

const workerUrl: Expectation = {
  expected:
    'host:port, or http://host:port with the path behind it if a proxy needs one, and no user',
  isExpected: (address) => baseUrl.isExpected(address) && address.username === undefined,
}

/**
 * The URLs at which workers serve their status, each without a slash at its end. A person writes
 * `host:port`, a port of this machine (like `--http`), or a URL.
 */
export function workerUrls(described: Described): Option<readonly string[] | undefined> {
  const option = listKind<string>('<host:port,…>', (elements) =>
    namesIn(elements).map((text) => {
      const plain = /^\d+$/.test(text) ? `127.0.0.1:${text}` : text
      const whole = isHostPort(plain) ? `http://${plain}` : text
      return addressIn(whole, workerUrl).url.href.replace(/\/+$/, '')
    }),
  )(described)
  return secret(option, mayHoldPassword)
}
