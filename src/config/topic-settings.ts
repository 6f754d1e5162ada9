import { filesGroup } from './files.ts'
import {
  didYouMean,
  flagName,
  group,
  type Option,
  type Options,
  type Values,
  type ValuesOf,
} from './options.ts'
import { typesGroup } from './types.ts'

const all = { ...typesGroup.options, ...filesGroup.options }
const settable: Options = Object.fromEntries(
  Object.entries(all).filter(([, { isPerTopic }]) => isPerTopic === true),
)
const names = new Map(Object.keys(settable).map((key) => [flagName(key), key]))

/** Options of a worker that may be set for some topics alone. */
export type PerTopicValues = Pick<
  Values<typeof all>,
  'typeFrom' | 'typePath' | 'typeHeader' | 'framedJson' | 'flushInterval' | 'flushBytes'
>

/** What is set for the topics whose whole name a pattern matches. */
export interface TopicSetting {
  readonly pattern: string
  readonly matches: RegExp
  readonly values: Partial<PerTopicValues>
}

const topicSettings: Option<readonly TopicSetting[] | undefined> = {
  explanation: `Options of the topics whose whole name matches a JavaScript regular expression, e.g. 'events[.].*:flush-interval=10'. Repeat the flag for more. In the file: a mapping of patterns to options, as topic-settings, or as topics to choose these topics as well. The first pattern that matches a topic counts. Possible are ${[...names.keys()].join(', ')}.`,
  placeholder: '<pattern:option=value>',
  defaultText: undefined,
  defaultValue: undefined,
  parse: (text) => settingsIn([text]),
  elements: { split: (text) => [text], parse: settingsIn },
  isSwitch: false,
  takesMapping: true,
}

export const topicSettingsGroup = group('Topics', { topicSettings })

/**
 * Each element is `pattern:option=value`, or `pattern:` for a pattern without options.
 * @throws Error whose message says what is allowed
 */
function settingsIn(elements: readonly string[]): readonly TopicSetting[] {
  const settings = new Map<string, { matches: RegExp; values: Record<string, unknown> }>()
  for (const element of elements) {
    const { pattern, name, value } = partsOf(element)
    const { matches, values } = settings.get(pattern) ?? { matches: whole(pattern), values: {} }
    settings.set(pattern, { matches, values })
    if (name === undefined) continue
    const key = names.get(name)
    if (key === undefined) {
      throw new Error(
        `an option that may be set for topics, not ${name}${didYouMean(name, [...names.keys()])}: ${[...names.keys()].join(', ')}`,
      )
    }
    if (Object.hasOwn(values, key)) throw new Error(`${name} of ${pattern} once`)
    try {
      values[key] = settable[key]!.parse(value)
    } catch (error) {
      throw new Error(`${name} of ${pattern} to be ${(error as Error).message}`)
    }
  }
  return [...settings].map(([pattern, { matches, values }]) => ({ pattern, matches, values }))
}

function partsOf(element: string) {
  // A name of a topic has no colon, but an expression may: `(?:a|b)`. So the first option counts.
  const [, pattern, name, value = ''] = /^(.+?):([a-z][a-z0-9-]*)=(.*)$/s.exec(element) ?? []
  if (pattern !== undefined) return { pattern, name, value }
  const [, alone] = /^(.+):$/s.exec(element) ?? []
  if (alone === undefined)
    throw new Error("pattern:option=value, such as 'events[.].*:flush-interval=10'")
  return { pattern: alone, name: undefined, value }
}

function whole(pattern: string): RegExp {
  try {
    return new RegExp(`^(?:${pattern})$`)
  } catch (error) {
    throw new Error(`a JavaScript regular expression (${(error as Error).message})`)
  }
}

/** Options with what is set for topics alone. */
type Settings = PerTopicValues & ValuesOf<typeof topicSettingsGroup>

/** The options of a topic: those of the first pattern that matches, else those of all. */
export function optionsOfTopic<O extends Settings>(options: O, topic: string): O {
  const setting = options.topicSettings?.find(({ matches }) => matches.test(topic))
  return setting === undefined ? options : { ...options, ...setting.values }
}

/** The options of all topics, and those of each pattern. */
export function everyTopicOptions<O extends Settings>(options: O): readonly O[] {
  return [
    options,
    ...(options.topicSettings ?? []).map(({ values }) => ({ ...options, ...values })),
  ]
}
