import { archiveSet, json } from '../archive.ts'
import { elasticsearchGroup } from '../elasticsearch.ts'
import { kafkaConnectionSet } from '../kafka.ts'
import { logGroup } from '../log.ts'
import { mysqlGroup } from '../mysql.ts'
import {
  because,
  combine,
  exclusive,
  flag,
  list,
  onlyIf,
  own,
  requires,
  type ValuesOf,
} from '../options.ts'

const readsNoFiles = '--fast reads no files'

export const verifySet = combine(
  [
    archiveSet,
    onlyIf('kafka', kafkaConnectionSet),
    own({
      kafka: flag({
        default: true,
        explanation: 'Ask Kafka what is committed and what it still holds.',
        whenOff: 'nothing is said of committed offsets',
      }),
    }),
    elasticsearchGroup,
    mysqlGroup,
    own({
      topics: list({
        placeholder: '<a,b,…>',
        explanation: 'Only these topics; by default all of the archive.',
      }),
      deep: flag({
        default: false,
        explanation: 'Compare every document and every row with its line, byte for byte.',
      }),
      fast: flag({
        default: false,
        explanation: 'Check manifests, sizes and counts only, without reading a file.',
      }),
      values: flag({
        default: false,
        explanation:
          'Compare count, minimum, maximum and sum of every numeric field in Elasticsearch with the numbers in the files, by type and day.',
      }),
      readers: flag({
        default: false,
        explanation:
          'Also count the records that are valid JSON but that strict readers (DuckDB, Spark, Polars, pandas, pyarrow, jq) refuse, and name the first of each kind. They do not fail the proof.',
      }),
      json: json(''),
    }),
    logGroup,
  ],
  [
    exclusive('deep', 'fast'),
    because(readsNoFiles, exclusive('values', 'fast')),
    because(readsNoFiles, exclusive('readers', 'fast')),
    requires(['values'], 'elasticsearch'),
  ],
)

export type VerifyOptions = ValuesOf<typeof verifySet>
