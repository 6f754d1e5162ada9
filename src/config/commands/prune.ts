import { msPerDay } from '../../record/time.ts'
import { archiveSet, dryRun } from '../archive.ts'
import { elasticsearchGroup } from '../elasticsearch.ts'
import { logGroup } from '../log.ts'
import { mysqlGroup } from '../mysql.ts'
import { age, because, combine, exclusive, flag, needed, own, type ValuesOf } from '../options.ts'

export const pruneSet = combine(
  [
    archiveSet,
    own({
      olderThan: age({
        min: { ms: msPerDay, text: '1d', because: 'days are removed whole' },
        explanation: 'Remove days that are wholly older than this.',
      }),
      finish: flag({
        default: false,
        explanation: 'Finish prunes that were interrupted, each to the date that it had.',
      }),
      files: flag({ default: true, explanation: 'Remove files.' }),
    }),
    elasticsearchGroup,
    mysqlGroup,
    own({
      dryRun,
      yes: flag({
        default: false,
        explanation:
          'Do not ask. Without a terminal the command does not ask either: it goes ahead.',
      }),
    }),
    logGroup,
  ],
  [
    because('which days are to go?', needed('olderThan', 'finish')),
    exclusive('olderThan', 'finish'),
    because('where are records to be removed?', needed('files', 'elasticsearch', 'mysql')),
  ],
)

export type PruneOptions = ValuesOf<typeof pruneSet>
