import type { TopicChoice } from '../topic-watch.ts'

/** Which topics a member wants, as it can be sent to another member. */
export interface Wish {
  /** Topics by name. */
  readonly names?: readonly string[]
  /** The source of a regular expression, if topics are chosen by one. */
  readonly pattern?: string
}

export function wishOf(choice: TopicChoice): Wish {
  return choice instanceof RegExp ? { pattern: choice.source } : { names: choice }
}

/**
 * Whether a topic is wanted. Internal topics (`__consumer_offsets`) are archived only when they are
 * named.
 */
export function wantedBy({ names, pattern }: Wish): (topic: string) => boolean {
  if (pattern === undefined) {
    const named = new Set(names)
    return (topic) => named.has(topic)
  }
  const expression = new RegExp(pattern)
  return (topic) => !topic.startsWith('__') && expression.test(topic)
}
