import type { Panel, Row } from '../../dashboard.ts'
import type { Column, Columns, Statistic, TopOptions } from '../../lens.ts'
import { number, statistic, top } from '../../lens.ts'
import type { DataViewSpec } from '../../saved-object.ts'
import type { DescribedField, DescribedType, NumberField } from './described.ts'
import type { SortedFields } from './fields.ts'
import { formatOf } from './formats.ts'
import { isOneOf, label } from './names.ts'

/** What panels of a type are made from. */
export interface View {
  /** The data view and the query that every panel has. */
  readonly source: { readonly dataView: DataViewSpec; readonly query: string }
  /** The data view of this type and of all that have the same envelope. */
  readonly family: DataViewSpec
  readonly described: DescribedType
  readonly sorted: SortedFields
}

/** Rows of panels that one kind of messages has before all others, and its numbers at the top. */
export interface Opening {
  readonly numbers: readonly Panel[]
  readonly rows: readonly Row[]
  /** Fields that are chosen above the panels, before all others. */
  readonly controls: readonly DescribedField[]
  /** Fields that these panels show, so that no other panel has to. */
  readonly shown: readonly DescribedField[]
}

/** A statistic of a numeric field, in the field's own unit. */
export function of({ sorted }: View, what: Statistic, field: NumberField, title: string): Column {
  return statistic(what, field.name, title, { format: formatOf(field, sorted.roleOf(field)) })
}

/** The top values of a field. */
export function topOf(field: DescribedField, options: TopOptions = {}): Column {
  const { kind, name } = field
  const dataType = kind === 'date' || kind === 'place' ? 'string' : kind
  return top(name, label(field), { dataType, ...options })
}

/** A panel with one large number: that of the column `n`. */
export function numberPanel(
  { source }: View,
  id: string,
  title: string,
  columns: Columns,
  subtitle: string,
  color?: string,
): Panel {
  const options = { ...source, columns, value: 'n', subtitle }
  const chart = number(color === undefined ? options : { ...options, color })
  return { id, title, width: 6, chart }
}

/** The same for all types of the family, in a data view of their indices. */
export function familyView(view: View): View {
  const types = (view.described.family ?? []).map(({ type }) => type)
  return { ...view, source: { dataView: view.family, query: isOneOf('type', types) } }
}

/** A query that narrows the panels' own. */
export function narrowed({ source }: View, query: string): View['source'] {
  return { ...source, query: `${source.query} and (${query})` }
}
