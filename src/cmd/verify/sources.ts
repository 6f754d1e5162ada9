import type { Kafka } from 'kafkajs'
import type { VerifyOptions } from '../../config/commands/verify.ts'
import { elasticsearchConnection } from '../../config/elasticsearch.ts'
import { kafkaConnection } from '../../config/kafka.ts'
import { mysqlConnection } from '../../config/mysql.ts'
import { Elasticsearch } from '../../elasticsearch/client/client.ts'
import { DocumentReader } from '../../elasticsearch/read/reader.ts'
import { readIdentity } from '../../files/log/archive.ts'
import type { ReadableHome } from '../../home/home.ts'
import { kafkaClient } from '../../kafka/client.ts'
import { type KafkaPosition, readPositions } from '../../kafka/positions.ts'
import { RecordLookup } from '../../kafka/record-lookup.ts'
import { withAdmin } from '../../kafka/topics.ts'
import { Mysql } from '../../mysql/client.ts'
import { RowReader } from '../../mysql/reader.ts'
import type { SourceRecord, TopicPartition } from '../../record/record.ts'
import { ArchiverError, errorFields } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { Proxies } from '../../runtime/proxies.ts'
import { otherArchives } from './other-archives.ts'

/** What the archive is compared with; undefined for what is not asked. */
export interface Sources extends AsyncDisposable {
  readonly kafka: KafkaFacts | undefined
  readonly elasticsearch:
    | {
        readonly client: Elasticsearch
        readonly reader: DocumentReader
        readonly indexPrefix: string
      }
    | undefined
  readonly mysql: { readonly reader: RowReader; readonly table: string } | undefined
}

interface KafkaFacts {
  /** By partition. */
  readonly positions: ReadonlyMap<string, KafkaPosition>
  /** The records from an offset on; none if they cannot be read. */
  readonly records: (tp: TopicPartition, offset: number) => Promise<readonly SourceRecord[]>
  readonly close: () => Promise<void>
}

/** The archive that is verified. */
interface Archive {
  readonly home: ReadableHome
  readonly archived: readonly TopicPartition[]
  readonly log: Logger
}

/**
 * Connects to everything that the options name. Kafka is asked first, so that the archive holds at
 * least what Kafka said.
 * @throws ArchiverError `UNREACHABLE`, or `ARCHIVE_MISMATCH` for another cluster's archive
 */
export async function openSources(options: VerifyOptions, archive: Archive): Promise<Sources> {
  const proxies = new Proxies(process.env)
  const elasticsearchAt = elasticsearchConnection(options, proxies)
  const mysqlAt = mysqlConnection(options)
  const kafka = options.kafka ? await openKafka(options, proxies, archive) : undefined
  const client = elasticsearchAt && new Elasticsearch(elasticsearchAt)
  const database = mysqlAt && new Mysql(mysqlAt)
  const close = async () => {
    await kafka?.close()
    await client?.close()
    await database?.close()
  }
  try {
    await client?.detect()
    await database?.detect()
    return {
      kafka,
      elasticsearch: client && (await openDocuments(client, options.indexPrefix, archive)),
      mysql: database && {
        reader: new RowReader(database, options.mysqlTable),
        table: options.mysqlTable,
      },
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function openKafka(
  options: VerifyOptions,
  proxies: Proxies,
  archive: Archive,
): Promise<KafkaFacts> {
  const { log } = archive
  const kafka = kafkaClient(kafkaConnection(options, proxies), {
    clientId: 'archiver-verify',
    log,
    retry: { retries: 4 },
  })
  const positions = await positionsIn(kafka, options.brokers, archive)
  const lookup = new RecordLookup(kafka, (error) =>
    log.debug({ event: 'not_disconnected', ...errorFields(error) }, 'could not disconnect'),
  )
  return {
    positions,
    records: (tp, offset) => recordsAt(lookup, tp, offset, log),
    close: () => lookup.disconnect(),
  }
}

async function positionsIn(
  kafka: Kafka,
  brokers: readonly string[],
  { home, archived }: Archive,
): Promise<ReadonlyMap<string, KafkaPosition>> {
  return withAdmin(kafka, brokers, async (admin) => {
    const { clusterId } = await admin.describeCluster()
    const identity = await readIdentity(home)
    if (identity?.cluster_id !== clusterId) {
      throw new ArchiverError(
        'ARCHIVE_MISMATCH',
        `${home.title} is the archive of Kafka cluster ${identity?.cluster_id}, this is ${clusterId}: name its --brokers, or use --no-kafka`,
      )
    }
    const topics = [...new Set(archived.map(({ topic }) => topic))]
    return readPositions(kafka, admin, identity.group, topics)
  })
}

/** A user who may ask for offsets may lack the right to read: then no record is compared. */
async function recordsAt(
  lookup: RecordLookup,
  { topic, partition }: TopicPartition,
  offset: number,
  log: Logger,
): Promise<readonly SourceRecord[]> {
  try {
    return await lookup.records({ topic, partition }, offset)
  } catch (error) {
    if (!(error instanceof ArchiverError) || error.context.isRefusal !== true) throw error
    log.warn(
      { event: 'record_not_compared', topic, partition, offset, ...errorFields(error) },
      'a record is not compared with Kafka',
    )
    return []
  }
}

async function openDocuments(
  client: Elasticsearch,
  indexPrefix: string,
  { home, archived }: Archive,
) {
  const others = await otherArchives(client, indexPrefix, home, archived)
  const reader = new DocumentReader(client, indexPrefix, others)
  await reader.refresh()
  return { client, reader, indexPrefix }
}
