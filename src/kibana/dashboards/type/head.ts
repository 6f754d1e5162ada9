import type { Panel, Row } from '../../dashboard.ts'
import { count, share, statistic } from '../../lens.ts'
import { markdownName, plainName } from '../../text.ts'
import { overviewId } from '../overview.ts'
import { isBad } from './colors.ts'
import type { DescribedField, DescribedType } from './described.ts'
import { stateNames } from './fields.ts'
import { present } from './find.ts'
import { isOneOf, kqlField, label, ownName } from './names.ts'
import { numberPanel, type Opening, of, type View } from './view.ts'

/** What the type is, in numbers and words. */
export function head(
  view: View,
  opening: Opening | undefined,
  notShown: readonly DescribedField[],
  indexPrefix: string,
): Row {
  const whole = { format: { id: 'number' } } as const
  const keys = { n: statistic('unique_count', 'kafka.key', 'Keys', whole) }
  const numbers = [
    numberPanel(view, 'records', 'Records', { n: count('Records') }, 'of this type'),
    numberPanel(view, 'keys', 'Keys', keys, 'different'),
    ...(opening?.numbers ?? firstMeasure(view)),
    ...present(
      opening?.numbers.some(({ id }) => saysFailures.has(id)) ? undefined : failures(view),
    ),
  ]
  const width = 48 - numbers.reduce((sum, panel) => sum + panel.width, 0)
  const facts = factsOf(view, notShown)
  return {
    height: facts.length > 4 ? 11 : facts.length > 3 ? 10 : 8,
    panels: [
      ...numbers,
      { id: 'about', width, markdown: about(view.described, facts, indexPrefix) },
    ],
  }
}

function firstMeasure(view: View): Panel[] {
  const [measure] = view.sorted.measures
  if (measure === undefined) return []
  const title = label(measure)
  return [numberPanel(view, 'measure', title, { n: of(view, 'median', measure, title) }, 'median')]
}

const saysFailures: ReadonlySet<string> = new Set(['errors', 'failed'])

/** The share of records whose state says that something went wrong. */
function failures(view: View): Panel | undefined {
  const { categories } = view.sorted
  const state = categories.find(
    ({ name, values }) => stateNames.test(name) && values?.some(isBad) === true,
  )
  const success = categories.find(
    ({ kind, name }) => kind === 'boolean' && /(^|[._])(success|succeeded|passed|ok)$/i.test(name),
  )
  if (state !== undefined) {
    const bad = state.values!.filter(isBad)
    const title = plainName(bad.join(', '))
    const columns = share('n', title, isOneOf(state.name, bad), 1)
    return numberPanel(view, 'failed', title, columns, `of ${label(state)}`)
  }
  if (success === undefined) return undefined
  const columns = share('n', 'Failed', `${kqlField(success.name)} : false`, 1)
  return numberPanel(view, 'failed', 'Failed', columns, `no ${label(success)}`)
}

/** What no panel shows, in sentences. */
function factsOf(
  { described, sorted }: View,
  notShown: readonly DescribedField[],
): readonly string[] {
  const { fields, conflicting } = described
  const named = (
    those: readonly Pick<DescribedField, 'name' | 'of'>[],
    sentence: (names: string) => string,
  ): string | undefined => (those.length === 0 ? undefined : sentence(namesOf(those)))
  return present(
    named(
      sorted.unmapped,
      (names) =>
        `Times, numbers or addresses that are mapped as something else: ${names}. \`archiver mapping\` proposes a mapping.`,
    ),
    named(sorted.near, (names) => `Times close to that of the record: ${names}.`),
    named(sorted.oddTimes, (names) => `Times in days, µs or ns, as numbers: ${names}.`),
    named(sorted.identifiers, (names) => `Identifiers: ${names}.`),
    named(sorted.constants, (names) => `Always the same: ${names}.`),
    named(
      conflicting.map((name) => ({ name })),
      (names) => `Of different kinds on different days, so that no panel can show it: ${names}.`,
    ),
    named(notShown, (names) => `Not shown, for there are many: ${names}.`),
    fields.length === 0 ? 'Its values have no fields that are indexed.' : undefined,
  )
}

const maxNames = 4

function namesOf(fields: readonly Pick<DescribedField, 'name' | 'of'>[]): string {
  const shown = fields.slice(0, maxNames).map(({ name, of }) => markdownName(ownName(of ?? name)))
  const more = fields.length - shown.length
  return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

function about(
  { type, fields }: DescribedType,
  facts: readonly string[],
  indexPrefix: string,
): string {
  const own = fields.filter(({ of }) => of === undefined)
  return [
    `Type ${markdownName(type)} · ${own.length} fields · [Archive overview](#/view/${overviewId(indexPrefix)})`,
    '',
    ...facts.map((fact) => `- ${fact}`),
    '- Click a bar to filter, or to see its records in Discover. Made again by `archiver dashboard`, so change a copy.',
  ].join('\n')
}
