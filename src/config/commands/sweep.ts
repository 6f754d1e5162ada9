import { msPerHour } from '../../record/time.ts'
import { archiveSet, dryRun, json } from '../archive.ts'
import { logGroup } from '../log.ts'
import { age, combine, flag, own, type ValuesOf } from '../options.ts'

export const sweepSet = combine([
  archiveSet,
  own({
    olderThan: age({
      default: '2d',
      min: { ms: msPerHour, text: '1h', because: 'a worker may still need a younger upload' },
      explanation:
        'End open uploads of a bucket that began longer ago than this, and remove what killed starts left.',
    }),
    dryRun,
    yes: flag({
      default: false,
      explanation: 'Do not ask. Without a terminal the command does not ask either: it goes ahead.',
    }),
    json: json(''),
  }),
  logGroup,
])

export type SweepOptions = ValuesOf<typeof sweepSet>
