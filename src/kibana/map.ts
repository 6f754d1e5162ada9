import type { DataViewSpec, Reference } from './saved-object.ts'
import { kql } from './saved-object.ts'

/** Records of a data view, by where they are. */
export interface Places {
  readonly dataView: DataViewSpec
  readonly query: string
  readonly field: string
  readonly label: string
}

/** What Kibana keeps of a map, and what the dashboard has to reference for it. */
export interface MapAttributes {
  readonly attributes: Readonly<Record<string, unknown>>
  readonly references: readonly Reference[]
}

const indexReference = 'layer_1_source_index_pattern'

const fixed = (options: Readonly<Record<string, unknown>>) => ({ type: 'STATIC', options })

/** Circles grow and darken with the records in them. */
const clusterStyle = {
  type: 'VECTOR',
  isTimeAware: true,
  properties: {
    icon: fixed({ value: 'marker' }),
    fillColor: {
      type: 'DYNAMIC',
      options: {
        color: 'Blues',
        colorCategory: 'palette_0',
        field: { name: 'doc_count', origin: 'source' },
        fieldMetaOptions: { isEnabled: false, sigma: 3 },
        type: 'ORDINAL',
      },
    },
    lineColor: fixed({ color: '#FFF' }),
    lineWidth: fixed({ size: 1 }),
    iconSize: {
      type: 'DYNAMIC',
      options: {
        minSize: 6,
        maxSize: 26,
        field: { name: 'doc_count', origin: 'source' },
        fieldMetaOptions: { isEnabled: false, sigma: 3 },
      },
    },
    iconOrientation: fixed({ orientation: 0 }),
    labelText: fixed({ value: '' }),
    labelColor: fixed({ color: '#000000' }),
    labelSize: fixed({ size: 14 }),
    labelBorderColor: fixed({ color: '#FFFFFF' }),
    symbolizeAs: { options: { value: 'circle' } },
    labelBorderSize: { options: { size: 'SMALL' } },
  },
}

/** A map of where the records of a field of places are, over Elastic's base map if it is there. */
export function mapAttributes({ dataView, query, field, label }: Places): MapAttributes {
  const layerHead = { alpha: 1, visible: true, minZoom: 0, maxZoom: 24, includeInFitToBounds: true }
  return {
    references: [{ type: 'index-pattern', id: dataView.id, name: indexReference }],
    attributes: {
      title: '',
      description: '',
      mapStateJSON: JSON.stringify({
        adHocDataViews: [],
        zoom: 1,
        center: { lon: 10, lat: 22 },
        timeFilters: { from: 'now-24h', to: 'now' },
        refreshConfig: { isPaused: true, interval: 0 },
        query: kql(''),
        filters: [],
        settings: { autoFitToDataBounds: true, hideToolbarOverlay: true },
      }),
      layerListJSON: JSON.stringify([
        {
          ...layerHead,
          id: 'base',
          type: 'EMS_VECTOR_TILE',
          label: null,
          includeInFitToBounds: false,
          locale: 'autoselect',
          sourceDescriptor: {
            type: 'EMS_TMS',
            isAutoSelect: true,
            lightModeDefault: 'road_map_desaturated',
          },
          style: { type: 'EMS_VECTOR_TILE', color: '' },
        },
        {
          ...layerHead,
          id: 'places',
          type: 'GEOJSON_VECTOR',
          label,
          alpha: 0.85,
          query: kql(query),
          joins: [],
          sourceDescriptor: {
            id: 'places-source',
            type: 'ES_GEO_GRID',
            geoField: field,
            indexPatternRefName: indexReference,
            metrics: [{ type: 'count' }],
            requestType: 'point',
            resolution: 'FINE',
            applyGlobalQuery: true,
            applyGlobalTime: true,
            applyForceRefresh: true,
          },
          style: clusterStyle,
        },
      ]),
      uiStateJSON: JSON.stringify({ isLayerTOCOpen: false, openTOCDetails: [] }),
    },
  }
}
