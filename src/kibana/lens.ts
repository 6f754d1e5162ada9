import type { DataViewSpec, FieldFormat, Kql, Reference } from './saved-object.ts'
import { kql } from './saved-object.ts'

/** One column of a layer: how records are grouped, or what is computed of a group. */
export interface Column {
  readonly label: string
  readonly customLabel: true
  readonly dataType: 'string' | 'number' | 'date' | 'boolean' | 'ip'
  readonly isBucketed: boolean
  readonly scale: 'ordinal' | 'interval' | 'ratio'
  readonly operationType: string
  readonly sourceField?: string
  readonly params?: Readonly<Record<string, unknown>>
  readonly filter?: Kql
  /** The value per second (`s`) instead of per group. */
  readonly timeScale?: 's'
  /** Only the last part of the time range: the current value. */
  readonly reducedTimeRange?: string
  readonly references?: readonly string[]
}

export type Columns = Readonly<Record<string, Column>>

/** Options of every computed column besides its field. */
export interface MetricOptions {
  readonly format?: FieldFormat
  readonly filter?: string
  readonly perSecond?: boolean
  /** `5m`: the value over the last five minutes of the time range. */
  readonly last?: string
  /** A date instead of a number. */
  readonly date?: boolean
}

function metric(
  operationType: string,
  sourceField: string,
  label: string,
  { format, filter, perSecond, last, date }: MetricOptions,
  params: Readonly<Record<string, unknown>> = {},
): Column {
  return {
    label,
    customLabel: true,
    dataType: date === true ? 'date' : 'number',
    isBucketed: false,
    scale: 'ratio',
    operationType,
    sourceField,
    params: {
      emptyAsNull: false,
      ...params,
      ...(format === undefined ? {} : { format: formatOf(format) }),
    },
    ...(filter === undefined ? {} : { filter: kql(filter) }),
    ...(perSecond === true ? { timeScale: 's' } : {}),
    ...(last === undefined ? {} : { reducedTimeRange: last }),
  }
}

/** Lens has names of its own for the parameters of a duration. */
function formatOf({ id, params = {} }: FieldFormat): Readonly<Record<string, unknown>> {
  if (id !== 'duration') return { id, params: { decimals: 0, ...params } }
  const { inputFormat, outputFormat, outputPrecision, useShortSuffix } = params
  return {
    id,
    params: {
      fromUnit: inputFormat,
      toUnit: outputFormat,
      decimals: outputPrecision,
      compact: useShortSuffix,
    },
  }
}

/** How many records. */
export function count(label = 'Records', options: MetricOptions = {}): Column {
  return metric('count', '___records___', label, { format: { id: 'number' }, ...options })
}

export type Statistic =
  | 'sum'
  | 'average'
  | 'min'
  | 'max'
  | 'median'
  | 'unique_count'
  | 'standard_deviation'
  | { percentile: number }

/** A statistic of a field. */
export function statistic(
  of: Statistic,
  field: string,
  label: string,
  options: MetricOptions = {},
): Column {
  if (typeof of === 'string') return metric(of, field, label, options)
  return metric('percentile', field, label, options, { percentile: of.percentile })
}

/**
 * The share of records that a query finds, as columns `id`, `id-part`, `id-all` and `id-math`: Lens
 * keeps a formula as its text and as the columns that it was compiled to.
 */
export function share(id: string, label: string, query: string, decimals = 2): Columns {
  const formula = `count(kql='${query.replaceAll("'", "\\'")}') / count()`
  const helper = `Part of ${formula}`
  const hidden = { emptyAsNull: false }
  return computed(id, label, {
    formula,
    operation: 'divide',
    part: { ...count(helper), params: hidden, filter: kql(query) },
    all: { ...count(helper), params: hidden },
    format: { id: 'percent', params: { decimals } },
  })
}

/** The difference of the means of two numeric fields, over records that have both. */
export function meanDifference(
  id: string,
  label: string,
  [minuend, subtrahend]: readonly [string, string],
  { format }: Required<Pick<MetricOptions, 'format'>>,
): Columns {
  const quotedName = (field: string) => (/^[\w.]+$/.test(field) ? field : JSON.stringify(field))
  const formula = `average(${quotedName(minuend)}) - average(${quotedName(subtrahend)})`
  const mean = (field: string) => statistic('average', field, `Part of ${formula}`)
  return computed(id, label, {
    formula,
    operation: 'subtract',
    part: mean(minuend),
    all: mean(subtrahend),
    format: formatOf(format),
  })
}

