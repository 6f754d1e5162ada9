import { anything, each, object, optional } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { guarded } from '../client/guarded.ts'

const capsShape = object({ fields: optional(each(each(anything))) })

/**
 * How the fields below `value` are mapped in some indices: the kinds of each field, several when
 * indices disagree. A keyword that has words beside it in some index is `keyword+text`. By name
 * without `value.`. @param patterns of the indices
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
        filters: '-metadata',
      },
      shape: capsShape,
    }),
  )
  const caps = new Map(
    Object.entries(body.fields ?? {}).map(([name, kinds]) => [
      name.slice('value.'.length),
      Object.keys(kinds).filter((kind) => kind !== 'unmapped'),
    ]),
  )
  const isSubField = (name: string) => {
    const dot = name.lastIndexOf('.')
    const parent = dot === -1 ? undefined : caps.get(name.slice(0, dot))
    return parent !== undefined && !parent.some((kind) => kind === 'object' || kind === 'nested')
  }
  return new Map(
    [...caps]
      .filter(([name]) => !isSubField(name))
      .map(([name, kinds]) => [name, kinds.map((kind) => withSubFields(kind, name, caps))]),
  )
}

/** As the report calls a field with sub-fields of the archive: for words, and for a time. */
function withSubFields(
  kind: string,
  name: string,
  caps: ReadonlyMap<string, readonly string[]>,
): string {
  const words = kind === 'keyword' && caps.get(`${name}.text`)?.includes('text') === true
  const time = caps.get(`${name}.date`)?.includes('date') === true
  const isScalar = kind === 'keyword' || kind === 'double' || kind === 'long'
  return `${kind}${words ? '+text' : ''}${time && isScalar ? ' + date' : ''}`
}
