import { statusIndexPrefix } from '../../elasticsearch/index-name.ts'
import { archiveSet } from '../archive.ts'
import { bulkGroup } from '../bulk.ts'
import { consumerGroup, membersGroup } from '../consumer.ts'
import { elasticsearchGroup } from '../elasticsearch.ts'
import { filesGroup } from '../files.ts'
import { kafkaConnectionSet } from '../kafka.ts'
import { logGroup } from '../log.ts'
import { mysqlGroup } from '../mysql.ts'
import { mysqlSinkGroup } from '../mysql-sink.ts'
import { because, combine, exclusive, needed, requires, that, type ValuesOf } from '../options.ts'
import { topicSettingsGroup } from '../topic-settings.ts'
import { topicsGroup } from '../topics.ts'
import { typesGroup } from '../types.ts'
import { workerGroup } from '../worker.ts'

export const runSet = combine(
  [
    kafkaConnectionSet,
    membersGroup,
    consumerGroup,
    topicsGroup,
    topicSettingsGroup,
    typesGroup,
    archiveSet,
    filesGroup,
    elasticsearchGroup,
    bulkGroup,
    mysqlGroup,
    mysqlSinkGroup,
    workerGroup,
    logGroup,
  ],
  [
    because('which topics are to be archived? (see --help)', needed('topics', 'topicsRegex')),
    exclusive('topics', 'topicsRegex'),
    because('where are records to be kept?', needed('files', 'elasticsearch', 'mysql')),
    because(
      'it compares records with the mappings on the cluster',
      requires(['learn'], 'elasticsearch'),
    ),
    because('archiver mapping reads the files', requires(['learn'], 'files')),
    because(
      `${statusIndexPrefix}* would count as part of the archive`,
      exclusive(
        'statusDocuments',
        that(
          'indexPrefix',
          `an --index-prefix that ${statusIndexPrefix} begins with`,
          isStatusPrefix,
        ),
      ),
    ),
  ],
)

export type RunOptions = ValuesOf<typeof runSet>

function isStatusPrefix(prefix: string): boolean {
  return statusIndexPrefix.startsWith(prefix)
}
