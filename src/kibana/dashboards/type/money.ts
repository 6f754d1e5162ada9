import type { Panel, Row } from '../../dashboard.ts'
import { count, table, xy } from '../../lens.ts'
import type { DescribedField, NumberField } from './described.ts'
import { stateNames } from './fields.ts'
import { currencyOf, measureOf, present } from './find.ts'
import { overTime } from './generic.ts'
import { label } from './names.ts'
import { numberPanel, type Opening, of, topOf, type View } from './view.ts'

/** Orders, payments, invoices: an amount of money, in one currency or in several. */
export function money(view: View): Opening | undefined {
  const amount = measureOf(view, 'money')
  const currency = currencyOf(view)
  if (amount === undefined || currency === undefined) return undefined
  const state = view.sorted.categories.find(
    ({ kind, name, distinct }) => kind === 'string' && stateNames.test(name) && distinct <= 30,
  )
  const isMixed = currency.distinct > 1
  const sum = { n: of(view, 'sum', amount, label(amount)) }
  const over = overTime(view, state ?? currency, 28)
  return {
    controls: present(state, currency),
    // Of several currencies, its distribution and its course mean nothing either.
    shown: present(currency, state, isMixed ? amount : undefined),
    // A sum of several currencies means nothing.
    numbers: isMixed ? [] : [numberPanel(view, 'sum', `Sum of ${label(amount)}`, sum, 'in all')],
    rows: [
      {
        height: over.height,
        panels: [...over.panels, amounts(view, amount, currency, 20)],
      },
      ...(state === undefined
        ? []
        : [{ height: 12, panels: byState(view, amount, currency, state) }]),
    ],
  }
}

/** What each currency comes to. */
function amounts(view: View, amount: NumberField, currency: DescribedField, width: number): Panel {
  return {
    id: 'currencies',
    title: `${label(amount)} by ${label(currency)}`,
    width,
    chart: table({
      ...view.source,
      columns: {
        currency: topOf(currency, { by: 'n', size: 15 }),
        n: count('Records'),
        sum: of(view, 'sum', amount, 'Sum'),
        median: of(view, 'median', amount, 'Median'),
        max: of(view, 'max', amount, 'Most'),
      },
      sortBy: 'n',
      widths: { n: 105, sum: 145, median: 100, max: 115 },
    }),
  }
}

function byState(
  view: View,
  amount: NumberField,
  currency: DescribedField,
  state: DescribedField,
): Panel[] {
  return [
    {
      id: 'states',
      title: `Records by ${label(state)} and ${label(currency)}`,
      width: 20,
      chart: xy({
        ...view.source,
        columns: {
          state: topOf(state, { by: 'n', size: 12 }),
          currency: topOf(currency, { by: 'n', size: 9, other: true }),
          n: count(),
        },
        as: 'bar_horizontal_stacked',
        x: 'state',
        y: ['n'],
        split: 'currency',
      }),
    },
    {
      id: 'state-amounts',
      title: `${label(amount)} by ${label(currency)} and ${label(state)}`,
      width: 28,
      chart: table({
        ...view.source,
        columns: {
          currency: topOf(currency, { by: 'n', size: 10 }),
          state: topOf(state, { by: 'n', size: 12 }),
          n: count('Records'),
          sum: of(view, 'sum', amount, 'Sum'),
          median: of(view, 'median', amount, 'Median'),
        },
        widths: { n: 105, sum: 145, median: 110 },
      }),
    },
  ]
}

const mostAmounts = 5

/**
 * What other amounts are, by currency. Over several currencies at once, a distribution or a mean
 * is of no amount at all.
 */
export function amountsRow(
  view: View,
  amounts: readonly NumberField[],
  currency: DescribedField,
): Row | undefined {
  const shown = amounts.slice(0, mostAmounts)
  const [only] = shown
  if (only === undefined) return undefined
  const medians = Object.fromEntries(
    shown.map((field, i) => [`median${i}`, of(view, 'median', field, label(field))]),
  )
  const alone = {
    median: of(view, 'median', only, 'Median'),
    p95: of(view, { percentile: 95 }, only, '95 %'),
    max: of(view, 'max', only, 'Most'),
  }
  const isOne = shown.length === 1
  return {
    height: 11,
    panels: [
      {
        id: 'amounts',
        title: isOne
          ? `${label(only)} by ${label(currency)}`
          : `Amounts by ${label(currency)}: medians`,
        width: 48,
        chart: table({
          ...view.source,
          columns: {
            currency: topOf(currency, { by: 'n', size: 10 }),
            n: count('Records'),
            ...(isOne ? alone : medians),
          },
          sortBy: 'n',
        }),
      },
    ],
  }
}
