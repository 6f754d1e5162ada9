import { messageOf } from '../runtime/errors.ts'
import { butNot, group, integer, list, patterns, requires, usage } from './options.ts'

export const topicsGroup = group(
  'Topics',
  {
    topics: list({ placeholder: '<a,b,…>', explanation: 'Topics to archive, by name.' }),
    topicsRegex: patterns({
      explanation:
        'Archive every topic whose name matches this JavaScript regular expression, including topics created later. It matches anywhere in a name: orders also matches orders-restored, ^orders$ does not. Repeat the flag, or write a list in the file, for several.',
    }),
    topicsExcludeRegex: patterns({
      explanation:
        'Leave out topics whose name matches this JavaScript regular expression, of those that --topics or --topics-regex choose.',
    }),
    topicsRefresh: integer({
      default: '30',
      min: 1,
      unit: 's',
      explanation: 'Interval between checks for new topics.',
    }),
  },
  [requires(['topicsExcludeRegex'], 'topics', 'topicsRegex')],
)

/** The options that choose topics. */
export interface TopicOptions {
  readonly topics?: readonly string[] | undefined
  readonly topicsRegex?: RegExp | undefined
  readonly topicsExcludeRegex?: RegExp | undefined
}

/**
 * The topics of these options: names, or what matches now and later; undefined if none say so.
 * @throws ArchiverError `USAGE` if nothing can be left
 */
export function topicChoice(options: TopicOptions): readonly string[] | RegExp | undefined {
  const { topics, topicsRegex, topicsExcludeRegex: unwanted } = options
  if (unwanted === undefined) return topicsRegex ?? topics
  if (topicsRegex !== undefined) {
    if (unwanted.source === topicsRegex.source) throw nothingLeft(unwanted, '--topics-regex')
    try {
      return butNot(topicsRegex, unwanted)
    } catch (error) {
      throw usage(`--topics-exclude-regex: expected ${messageOf(error)}`)
    }
  }
  const left = topics?.filter((topic) => !unwanted.test(topic))
  if (left?.length === 0) throw nothingLeft(unwanted, '--topics')
  return left
}

function nothingLeft(unwanted: RegExp, chosen: string) {
  return usage(
    `--topics-exclude-regex: ${unwanted.source} leaves nothing of ${chosen}; name fewer topics there`,
  )
}
