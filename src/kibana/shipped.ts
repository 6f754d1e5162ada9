import { operationsDashboard } from './dashboards/operations.ts'
import { archiveSearches, overviewDashboard } from './dashboards/overview.ts'
import { archiveDataViews, statusDataView } from './data-views.ts'
import { dataViewObject, type SavedObject } from './saved-object.ts'

/** All saved objects of an archive, each after what it needs. */
export function shippedObjects(indexPrefix: string): readonly SavedObject[] {
  return [
    ...Object.values(archiveDataViews(indexPrefix)).map(dataViewObject),
    dataViewObject(statusDataView),
    ...Object.values(archiveSearches(indexPrefix)),
    overviewDashboard(indexPrefix),
    operationsDashboard(indexPrefix),
  ]
}
