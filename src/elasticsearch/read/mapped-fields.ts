import { anything, each, object, optional } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { guarded } from '../client/guarded.ts'

const capsShape = object({ fields: optional(each(each(anything))) })

/**
 * How the fields below `value` are mapped in some indices: the kinds of each field, several when
 * indices disagree. By name without `value.`. @param patterns of the indices
 * @throws ArchiverError `UNREACHABLE`
 */
export async function readMappedFields(
  client: Elasticsearch,
  patterns: readonly string[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  if (patterns.length === 0) return new Map()
  const { body } = await guarded(() =>
    client.request<{
      readonly fields?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
    }>('GET', [patterns.join(','), '_field_caps'], {
      query: {
        ignore_unavailable: 'true',
        allow_no_indices: 'true',
        fields: 'value.*',
        filters: '-metadata,-multifield',
      },
      shape: capsShape,
    }),
  )
  return new Map(
    Object.entries(body.fields ?? {}).map(([name, kinds]) => [
      name.slice('value.'.length),
      Object.keys(kinds).filter((kind) => kind !== 'unmapped'),
    ]),
  )
}