/** A formula of two columns. */
function computed(
  id: string,
  label: string,
  {
    formula,
    operation,
    part,
    all,
    format,
  }: {
    readonly formula: string
    readonly operation: 'divide' | 'subtract'
    readonly part: Column
    readonly all: Column
    readonly format: Readonly<Record<string, unknown>>
  },
): Columns {
  const args = [`${id}-part`, `${id}-all`] as const
  const math = `${id}-math`
  const shown = { label, customLabel: true, dataType: 'number', isBucketed: false } as const
  return {
    [id]: {
      ...shown,
      scale: 'ratio',
      operationType: 'formula',
      params: { formula, isFormulaBroken: false, format },
      references: [math],
    },
    [args[0]]: part,
    [args[1]]: all,
    [math]: {
      ...shown,
      label: `Part of ${formula}`,
      scale: 'ratio',
      operationType: 'math',
      params: {
        tinymathAst: {
          type: 'function',
          name: operation,
          args,
          location: { min: 0, max: formula.length },
          text: formula,
        },
      },
      references: args,
    },
  }
}

/**
 * Groups of time; their width follows the time range unless it is given. Over a field of its own,
 * empty groups are left out: the range of the dashboard says nothing about them.
 */
export function byTime(interval = 'auto', field = '@timestamp', label = 'Time'): Column {
  const isOfRecord = field === '@timestamp'
  return {
    label,
    customLabel: true,
    dataType: 'date',
    isBucketed: true,
    scale: 'interval',
    operationType: 'date_histogram',
    sourceField: field,
    params: {
      interval,
      includeEmptyRows: isOfRecord,
      dropPartials: false,
      // Otherwise the range of the dashboard is that of this field, and no longer of the records.
      ...(isOfRecord ? {} : { ignoreTimeRange: true }),
    },
  }
}

export interface TopOptions {
  readonly size?: number
  /**
   * The column that orders the values, the largest first. Without it, the values themselves in
   * ascending order.
   */
  readonly by?: string
  readonly other?: boolean
  /**
   * Records without the field are a group of their own; Kibana shows it only together with `other`.
   */
  readonly missing?: boolean
  readonly dataType?: 'string' | 'number' | 'boolean' | 'ip'
}

/** The top values of a field. */
export function top(field: string, label: string, options: TopOptions = {}): Column {
  const { size = 10, by, other = false, missing = false, dataType = 'string' } = options
  return {
    label,
    customLabel: true,
    dataType,
    isBucketed: true,
    scale: 'ordinal',
    operationType: 'terms',
    sourceField: field,
    params: {
      size,
      orderBy:
        by === undefined
          ? { type: 'alphabetical', fallback: false }
          : { type: 'column', columnId: by },
      orderDirection: by === undefined ? 'asc' : 'desc',
      otherBucket: other,
      missingBucket: missing,
      parentFormat: { id: 'terms' },
      include: [],
      exclude: [],
      includeIsRegex: false,
      excludeIsRegex: false,
    },
  }
}

/** One group a query. */
export function byQuery(label: string, queries: Readonly<Record<string, string>>): Column {
  return {
    label,
    customLabel: true,
    dataType: 'string',
    isBucketed: true,
    scale: 'ordinal',
    operationType: 'filters',
    params: {
      filters: Object.entries(queries).map(([name, query]) => ({ label: name, input: kql(query) })),
    },
  }
}

/** A range of numbers, `[from, to)`; null is without a bound. */
export interface Bin {
  readonly from: number | null
  readonly to: number | null
  readonly label: string
}

/** One group a range of numbers. Their labels are our own: Kibana writes `NaN y` for infinity. */
export function byRange(field: string, label: string, bins: readonly Bin[]): Column {
  return {
    label,
    customLabel: true,
    dataType: 'string',
    isBucketed: true,
    scale: 'ordinal',
    operationType: 'range',
    sourceField: field,
    params: {
      type: 'range',
      ranges: bins,
      maxBars: 'auto',
      parentFormat: { id: 'range', params: { template: 'arrow_right', replaceInfinity: true } },
    },
  }
}

