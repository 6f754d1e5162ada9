import { archiveSet, selectionSet } from '../archive.ts'
import { logGroup } from '../log.ts'
import { combine, flag, integer, oneOf, own, text, type ValuesOf } from '../options.ts'

export const catSet = combine([
  archiveSet,
  selectionSet,
  own({
    offset: integer({
      min: 0,
      explanation: 'Only the record of this offset; with --topic and --partition.',
    }),
    where: text({
      placeholder: '<field=value>',
      explanation:
        'Only records with this field, e.g. value.user.id=u1, value.amount>=100 or kafka.key!=k1.',
    }),
    order: oneOf(['oldest', 'newest'], {
      default: 'oldest',
      explanation: 'Which records come first.',
    }),
    limit: integer({ min: 1, explanation: 'Maximum number of records.' }),
    valueOnly: flag({ default: false, explanation: "Print the producers' values alone." }),
    strict: flag({
      default: false,
      explanation:
        'Leave out records that are valid JSON but that strict readers refuse, name them on standard error, and exit with 1 if there were any.',
    }),
  }),
  logGroup,
])

export type CatOptions = ValuesOf<typeof catSet>
