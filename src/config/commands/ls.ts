import { archiveSet, json, selectionSet } from '../archive.ts'
import { logGroup } from '../log.ts'
import { combine, oneOf, own, type ValuesOf } from '../options.ts'

export const lsSet = combine([
  archiveSet,
  own({
    by: oneOf(['type', 'day', 'hour', 'partition', 'file'], {
      default: 'type',
      explanation: 'What a row stands for.',
    }),
  }),
  selectionSet,
  own({ json: json(' a row') }),
  logGroup,
])

export type LsOptions = ValuesOf<typeof lsSet>
