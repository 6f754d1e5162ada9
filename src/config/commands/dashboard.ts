import { nameOfType, typeOfName } from '../../record/type-name.ts'
import { json } from '../archive.ts'
import { elasticsearchGroup } from '../elasticsearch.ts'
import { kibanaGroup } from '../kibana.ts'
import { logGroup } from '../log.ts'
import {
  because,
  combine,
  exclusive,
  file,
  needed,
  own,
  requires,
  text,
  that,
  type ValuesOf,
} from '../options.ts'

export const dashboardSet = combine(
  [
    own({
      type: text({
        check: checkType,
        explanation: 'Type of messages, as messages spell it, e.g. object.one.',
      }),
    }),
    elasticsearchGroup,
    kibanaGroup,
    own({
      out: file({
        explanation: 'File for an import by hand.',
      }),
      json: json(' a line'),
    }),
    logGroup,
  ],
  [
    because('a dashboard for which type of messages?', needed('type')),
    because('where is the dashboard to go?', needed('kibana', 'out')),
    exclusive('kibana', 'out'),
    // Kibana refuses a file of another name.
    requires(
      ['out'],
      that('out', 'a name that ends in .ndjson', (path: string) => path.endsWith('.ndjson')),
    ),
    because('what is in the fields of this type?', needed('elasticsearch')),
  ],
)

export type DashboardOptions = ValuesOf<typeof dashboardSet>

/** @throws Error whose message says what is allowed. */
function checkType(text: string): void {
  const { name, reserved } = typeOfName(text)
  if (!reserved) return
  const spelled = nameOfType({ name, reserved: false })
  throw new Error(
    `a type with fields of its own; records that are ${name} have none, and a type that messages call ${name} is ${spelled}`,
  )
}
