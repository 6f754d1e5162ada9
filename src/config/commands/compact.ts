import { archiveSet, dryRun, json, selectionSet } from '../archive.ts'
import { compactMaxBytes } from '../files.ts'
import { logGroup } from '../log.ts'
import { combine, duration, own, pick, type ValuesOf } from '../options.ts'

export const compactSet = combine([
  archiveSet,
  pick(selectionSet, 'topic', 'partition'),
  own({
    compactAfter: duration({
      default: '1h',
      placeholder: '<30m>',
      explanation:
        'Merge hours that ended this long ago and got no file since, and fold manifests this old. 0 takes everything.',
    }),
    compactMaxBytes,
    dryRun,
    json: json(' a partition'),
  }),
  logGroup,
])

export type CompactOptions = ValuesOf<typeof compactSet>
