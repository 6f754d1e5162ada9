import { Elasticsearch } from '../../elasticsearch/client/client.ts'
import type { ElasticsearchConnection } from '../../elasticsearch/connection.ts'
import { IndexNames } from '../../elasticsearch/index-name.ts'
import { fieldsOfCustom, readInstalledType } from '../../elasticsearch/templates/type-template.ts'
import type { Mapping } from '../../mapping/index-mapping.ts'
import { type LearnedProposal, Learner } from '../../mapping/learner.ts'
import type { ClusterMapping } from '../../mapping/outgrown.ts'
import type { ProposedMapping } from '../../monitor/status-documents.ts'
import type { BatchWatch } from '../../pipeline/fan-out.ts'
import type { RecordType } from '../../record/record.ts'
import { unknownHour } from '../../record/time.ts'
import { nameOfType } from '../../record/type-name.ts'
import { DeadlineExceeded, withDeadline } from '../../runtime/deadline.ts'
import { ArchiverError, messageOf } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'

/** Fields that a log line names. */
const maxFields = 20
/** Proposals that wait for the next status documents. */
const maxWaiting = 100
const maxReason = 1024
/** What the end of a worker waits for the last comparison. */
const lastRoundMs = 5000

/** What `--learn` adds to a worker. */
export interface Learning extends BatchWatch {
  /** Proposals since the last call. */
  takeProposals(): readonly ProposedMapping[]
  /** Compares what was learned last, and closes the client. */
  stop(): Promise<void>
}

/**
 * Compares what comes with the mappings on the cluster at an interval, and logs what it would
 * propose. It delays no record: a cluster that does not answer is asked again at the next interval.
 */
export function startLearning({
  connection,
  indexPrefix,
  intervalMs,
  log,
}: {
  readonly connection: ElasticsearchConnection
  readonly indexPrefix: string
  readonly intervalMs: number
  readonly log: Logger
}): Learning {
  const client = new Elasticsearch(connection)
  const names = new IndexNames(indexPrefix)
  const waiting: ProposedMapping[] = []
  const learner = new Learner({
    now: () => performance.now(),
    read: (type) => readClusterMapping(client, names, type),
    propose: (proposal) => {
      announce(proposal, log)
      if (waiting.length < maxWaiting) waiting.push(statusOf(proposal))
    },
  })
  let isAway = false
  let round: Promise<void> | undefined
  const compare = () => {
    round ??= learner
      .round()
      .then(
        () => {
          isAway = false
        },
        (error: unknown) => {
          if (!isAway)
            log.warn(
              { event: 'mapping_not_compared', reason: messageOf(error) },
              'reading the mappings of types failed',
            )
          isAway = true
        },
      )
      .finally(() => {
        round = undefined
      })
    return round
  }
  const timer = setInterval(() => void compare(), intervalMs)
  // A start that fails does not wait for it.
  timer.unref()
  return {
    delivered: (batch) => learner.delivered(batch),
    takeProposals: () => waiting.splice(0),
    stop: async () => {
      clearInterval(timer)
      await withDeadline(lastRoundMs, undefined, async () => {
        await round
        if (!isAway) await compare()
      }).catch((error: unknown) => {
        if (!(error instanceof DeadlineExceeded)) throw error
      })
      await client.close()
    },
  }
}

/** Undefined if a template of somebody else has the name of the type's: leave it alone. */
async function readClusterMapping(
  client: Elasticsearch,
  names: IndexNames,
  type: RecordType,
): Promise<ClusterMapping | undefined> {
  const start = names.of(type, unknownHour).replace(/unknown$/, '')
  try {
    const { mapping, version } = await readInstalledType(client, start)
    return { mapping: mapping as Mapping | undefined, version, own: await fieldsOfCustom(client) }
  } catch (error) {
    if (error instanceof ArchiverError && error.code === 'USAGE') return undefined
    throw error
  }
}

function announce({ type, records, fields }: LearnedProposal, log: Logger): void {
  const shown = fields.slice(0, maxFields)
  log.info(
    {
      event: 'mapping_outgrown',
      type: nameOfType(type),
      sampled_records: records,
      fields: shown,
      ...(fields.length > shown.length ? { more_fields: fields.length - shown.length } : {}),
      command: `archiver mapping --type ${quoted(nameOfType(type))} --apply`,
    },
    'another mapping would fit this type better',
  )
}

function statusOf({ type, fields }: LearnedProposal): ProposedMapping {
  const reason = fields.map(({ name, proposed }) => `${name} as ${proposed}`).join(', ')
  return { type: nameOfType(type), reason: reason.slice(0, maxReason).toWellFormed() }
}

/** As a shell takes it. */
function quoted(text: string): string {
  return /^[\w.,:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
