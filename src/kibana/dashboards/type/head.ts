import type { Panel, Row } from '../../dashboard.ts'
import { count, statistic } from '../../lens.ts'
import { markdownName } from '../../text.ts'
import { overviewId } from '../overview.ts'
import type { DescribedField } from './described.ts'
import { label, ownName } from './names.ts'
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
  ]
  const width = 48 - numbers.reduce((sum, panel) => sum + panel.width, 0)
  return {
    height: 8,
    panels: [...numbers, { id: 'about', width, markdown: about(view, notShown, indexPrefix) }],
  }
}

function firstMeasure(view: View): Panel[] {
  const [measure] = view.sorted.measures
  if (measure === undefined) return []
  const title = label(measure)
  return [numberPanel(view, 'measure', title, { n: of(view, 'median', measure, title) }, 'median')]
}

function about(
  { described, sorted }: View,
  notShown: readonly DescribedField[],
  indexPrefix: string,
): string {
  const names = (fields: readonly Pick<DescribedField, 'name' | 'of'>[]) => {
    const shown = fields.slice(0, 6).map(({ name, of }) => markdownName(ownName(of ?? name)))
    const more = fields.length - shown.length
    return `${shown.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
  }
  const { type, fields, conflicting } = described
  const facts = [
    sorted.unmapped.length > 0
      ? `Times or numbers, but mapped as something else: ${names(sorted.unmapped)}. \`archiver mapping\` proposes a mapping.`
      : undefined,
    sorted.identifiers.length > 0
      ? `Another value on nearly every record: ${names(sorted.identifiers)}.`
      : undefined,
    sorted.constants.length > 0 ? `Always the same: ${names(sorted.constants)}.` : undefined,
    conflicting.length > 0
      ? `Of different kinds on different days, so that no panel can show it: ${names(conflicting.map((name) => ({ name })))}.`
      : undefined,
    notShown.length > 0 ? `Not shown, for there are many: ${names(notShown)}.` : undefined,
    fields.length === 0 ? 'Its values have no fields that are indexed.' : undefined,
  ].filter((fact) => fact !== undefined)
  return [
    `Type ${markdownName(type)} · ${fields.filter(({ of }) => of === undefined).length} fields · [Archive overview](#/view/${overviewId(indexPrefix)})`,
    '',
    ...facts.map((fact) => `- ${fact}`),
    '- Click a bar to filter, or to see its records in Discover. Made again by `archiver dashboard`, so change a copy.',
  ].join('\n')
}
