import { type Chart, chartAttributes } from './lens.ts'
import { mapAttributes, type Places } from './map.ts'
import {
  type DataViewSpec,
  kql,
  markedObject,
  type Reference,
  type SavedObject,
} from './saved-object.ts'

/** What a panel shows, under its title. */
export type Panel = {
  /** A permanent name of the panel: the same when the dashboard is rebuilt. */
  readonly id: string
  /** Columns of the 48 that a dashboard has. */
  readonly width: number
} & (
  | { readonly title: string; readonly description?: string; readonly chart: Chart }
  | { readonly title: string; readonly search: { readonly id: string } }
  | { readonly title: string; readonly map: Places }
  | { readonly markdown: string }
)

/** Panels side by side, of one height. Their widths add up to at most 48. */
export interface Row {
  /** In units of 20 pixels. */
  readonly height: number
  readonly panels: readonly Panel[]
}

/** A list above the panels in which values of a field are chosen. */
export interface Control {
  /** A permanent name of the control. Kibana separates its references by colons, so it has none. */
  readonly id: string
  readonly field: string
  readonly title: string
  readonly dataView: DataViewSpec
}

export interface Dashboard {
  readonly id: string
  readonly title: string
  readonly description: string
  readonly from: string
  readonly to: string
  /** In seconds; paused if it is absent. */
  readonly refreshEvery?: number
  /** What all panels are limited to. */
  readonly query?: string
  readonly controls: readonly Control[]
  readonly rows: readonly Row[]
}

const gridColumns = 48

/** A click on a bar, a slice or a row offers its records in Discover. */
const openInDiscover = {
  eventId: 'open-in-discover',
  triggers: ['FILTER_TRIGGER'],
  action: {
    factoryId: 'OPEN_IN_DISCOVER_DRILLDOWN',
    name: 'Show these records in Discover',
    config: { openInNewTab: false },
  },
}

export function dashboardObject(dashboard: Dashboard): SavedObject {
  const panels: unknown[] = []
  const references: Reference[] = []
  let y = 0
  for (const { height, panels: inRow } of dashboard.rows) {
    let x = 0
    for (const panel of inRow) {
      const { id, width } = panel
      if (x + width > gridColumns)
        throw new Error(`${dashboard.id}: the row of panel ${id} is wider than ${gridColumns}`)
      const { content, needs } = panelContent(panel)
      panels.push({ panelIndex: id, gridData: { x, y, w: width, h: height, i: id }, ...content })
      references.push(...needs)
      x += width
    }
    y += height
  }
  const controls: Record<string, unknown> = {}
  dashboard.controls.forEach(({ id, field, title, dataView }, order) => {
    controls[id] = {
      type: 'optionsListControl',
      order,
      width: 'medium',
      grow: true,
      explicitInput: {
        id,
        fieldName: field,
        title,
        searchTechnique: 'prefix',
        selectedOptions: [],
        enhancements: {},
      },
    }
    references.push({
      type: 'index-pattern',
      id: dataView.id,
      name: `controlGroup_${id}:optionsListDataView`,
    })
  })
  const { id, title, description, from, to, refreshEvery, query = '' } = dashboard
  return markedObject(
    'dashboard',
    id,
    {
      title,
      description,
      version: 1,
      timeRestore: true,
      timeFrom: from,
      timeTo: to,
      refreshInterval: { pause: refreshEvery === undefined, value: (refreshEvery ?? 60) * 1000 },
      optionsJSON: JSON.stringify({
        useMargins: true,
        // Panels take colors in the order in which they are drawn: they would change at each load.
        syncColors: false,
        syncCursor: true,
        syncTooltips: false,
        hidePanelTitles: false,
      }),
      kibanaSavedObjectMeta: {
        searchSourceJSON: JSON.stringify({ query: kql(query), filter: [] }),
      },
      controlGroupInput: {
        controlStyle: 'oneLine',
        chainingSystem: 'HIERARCHICAL',
        ignoreParentSettingsJSON: JSON.stringify({
          ignoreFilters: false,
          ignoreQuery: false,
          ignoreTimerange: false,
          ignoreValidations: false,
        }),
        panelsJSON: JSON.stringify(controls),
      },
      panelsJSON: JSON.stringify(panels),
    },
    references,
  )
}

/**
 * What Kibana keeps of a panel, and the dashboard's references for it: each name begins with the
 * panel's.
 */
function panelContent(panel: Panel): {
  readonly content: Readonly<Record<string, unknown>>
  readonly needs: readonly Reference[]
} {
  const { id } = panel
  if ('markdown' in panel) return { content: markdownContent(panel.markdown), needs: [] }
  if ('search' in panel) {
    return {
      content: {
        type: 'search',
        title: panel.title,
        embeddableConfig: { enhancements: {} },
        panelRefName: `panel_${id}`,
      },
      needs: [{ type: 'search', id: panel.search.id, name: `${id}:panel_${id}` }],
    }
  }
  const ofPanel = (references: readonly Reference[]) =>
    references.map((reference) => ({ ...reference, name: `${id}:${reference.name}` }))
  if ('map' in panel) {
    const { attributes, references } = mapAttributes(panel.map)
    return {
      content: {
        type: 'map',
        title: panel.title,
        embeddableConfig: { attributes, isLayerTOCOpen: false, enhancements: {} },
      },
      needs: ofPanel(references),
    }
  }
  const { attributes, references } = chartAttributes(panel.chart)
  const isNumber = panel.chart.visualizationType === 'lnsMetric'
  return {
    content: {
      type: 'lens',
      title: panel.title,
      embeddableConfig: {
        attributes,
        hidePanelTitles: isNumber,
        ...(panel.description === undefined ? {} : { description: panel.description }),
        enhancements: isNumber ? {} : { dynamicActions: { events: [openInDiscover] } },
      },
    },
    needs: ofPanel(references),
  }
}

function markdownContent(markdown: string): Readonly<Record<string, unknown>> {
  return {
    type: 'visualization',
    embeddableConfig: {
      hidePanelTitles: true,
      enhancements: {},
      savedVis: {
        id: '',
        title: '',
        description: '',
        type: 'markdown',
        params: { fontSize: 12, openLinksInNewTab: false, markdown },
        uiState: {},
        data: { aggs: [], searchSource: { query: kql(''), filter: [] } },
      },
    },
  }
}
