import { decodeLine, valueOfLine } from '../record/line/decoder.ts'
import { lineStart, type RecordBatch, untypedType } from '../record/record.ts'
import type { TypeSource } from '../record/type-source.ts'
import type { Logger } from '../runtime/log.ts'
import { readableText } from '../runtime/readable-text.ts'

/** A topic with this many messages and no type has another layout than the options say. */
export const suspiciousMessages = 1000
const maxSamples = 20
const maxSampleBytes = 2 ** 20
const maxNames = 20
const maxNameLength = 64
/** Paths that a warning names. */
const maxPaths = 5
/** How deep the search for a key of the same name goes. */
const maxDepth = 4

/** A topic none of whose messages has had a type so far. */
interface UntypedTopic {
  /** JSON values; not tombstones and malformed messages, as no path leads anywhere in them. */
  messages: number
  samples: number
  /** Names of top-level keys, or of headers: never their values. */
  readonly names: Set<string>
  /** Paths of keys with the name that is looked for. */
  readonly paths: Set<string>
}

/**
 * Warns once per topic if none of its first thousand messages has a type, with the names that are
 * there instead: a typing error in `--type-path` would otherwise show only in the directories.
 */
export class MissingTypes {
  readonly #source: TypeSource
  readonly #log: Logger
  /** `undefined` for a topic that has types, or that the log warned of. */
  readonly #topics = new Map<string, UntypedTopic | undefined>()

  constructor(source: TypeSource, log: Logger) {
    this.#source = source
    this.#log = log
  }

  /** Looks at what was just encoded. Once a topic is known that costs a look into a map. */
  look(batch: RecordBatch): void {
    if (this.#source.from === 'topic' || batch.count === 0) return
    const known = this.#topics.get(batch.topic)
    if (known === undefined && this.#topics.has(batch.topic)) return
    if (batch.types.some(({ reserved }) => !reserved)) {
      this.#topics.set(batch.topic, undefined)
      return
    }
    const topic = known ?? {
      messages: 0,
      samples: 0,
      names: new Set<string>(),
      paths: new Set<string>(),
    }
    this.#topics.set(batch.topic, topic)
    const untyped = batch.types.findIndex(({ name }) => name === untypedType.name)
    for (let i = 0; i < batch.count && topic.messages < suspiciousMessages; i++) {
      if (batch.typeIndexes[i] === untyped)
        this.#count(topic, batch.lines.subarray(lineStart(batch, i), batch.ends[i]!))
    }
    if (topic.messages < suspiciousMessages) return
    this.#warn(batch.topic, topic)
    this.#topics.set(batch.topic, undefined)
  }

  #count(topic: UntypedTopic, line: Buffer): void {
    const value = valueOfLine(line)
    if (value === undefined || (value.length === 4 && value.toString('latin1') === 'null')) return
    topic.messages++
    if (topic.samples >= maxSamples || line.length > maxSampleBytes) return
    topic.samples++
    if (this.#source.from === 'header') {
      for (const { key } of decodeLine(line).record.headers) addBounded(topic.names, key)
      return
    }
    const parsed: unknown = JSON.parse(value.toString('utf8'))
    if (!isObject(parsed)) return
    for (const name of Object.keys(parsed)) addBounded(topic.names, name)
    if (this.#source.from === 'value') addPaths(topic.paths, parsed, this.#source.path.at(-1)!, [])
  }

  #warn(topic: string, { messages, names, paths }: UntypedTopic): void {
    const { option, field, value } = this.#wanted()
    this.#log.warn(
      {
        event: 'no_types',
        topic,
        messages,
        option,
        [field]: value,
        keys: [...names].slice(0, maxNames).map(shown),
        has_more_keys: names.size > maxNames,
        found_at: [...paths].filter((path) => path !== value).slice(0, maxPaths),
      },
      'no message of the topic has a type',
    )
  }

  #wanted(): { readonly option: string; readonly field: string; readonly value: string } {
    if (this.#source.from === 'header') {
      const { header } = this.#source
      return { option: '--type-header', field: 'type_header', value: readableText(header) }
    }
    const path = this.#source.from === 'value' ? this.#source.path : []
    return { option: '--type-path', field: 'type_path', value: readableText(pathText(path)) }
  }
}

/** Keeps one more than is shown, which says that there are more. */
function addBounded(names: Set<string>, name: string): void {
  if (names.size <= maxNames) names.add(name)
}

function shown(name: string): string {
  const text =
    name.length > maxNameLength ? `${name.slice(0, maxNameLength).toWellFormed()}…` : name
  return readableText(JSON.stringify(text))
}

function pathText(path: readonly string[]): string {
  return path.map((key) => key.replaceAll('.', '\\.')).join('.')
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/** Adds the paths at which a key of this name has a text: `payload.type`. */
function addPaths(
  paths: Set<string>,
  object: Readonly<Record<string, unknown>>,
  wanted: string,
  above: readonly string[],
): void {
  for (const [key, value] of Object.entries(object)) {
    if (paths.size >= maxNames) return
    const path = [...above, key]
    const text = pathText(path)
    if (key === wanted && typeof value === 'string' && text.length <= maxNames * maxNameLength) {
      paths.add(readableText(text.slice(0, 4 * maxNameLength).toWellFormed()))
    }
    if (isObject(value) && path.length < maxDepth) addPaths(paths, value, wanted, path)
  }
}
