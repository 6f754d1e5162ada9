import { createHash } from 'node:crypto'
import { ArchiverError } from '../../runtime/errors.ts'
import { anything, each, list, object, optional } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { guarded } from '../client/guarded.ts'
import type { IndexNames } from '../index-name.ts'
import { flatten } from '../templates/state.ts'
import { aliasesOf, identitiesOf } from './index-identity.ts'

/**
 * The index of a day, and the one that takes its place. The new one has a name that no pattern of
 * the archive matches, so that nobody finds its documents before it is complete. Then one request
 * deletes the old index and gives its name to the new one as an alias. A search sees the documents
 * of one of the two, and a worker writes to one of the two: it never learns which.
 */

/** What the program notes in `_meta` of an index that takes the place of another. */
interface RebuildNote {
  /** The name that it takes. */
  readonly of: string
  /** A digest of the template that it was made with. */
  readonly template: string
  /** The uuid of the index that it replaces. */
  readonly replaces?: string
  /** The uuid of the index itself, once it is known. */
  readonly own?: string
  /** The old index gets a write block from here on; the block is ours. */
  readonly blocks?: boolean
}

interface Found {
  readonly mappings?: {
    readonly _meta?: { readonly archiver_rebuild?: RebuildNote; readonly archiver_mapping?: string }
  }
}

const mappingsShape = each(object({ mappings: optional(object({})) }))

/** What the cluster has of a day. */
export interface DayState {
  /** The name of the day, as workers and searches use it. */
  readonly name: string
  /** The index behind that name; undefined if there is none. */
  readonly current: string | undefined
  readonly uuid: string | undefined
  /** It is as the template says now. */
  readonly isDone: boolean
  /** An index of this template, for the current index, that an interrupted rebuild has left. */
  readonly begun: string | undefined
  /** That rebuild may have blocked the current index. */
  readonly mayBeBlocked: boolean
  /** Somebody else has: the block stays, on the new index as well. */
  readonly isBlockedByOthers: boolean
  /** All else that interrupted rebuilds have left. */
  readonly stale: readonly string[]
  /** The name of a new index. */
  readonly next: string
  readonly settings: unknown
  readonly mappings: Readonly<Record<string, unknown>>
  readonly template: string
}

/**
 * Looks at the index of a day, and at what the templates make of its name now.
 * @throws ArchiverError `UNREACHABLE`; `USAGE` if the name is an alias of somebody else, or
 *   the index is closed
 */
export async function readDay(
  client: Elasticsearch,
  names: IndexNames,
  name: string,
): Promise<DayState> {
  const found = await mappingsOf(client, name)
  const behind = Object.keys(found)
  const beginning = names.rebuilt(name)
  const numberOf = (index: string): number | undefined =>
    index.startsWith(beginning) && /^\d+$/.test(index.slice(beginning.length))
      ? Number(index.slice(beginning.length))
      : undefined
  const isOwn = (index: string) => index === name || index.startsWith(beginning)
  if (behind.length > 1 || !behind.every(isOwn))
    throw new ArchiverError(
      'USAGE',
      `${name} is an alias of ${behind.join(', ')}, which this program did not make: rebuild it by hand`,
      { index: name },
    )
  const { settings, mappings } = await simulated(client, name)
  const template = digestOf({ settings, mappings })
  const [current] = behind
  const noteOf = ({ mappings: own }: Found) => own?._meta?.archiver_rebuild
  const made = Object.entries(await mappingsOf(client, `${beginning}*`)).filter(
    ([index]) => numberOf(index) !== undefined,
  )
  // Without a note it is somebody else's.
  const others = made.filter(([index, other]) => index !== current && noteOf(other)?.of === name)
  const indices = [...others.map(([index]) => index), ...behind]
  const identities = await identitiesOf(client, indices)
  const identity = current === undefined ? undefined : identities.get(current)
  // A search finds no document of a closed index, and what no file has would be lost with it.
  if (identity?.isClosed)
    throw new ArchiverError('USAGE', `${current} is closed: open it, and rebuild the day again`, {
      index: name,
    })
  const uuid = identity?.uuid
  const mayBeBlocked = others.some(([, other]) => noteOf(other)?.blocks === true)
  const begun = others.find(([index, other]) => {
    const note = noteOf(other)
    const isItself = note?.own === undefined || note.own === identities.get(index)?.uuid
    return note?.template === template && note.replaces === uuid && isItself
  })
  const numbers = made.map(([index]) => numberOf(index) ?? 0)
  const own = current === undefined ? undefined : found[current]?.mappings?._meta
  const wanted = (mappings._meta as { readonly archiver_mapping?: string } | undefined)
    ?.archiver_mapping
  return {
    name,
    current,
    uuid,
    isDone:
      own?.archiver_rebuild?.template === template ||
      (wanted !== undefined && own?.archiver_mapping === wanted),
    begun: begun?.[0],
    mayBeBlocked,
    isBlockedByOthers: identity?.isBlocked === true && !mayBeBlocked,
    stale: others.map(([index]) => index).filter((index) => index !== begun?.[0]),
    next: `${beginning}${Math.max(0, ...numbers) + 1}`,
    settings,
    mappings,
    template,
  }
}

