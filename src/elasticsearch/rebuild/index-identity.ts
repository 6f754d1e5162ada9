import { anything, each, object, optional, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { guarded } from '../client/guarded.ts'

/** What tells an index from another one of the same name, and what somebody did to it. */
interface Identity {
  readonly uuid: string
  readonly isBlocked: boolean
  readonly isClosed: boolean
}

interface Settings {
  readonly settings: {
    readonly index: {
      readonly uuid: string
      readonly blocks?: { readonly write?: unknown }
      /** Of each index that is closed. */
      readonly verified_before_close?: unknown
    }
  }
}

/** Of those that are there. @throws ArchiverError `UNREACHABLE` */
export async function identitiesOf(
  client: Elasticsearch,
  indices: readonly string[],
): Promise<ReadonlyMap<string, Identity>> {
  if (indices.length === 0) return new Map()
  const paths = ['uuid', 'blocks', 'verified_before_close']
  const { body } = await guarded(() =>
    client.request<Readonly<Record<string, Settings>> | undefined>(
      'GET',
      [indices.join(','), '_settings'],
      {
        query: {
          filter_path: paths.map((path) => `*.settings.index.${path}`).join(','),
          ignore_unavailable: 'true',
        },
        shape: optional(each(object({ settings: object({ index: object({ uuid: text }) }) }))),
      },
    ),
  )
  const identities = Object.entries(body ?? {}).map(([index, { settings }]) => {
    const { uuid, blocks, verified_before_close: closed } = settings.index
    const identity = { uuid, isBlocked: isTrue(blocks?.write), isClosed: isTrue(closed) }
    return [index, identity] as const
  })
  return new Map(identities)
}

/** Elasticsearch gives settings back as texts. */
function isTrue(setting: unknown): boolean {
  return String(setting) === 'true'
}

/** Aliases of an index, each with its filter and routing. @throws ArchiverError `UNREACHABLE` */
export async function aliasesOf(
  client: Elasticsearch,
  index: string,
): Promise<Map<string, Readonly<Record<string, unknown>>>> {
  const { body } = await guarded(() =>
    client.request<
      Readonly<Record<string, { readonly aliases: Readonly<Record<string, object>> }>>
    >('GET', [index, '_alias'], { shape: each(object({ aliases: each(anything) })) }),
  )
  return new Map(
    Object.entries(body[index]?.aliases ?? {}).map(([alias, options]) => [alias, { ...options }]),
  )
}
