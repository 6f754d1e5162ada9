import type { Admin } from 'kafkajs'
import { readIdentity } from '../files/log/archive.ts'
import { listPartitions } from '../files/log/commit-log.ts'
import { checkTopicName } from '../kafka/restore/record-limits.ts'
import { protocolErrorOf } from '../kafka/restore/restorer.ts'
import { type Subscription, subscriptionOf } from '../kafka/subscription.ts'
import { ArchiverError } from '../runtime/errors.ts'
import type { Restore } from './job.ts'

/**
 * The topic that each topic of the archive is restored to. Refuses the archive's own topics, and
 * those that workers archive according to the options.
 * @throws ArchiverError `USAGE`
 */
export async function checkTargets({
  home,
  options,
  partitions,
}: Restore): Promise<(topic: string) => string> {
  const sources = [...new Set(partitions.map(({ topic }) => topic))]
  const { toTopic, topics, topicsRegex, topicsExcludeRegex: excluded } = options
  if (toTopic !== undefined) checkTopicName(toTopic)
  if (toTopic !== undefined && sources.length > 1) {
    throw new ArchiverError(
      'USAGE',
      `--to-topic: records of ${sources.length} topics would be mixed; name one with --topic`,
    )
  }
  const targetOf = (topic: string) => toTopic ?? topic
  const archived = new Set((await listPartitions(home)).map(({ topic }) => topic))
  for (const target of sources.map(targetOf)) {
    if (archived.has(target)) refuse(options, target, `is archived into ${home.title}`)
    if (excluded?.test(target) === true) continue
    if (topics?.includes(target) === true) refuse(options, target, 'is one of --topics')
    if (topicsRegex?.test(target) === true) refuse(options, target, matches(topicsRegex.source))
  }
  return targetOf
}

/**
 * Checks what the live workers of the archive's group consume.
 * @throws ArchiverError `USAGE` if they consume one of the targets, or would
 */
export async function checkNotArchived(
  { home, options, log }: Restore,
  admin: Admin,
  targets: readonly string[],
): Promise<void> {
  const group = (await readIdentity(home))?.group
  if (group === undefined || options.intoArchived) return
  let subscription: Subscription
  try {
    subscription = await subscriptionOf(admin, group)
  } catch (error) {
    const refusal = protocolErrorOf(error)
    if (refusal === undefined || !refusal.endsWith('AUTHORIZATION_FAILED')) throw error
    log.warn(
      { event: 'group_not_described', group, err: refusal },
      'it is unknown whether workers archive the target',
    )
    return
  }
  for (const target of targets) {
    const workers = `the workers of group ${group}`
    if (subscription.topics.has(target)) refuse(options, target, `is consumed by ${workers}`)
    const pattern = subscription.patterns.find((source) => new RegExp(source).test(target))
    if (pattern !== undefined) refuse(options, target, `${matches(pattern)} of ${workers}`)
  }
  if (subscription.silent === 0) return
  log.warn(
    { event: 'subscription_unknown', group, members: subscription.silent },
    'some workers do not tell their --topics-regex',
  )
}

function matches(source: string): string {
  const anchored = source.startsWith('^') && source.endsWith('$')
  return `matches --topics-regex ${source}${anchored ? '' : ', which is not anchored at both ends and matches within a name,'}`
}

function refuse(
  { intoArchived }: { readonly intoArchived: boolean },
  topic: string,
  why: string,
): void {
  if (intoArchived) return
  throw new ArchiverError(
    'USAGE',
    `topic ${topic} ${why}: its workers would archive the restored records again; name another with --to-topic, or use --into-archived`,
  )
}