async function mappingsOf(
  client: Elasticsearch,
  expression: string,
): Promise<Readonly<Record<string, Found>>> {
  const { status, body } = await guarded(() =>
    client.request<Readonly<Record<string, Found>>>('GET', [expression, '_mapping'], {
      ignore: [404],
      query: { filter_path: '*.mappings._meta', ignore_unavailable: 'true' },
      shape: anything,
    }),
  )
  if (status === 404) return {}
  // An index without `_meta` is left out of the filtered answer.
  const { body: resolved } = await guarded(() =>
    client.request<{
      readonly indices: readonly { readonly name: string }[]
      readonly aliases: readonly { readonly indices: readonly string[] }[]
    }>('GET', ['_resolve', 'index', expression], {
      ignore: [404],
      shape: object({ indices: optional(list(anything)), aliases: optional(list(anything)) }),
    }),
  )
  const names = [
    ...(resolved.indices ?? []).map((index) => index.name),
    ...(resolved.aliases ?? []).flatMap(({ indices }) => indices),
  ]
  mappingsShape(body ?? {}, 'the answer')
  return Object.fromEntries(names.map((index) => [index, body?.[index] ?? {}]))
}

const simulatedShape = object({
  template: optional(object({ settings: optional(object({})), mappings: optional(object({})) })),
})

async function simulated(
  client: Elasticsearch,
  name: string,
): Promise<{ readonly settings: unknown; readonly mappings: Readonly<Record<string, unknown>> }> {
  const { body } = await guarded(() =>
    client.request<{
      readonly template?: {
        readonly settings?: unknown
        readonly mappings?: Readonly<Record<string, unknown>>
      }
    }>('POST', ['_index_template', '_simulate_index', name], { shape: simulatedShape }),
  )
  return { settings: body.template?.settings ?? {}, mappings: body.template?.mappings ?? {} }
}

function digestOf(template: unknown): string {
  const entries = [...flatten(template)].sort()
  return createHash('sha256').update(JSON.stringify(entries)).digest('hex').slice(0, 16)
}

/** Changes of the indices of a day. @throws ArchiverError `UNREACHABLE` */
export class DayIndices {
  readonly #client: Elasticsearch
  readonly #state: DayState
  /** Of the new index. */
  #uuid: string | undefined

  constructor(client: Elasticsearch, state: DayState) {
    this.#client = client
    this.#state = state
  }

  /** Makes the new index, or continues with the one that was begun. @returns its name */
  async begin(): Promise<string> {
    const { begun, next, settings } = this.#state
    await this.#unblockAfterKill()
    await this.#removeStale()
    const mappings = { ...this.#state.mappings, _meta: this.#meta(false) }
    if (begun === undefined) await this.#ask('PUT', [next], { body: { settings, mappings } })
    else {
      await this.#unblock(begun)
      await this.#note(begun, false)
    }
    const target = begun ?? next
    this.#uuid = (await identitiesOf(this.#client, [target])).get(target)?.uuid
    return target
  }

  /** Removes all that interrupted rebuilds have left of a day that needs none. */
  async cleanUp(): Promise<void> {
    await this.#unblockAfterKill()
    await this.#removeStale()
    const { begun } = this.#state
    if (begun !== undefined) await this.#ask('DELETE', [begun], { ignore: [404] })
  }

  async #unblockAfterKill(): Promise<void> {
    const { mayBeBlocked, current } = this.#state
    if (mayBeBlocked && current !== undefined) await this.#unblock(current)
  }

