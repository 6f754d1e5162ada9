import { typeOfName } from '../../record/type-name.ts'
import { archiveSet, dryRun, json, selectionSet } from '../archive.ts'
import { elasticsearchGroup } from '../elasticsearch.ts'
import { logGroup } from '../log.ts'
import { mysqlGroup } from '../mysql.ts'
import {
  because,
  combine,
  days,
  exclusive,
  flag,
  integer,
  list,
  needed,
  oneOf,
  own,
  pick,
  requires,
  text,
  type ValuesOf,
} from '../options.ts'

export const mappingSet = combine(
  [
    archiveSet,
    own({
      type: text({
        check: (name) => void typeOfName(name),
        explanation: 'Type of messages, as messages spell it, e.g. object.one.',
      }),
      sample: integer({
        min: 1,
        explanation: 'Read about this many records, from all hours, instead of all.',
      }),
    }),
    pick(selectionSet, 'topic', 'partition', 'from'),
    own({
      until: selectionSet.options.to,
      format: oneOf(['duckdb', 'spark', 'json-schema'], {
        explanation: 'Print how another program reads the type, instead of the fields.',
      }),
      to: oneOf(['mysql'], {
        explanation:
          'Print the statement that adds generated columns to --mysql-table, instead of the fields.',
      }),
      json: json(': all facts, and the proposal'),
      apply: flag({
        default: false,
        explanation:
          'Install the proposal as the template of the type, for indices made from then on; show the difference first, and ask.',
      }),
      nested: list({
        placeholder: '<a,b.c,…>',
        explanation: 'Lists of objects to map as nested, by their names below value.',
      }),
      rebuild: days({
        explanation:
          'Make the indices of these days again from the files, with the mapping that is installed. The days are over.',
      }),
      dryRun,
      yes: flag({
        default: false,
        explanation:
          'Do not ask. Without a terminal the command does not ask either: it goes ahead.',
      }),
    }),
    pick(mysqlGroup, 'mysqlTable'),
    elasticsearchGroup,
    logGroup,
  ],
  [
    because('which type of messages?', needed('type')),
    exclusive('format', 'to', 'json', 'apply'),
    exclusive('format', 'to', 'json', 'rebuild'),
    requires(['apply', 'rebuild'], 'elasticsearch'),
    requires(['nested'], 'apply'),
  ],
)

export type MappingOptions = ValuesOf<typeof mappingSet>
