import { isIPv6 } from 'node:net'
import type { Described } from './kinds.ts'
import type { Option } from './option.ts'

/**
 * Lists. A text has commas between its elements. `\,` is a comma in an element and `\\` a
 * backslash; a backslash before anything else is itself. An element of a YAML list is taken whole.
 * A repeated flag adds elements.
 */

/** The elements of a text. */
export function splitElements(text: string): string[] {
  const elements = ['']
  for (const [part] of text.matchAll(/\\[\\,]|[\s\S]/gu)) {
    if (part === ',') elements.push('')
    else
      elements[elements.length - 1] +=
        part.length === 2 && part.startsWith('\\') ? part.slice(1) : part
  }
  return elements
}

interface ListKind<E> {
  (described: Described & { default: string }): Option<readonly E[]>
  (described: Described): Option<readonly E[] | undefined>
}

export function listKind<E>(
  placeholder: string,
  parse: (elements: readonly string[]) => readonly E[],
): ListKind<E> {
  return ((described: Described & { default?: string }): Option<readonly E[] | undefined> => ({
    explanation: described.explanation,
    placeholder: described.placeholder ?? placeholder,
    defaultText: described.default,
    defaultValue:
      described.default === undefined ? undefined : parse(splitElements(described.default)),
    parse: (text) => parse(splitElements(text)),
    elements: { split: splitElements, parse },
    isSwitch: false,
  })) as ListKind<E>
}

/**
 * Names without commas and without blanks at their ends (topics, hosts): such blanks are ignored.
 */
export const list = listKind('<a,b,…>', namesIn)

/** @throws Error whose message says what is allowed. */
export function namesIn(elements: readonly string[]): readonly string[] {
  const names = elements.map((element) => element.trim())
  if (names.length === 0 || names.includes(''))
    throw new Error('one or more, separated by commas, none of them empty')
  return names
}

/** Texts of any characters (types of messages, headers): each is taken as it is. */
export const texts = listKind('<a,b,…>', (elements) => {
  if (elements.length === 0 || elements.includes('')) {
    throw new Error(
      'one or more, separated by commas, none of them empty; a comma in one is written \\,',
    )
  }
  return elements
})

const maxPort = 65_535

/**
 * `host:port` or `[IPv6 address]:port`, as Kafka's clients take them; blanks at the ends are
 * ignored.
 */
export const hostPorts = listKind('<host:port,…>', (elements) => {
  const addresses = elements.map((element) => element.trim())
  const wrong = addresses.find((address) => !isHostPort(address))
  if (addresses.length === 0 || wrong !== undefined) {
    throw new Error(
      'host:port or [IPv6 address]:port, separated by commas, each with its port and nothing else, such as kafka-1:9092,[::1]:9092',
    )
  }
  return addresses
})

/** `host:port` or `[IPv6 address]:port`. */
export function isHostPort(address: string): boolean {
  const [, bracketed, host, digits] =
    /^(?:\[([^\][]+)\]|([^\s:/[\]@,?#\\%"']+)):(\d{1,5})$/.exec(address) ?? []
  const port = Number(digits)
  if (digits === undefined || port < 1 || port > maxPort) return false
  return host !== undefined || isIPv6(bracketed!)
}
