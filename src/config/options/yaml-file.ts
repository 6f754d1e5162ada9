import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type * as Yaml from 'yaml'
import { messageOf } from '../../runtime/errors.ts'
import { usage } from './option.ts'

type Node = Yaml.Node

/** The value of a key in the file. */
export interface FileValue {
  /** A text, or the texts of a list; undefined for anything else. */
  readonly value: string | readonly string[] | undefined
  /** A mapping of names to mappings of texts: `name:key=text` each, `name:` for an empty one. */
  readonly mapping?: readonly string[] | undefined
  /** 1 for the first line of the file. */
  readonly line: number
  /** YAML took the rest of its line for a comment. */
  readonly hasComment: boolean
}

/** Every message about syntax ends with this: most mistakes are characters that YAML reserves. */
const quote =
  'a value that begins with one of * & ! @ % ` | > or has ": " or " #" in it belongs in quotes'

/**
 * Reads the options of a YAML file. Every scalar is the text in the file, as in the failsafe schema
 * (YAML 1.2.2, section 10.1): `0200`, `1e3`, `yes`, `null` and `2026-11-01` mean what they mean as
 * a flag. Anchors, aliases and tags are refused: in a file of options they are values that lack
 * their quotes.
 *
 * @throws ArchiverError `USAGE` with the line, and nothing of the content: it may hold secrets.
 */
export function readYamlFile(path: string): ReadonlyMap<string, FileValue> {
  // Loaded here: it takes longer than all of our own modules, and most starts have no file.
  const { isAlias, isCollection, isMap, isScalar, isSeq, LineCounter, parseDocument } =
    createRequire(import.meta.url)('yaml') as typeof Yaml
  const lines = new LineCounter()
  const refused = (offset: number, what: string) =>
    usage(`--config ${path}: line ${lines.linePos(offset).line}: ${what}`)
  const document = parseDocument(contentOf(path), {
    schema: 'failsafe',
    prettyErrors: false,
    keepSourceTokens: false,
    lineCounter: lines,
  })
  const [error] = document.errors as readonly Yaml.YAMLError[]
  if (error?.code === 'DUPLICATE_KEY') throw refused(error.pos[0], 'an option is given twice')
  if (error !== undefined)
    throw refused(error.pos[0], `cannot be read as YAML (${error.code}): ${quote}`)

  const { contents } = document
  if (contents === null || (isScalar(contents) && contents.value === '')) return new Map()
  if (!isMap<Node, Node | null>(contents))
    throw usage(`--config ${path}: expected a mapping of option names to values`)

  const check = (node: Node, offset: number): void => {
    if (isAlias(node)) throw refused(offset, `* begins an alias, which is not allowed; ${quote}`)
    if (isCollection(node) || isScalar(node)) {
      if (node.anchor !== undefined)
        throw refused(offset, `& begins an anchor, which is not allowed; ${quote}`)
      if (node.tag !== undefined)
        throw refused(offset, `! begins a tag, which is not allowed; ${quote}`)
    }
  }
  const textOf = (node: Node, offset: number): string | undefined => {
    check(node, node.range?.[0] ?? offset)
    return isScalar(node) ? String(node.value) : undefined
  }
  const textsOf = (list: readonly Node[], offset: number): readonly string[] | undefined => {
    const found = list.map((item) => textOf(item, offset))
    return found.every((text) => text !== undefined) ? found : undefined
  }
  const mappingOf = (node: Yaml.YAMLMap<Node, Node | null>): readonly string[] | undefined => {
    const elements: string[] = []
    for (const { key, value } of node.items) {
      const name = textOf(key, key.range?.[0] ?? 0)
      if (name === undefined) return undefined
      if (value === null || (isScalar(value) && value.value === '')) {
        elements.push(`${name}:`)
        continue
      }
      if (!isMap<Node, Node | null>(value)) return undefined
      check(value, value.range?.[0] ?? 0)
      if (value.items.length === 0) elements.push(`${name}:`)
      for (const { key: option, value: text } of value.items) {
        const given = text === null ? '' : textOf(text, option.range?.[0] ?? 0)
        if (given === undefined) return undefined
        elements.push(`${name}:${textOf(option, option.range?.[0] ?? 0)}=${given}`)
      }
    }
    return elements
  }
  const values = new Map<string, FileValue>()
  for (const { key, value } of contents.items) {
    const offset = key.range?.[0] ?? 0
    const name = textOf(key, offset)
    if (name === undefined) throw refused(offset, 'expected the name of an option')
    const at = value?.range?.[0] ?? offset
    if (value !== null) check(value, at)
    values.set(name, {
      value:
        value === null ? '' : isSeq<Node>(value) ? textsOf(value.items, at) : textOf(value, at),
      ...(isMap<Node, Node | null>(value) ? { mapping: mappingOf(value) } : {}),
      line: lines.linePos(at).line,
      hasComment: isScalar(value) && typeof value.comment === 'string',
    })
  }
  return values
}

function contentOf(path: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    throw usage(`--config ${path}: cannot be read: ${messageOf(error)}`)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw usage(`--config ${path}: is not UTF-8`)
  }
}