/** One group a range of numbers, which Kibana chooses from the smallest to the largest. */
export function byHistogram(field: string, label: string): Column {
  return {
    label,
    customLabel: true,
    dataType: 'number',
    isBucketed: true,
    scale: 'interval',
    operationType: 'range',
    sourceField: field,
    params: {
      type: 'histogram',
      ranges: [{ from: 0, to: 1000, label: '' }],
      maxBars: 'auto',
      includeEmptyRows: true,
    },
  }
}

/** A layer: columns over the records of a data view. */
interface Layer {
  readonly dataView: DataViewSpec
  readonly columns: Columns
}

/**
 * A chart: what a panel shows. Every chart of ours has one layer, so that it can be explored in
 * Discover.
 */
export interface Chart extends Layer {
  readonly visualizationType: 'lnsXY' | 'lnsMetric' | 'lnsPie' | 'lnsDatatable'
  readonly visualization: Readonly<Record<string, unknown>>
  readonly query: string
  readonly span: Span | undefined
}

/**
 * Limits a date field, whatever formats its mapping reads: a query in KQL would have to be written
 * in one of them.
 */
export interface Span {
  readonly field: string
  /** Moments in ISO 8601, or relative to now: `now-7d`. */
  readonly from?: string
  readonly to?: string
}

const quietColor = '#b0b9c6'

const layerId = 'layer'
const layerReferenceName = `indexpattern-datasource-layer-${layerId}`
const layerHead = { layerId, layerType: 'data' } as const

type Source = {
  readonly dataView: DataViewSpec
  readonly columns: Columns
  readonly query?: string
  readonly span?: Span
}

function chart(
  source: Source,
  visualizationType: Chart['visualizationType'],
  visualization: Readonly<Record<string, unknown>>,
): Chart {
  return {
    dataView: source.dataView,
    columns: source.columns,
    query: source.query ?? '',
    span: source.span,
    visualizationType,
    visualization,
  }
}

export interface XyOptions extends Source {
  readonly as:
    | 'bar'
    | 'bar_stacked'
    | 'bar_horizontal'
    | 'bar_horizontal_stacked'
    | 'line'
    | 'area'
    | 'area_stacked'
  /** The columns of the two axes and of the series. */
  readonly x: string
  readonly y: readonly string[]
  readonly split?: string
  readonly legend?: 'right' | 'bottom' | 'none'
  /** Room for names that are long. */
  readonly wideLegend?: boolean
  /** The title of the vertical axis; none if the panel's title says it. */
  readonly yTitle?: string
  readonly colors?: Readonly<Record<string, string>>
  /** Colors of the values that `split` groups by; all others are gray. */
  readonly valueColors?: Readonly<Record<string, string>> | undefined
}

export function xy(options: XyOptions): Chart {
  const {
    as,
    x,
    y,
    split,
    legend = 'right',
    wideLegend = false,
    yTitle,
    colors = {},
    valueColors,
  } = options
  return chart(options, 'lnsXY', {
    legend: {
      isVisible: legend !== 'none',
      position: legend === 'none' ? 'right' : legend,
      showSingleSeries: wideLegend,
      ...(wideLegend ? { legendSize: 'large', maxLines: 2 } : {}),
    },
    valueLabels: 'hide',
    fittingFunction: 'Linear',
    emphasizeFitting: true,
    ...(yTitle === undefined ? {} : { yTitle }),
    preferredSeriesType: as,
    axisTitlesVisibilitySettings: { x: false, yLeft: yTitle !== undefined, yRight: false },
    tickLabelsVisibilitySettings: { x: true, yLeft: true, yRight: true },
    labelsOrientation: { x: 0, yLeft: 0, yRight: 0 },
    gridlinesVisibilitySettings: { x: false, yLeft: true, yRight: false },
    layers: [
      {
        ...layerHead,
        seriesType: as,
        position: 'top',
        showGridlines: false,
        xAccessor: x,
        ...(split === undefined ? {} : { splitAccessor: split }),
        accessors: y,
        ...(valueColors === undefined ? {} : { colorMapping: colorMapping(valueColors) }),
        yConfig: Object.entries(colors).map(([forAccessor, color]) => ({ forAccessor, color })),
      },
    ],
  })
}