  async #removeStale(): Promise<void> {
    for (const index of this.#state.stale) await this.#ask('DELETE', [index], { ignore: [404] })
  }

  /**
   * The new index is the one that was made. A bulk request makes one that was deleted again, with
   * another mapping: that one is removed.
   * @throws ArchiverError `BUSY`
   */
  async requireTarget(target: string): Promise<void> {
    const uuid = (await identitiesOf(this.#client, [target])).get(target)?.uuid
    if (uuid === this.#uuid) return
    if (uuid !== undefined) await this.#ask('DELETE', [target], { ignore: [404] })
    throw this.#changed(`the new index ${target} was deleted`)
  }

  /**
   * The old index is the one that it was, and holds workers back.
   * @throws ArchiverError `BUSY`
   */
  async requireBlocked(): Promise<void> {
    const { uuid } = this.#state
    const current = this.#state.current!
    const found = (await identitiesOf(this.#client, [current])).get(current)
    if (found?.uuid !== uuid) throw this.#changed(`${current} was deleted`)
    if (found?.isClosed) throw this.#changed(`${current} was closed`)
    if (!found?.isBlocked) throw this.#changed(`the write block of ${current} was lifted`)
  }

  #changed(what: string): ArchiverError {
    const { name } = this.#state
    return new ArchiverError('BUSY', `${name}: ${what} meanwhile; rebuild the day again`, {
      index: name,
    })
  }

  #meta(blocks: boolean): unknown {
    const { name: of, template, mappings, uuid: replaces } = this.#state
    const note: RebuildNote = {
      ...{ of, template, blocks },
      ...(replaces === undefined ? {} : { replaces }),
      ...(this.#uuid === undefined ? {} : { own: this.#uuid }),
    }
    return { ...(mappings._meta as object | undefined), archiver_rebuild: note }
  }

  #note(index: string, blocks: boolean): Promise<unknown> {
    const body = { _meta: this.#meta(blocks) }
    return this.#ask('PUT', [index, '_mapping'], { body, ignore: [404] })
  }

  /** Notes that the block which follows is ours, so that a rebuild that is killed can undo it. */
  mark(target: string): Promise<unknown> {
    return this.#note(target, !this.#state.isBlockedByOthers)
  }

  /** From here on workers keep what is for the day; requests that run are finished before. */
  block(): Promise<unknown> {
    return this.#ask('PUT', [this.#state.current!, '_block', 'write'])
  }

  async #unblock(index: string): Promise<void> {
    await this.#ask('PUT', [index, '_settings'], {
      body: { 'index.blocks.write': null },
      ignore: [404],
    })
  }

  /** Lets workers write to the old index again. */
  async giveUp(target: string): Promise<void> {
    if (!this.#state.isBlockedByOthers) await this.#unblock(this.#state.current!)
    await this.#note(target, false)
  }

  /** Makes all documents of some indices visible. */
  refresh(index: string): Promise<unknown> {
    return this.#ask('POST', [index, '_refresh'], { query: { ignore_unavailable: 'true' } })
  }

  /**
   * The new index takes the name of the old one, which is deleted, and all its aliases: in one
   * step.
   */
  async swap(target: string): Promise<void> {
    const { name, isBlockedByOthers } = this.#state
    const current = this.#state.current!
    const aliases = await aliasesOf(this.#client, current)
    aliases.set(name, {})
    const actions = [
      ...[...aliases].map(([alias, options]) => ({ add: { index: target, alias, ...options } })),
      { remove_index: { index: current } },
    ]
    if (isBlockedByOthers) await this.#ask('PUT', [target, '_block', 'write'])
    await this.#ask('POST', ['_aliases'], { body: { actions } })
  }

  #ask(
    method: string,
    path: readonly string[],
    options: {
      readonly body?: unknown
      readonly ignore?: readonly number[]
      readonly query?: Readonly<Record<string, string>>
    } = {},
  ): Promise<unknown> {
    return guarded(() => this.#client.request(method, path, options))
  }
}
