import { archiveSet, selectionSet } from '../archive.ts'
import { bulkGroup } from '../bulk.ts'
import { elasticsearchGroup } from '../elasticsearch.ts'
import { kafkaConnectionSet } from '../kafka.ts'
import { logGroup } from '../log.ts'
import { mysqlGroup } from '../mysql.ts'
import { mysqlSinkGroup } from '../mysql-sink.ts'
import {
  combine,
  flag,
  is,
  list,
  oneOf,
  onlyIf,
  own,
  patterns,
  pick,
  requires,
  text,
  type ValuesOf,
} from '../options.ts'
import { memoryBudget } from '../worker.ts'

const toKafka = is('to', 'kafka')
const toElasticsearch = is('to', 'elasticsearch')
const toMysql = is('to', 'mysql')

export const restoreSet = combine(
  [
    archiveSet,
    own({
      to: oneOf(['elasticsearch', 'mysql', 'kafka'], {
        default: 'elasticsearch',
        explanation: 'Where the records go.',
      }),
    }),
    pick(selectionSet, 'type', 'topic', 'partition', 'from'),
    own({
      until: selectionSet.options.to,
      toTopic: text({
        placeholder: '<topic>',
        explanation:
          'Topic to restore to; it is created if it does not exist. Without it, each record goes to the topic it came from.',
      }),
      intoArchived: flag({
        default: false,
        explanation:
          'Restore also to a topic that workers archive, although they then archive the records once more.',
      }),
      yes: flag({
        default: false,
        explanation:
          'Do not ask: restore to a topic that holds records already, or that keeps the restored ones for a short time only.',
      }),
      topics: list({
        placeholder: '<a,b,…>',
        explanation:
          'Topics that workers archive. Without --topic only these are restored; to Kafka, never to one of them.',
      }),
      topicsRegex: patterns({
        explanation:
          'The same as a regular expression, which matches anywhere in a name unless it has ^ and $.',
      }),
      topicsExcludeRegex: patterns({
        explanation: 'Topics that workers leave out of these.',
      }),
    }),
    onlyIf(toKafka, kafkaConnectionSet),
    onlyIf(toElasticsearch, elasticsearchGroup),
    bulkGroup,
    onlyIf(toMysql, mysqlGroup),
    mysqlSinkGroup,
    own({ memoryBudget }),
    logGroup,
  ],
  [requires([toElasticsearch], 'elasticsearch'), requires([toMysql], 'mysql')],
)

export type RestoreOptions = ValuesOf<typeof restoreSet>