function colorMapping(colors: Readonly<Record<string, string>>): Readonly<Record<string, unknown>> {
  const fixed = (colorCode: string) => ({ type: 'colorCode', colorCode })
  return {
    assignmentMode: 'manual',
    assignments: Object.entries(colors).map(([value, color]) => ({
      rule: { type: 'matchExactly', values: [value] },
      color: fixed(color),
      touched: true,
    })),
    specialAssignments: [{ rule: { type: 'other' }, color: fixed(quietColor), touched: true }],
    paletteId: 'eui_amsterdam_color_blind',
    colorMode: { type: 'categorical' },
  }
}

/** One large number. */
export function number(
  options: Source & { readonly value: string; readonly subtitle?: string; readonly color?: string },
): Chart {
  const { value, subtitle, color } = options
  return chart(options, 'lnsMetric', {
    ...layerHead,
    metricAccessor: value,
    ...(subtitle === undefined ? {} : { subtitle }),
    ...(color === undefined ? {} : { color }),
  })
}

export function donut(
  options: Source & { readonly groups: readonly string[]; readonly size: string },
): Chart {
  return chart(options, 'lnsPie', {
    shape: 'donut',
    layers: [
      {
        ...layerHead,
        primaryGroups: options.groups,
        metrics: [options.size],
        numberDisplay: 'percent',
        categoryDisplay: 'default',
        legendDisplay: 'show',
        legendPosition: 'right',
        legendMaxLines: 1,
        nestedLegend: false,
        emptySizeRatio: 0.54,
      },
    ],
  })
}

export interface TableOptions extends Source {
  /** Which columns, in this order. If it is absent: all, except those that formulas need. */
  readonly sortBy?: string
  readonly direction?: 'asc' | 'desc'
  readonly widths?: Readonly<Record<string, number>>
  readonly pageSize?: number
}

export function table(options: TableOptions): Chart {
  const { columns, sortBy, direction = 'desc', widths = {}, pageSize } = options
  const shown = Object.keys(columns).filter((id) => !/-(part|all|math)$/.test(id))
  return chart(options, 'lnsDatatable', {
    ...layerHead,
    columns: shown.map((columnId) => ({
      columnId,
      isTransposed: false,
      ...(widths[columnId] === undefined ? {} : { width: widths[columnId] }),
    })),
    ...(sortBy === undefined ? {} : { sorting: { columnId: sortBy, direction } }),
    ...(pageSize === undefined ? {} : { paging: { enabled: true, size: pageSize } }),
    rowHeight: 'single',
    rowHeightLines: 1,
    headerRowHeight: 'auto',
  })
}

function filterOf({ field, from, to }: Span): Readonly<Record<string, unknown>> {
  const bounds = {
    ...(from === undefined ? {} : { gte: from }),
    ...(to === undefined ? {} : { lte: to }),
  }
  return {
    meta: { alias: null, disabled: false, negate: false, type: 'custom', key: 'query' },
    query: { range: { [field]: { ...bounds, format: 'strict_date_optional_time' } } },
    $state: { store: 'appState' },
  }
}

/** The attributes of a chart inside a panel, and what the dashboard has to reference for it. */
export function chartAttributes(chart: Chart): {
  readonly attributes: Readonly<Record<string, unknown>>
  readonly references: readonly Reference[]
} {
  const { dataView, columns, query, span, visualizationType, visualization } = chart
  const ids = Object.keys(columns)
  const references = [{ type: 'index-pattern', id: dataView.id, name: layerReferenceName }]
  return {
    references,
    attributes: {
      title: '',
      description: '',
      type: 'lens',
      visualizationType,
      references,
      state: {
        visualization,
        query: kql(query),
        filters: span === undefined ? [] : [filterOf(span)],
        internalReferences: [],
        adHocDataViews: {},
        datasourceStates: {
          formBased: {
            layers: {
              [layerId]: {
                columns,
                // Groups come first, in the order in which they nest.
                columnOrder: [
                  ...ids.filter((id) => columns[id]!.isBucketed),
                  ...ids.filter((id) => !columns[id]!.isBucketed),
                ],
                incompleteColumns: {},
                sampling: 1,
                ignoreGlobalFilters: false,
              },
            },
          },
        },
      },
    },
  }
}
