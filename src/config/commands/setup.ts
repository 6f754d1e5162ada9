import { json } from '../archive.ts'
import { bulkGroup } from '../bulk.ts'
import { elasticsearchGroup } from '../elasticsearch.ts'
import { kibanaGroup } from '../kibana.ts'
import { logGroup } from '../log.ts'
import { mysqlGroup } from '../mysql.ts'
import { because, combine, flag, needed, own, type ValuesOf } from '../options.ts'

export const setupSet = combine(
  [
    elasticsearchGroup,
    bulkGroup,
    mysqlGroup,
    kibanaGroup,
    own({
      check: flag({
        default: false,
        explanation: 'Change nothing; show what differs, and exit with 1 if something does.',
      }),
      json: json(' a line'),
    }),
    logGroup,
  ],
  [because('what is to be set up?', needed('elasticsearch', 'mysql', 'kibana'))],
)

export type SetupOptions = ValuesOf<typeof setupSet>
