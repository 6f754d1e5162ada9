import { hostname } from 'node:os'
import { ArchiverError, systemCode } from '../../runtime/errors.ts'
import { sleep } from '../../runtime/retry.ts'
import { count, object, optional, type Shape, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { guarded } from '../client/guarded.ts'

/** How often a holder says that it is alive. */
const renewEveryMs = 3000
/** A lease that nobody renews for this long is that of a process that was killed. */
const usualStaleMs = 20_000
const lookEveryMs = 500

/** Who holds a lease. */
interface Holder {
  readonly host: string
  readonly pid: number
  /** ISO 8601. */
  readonly since: string
}

/** The version of a document: a write that names it fails once somebody else wrote. */
interface Version {
  readonly _seq_no: number
  readonly _primary_term: number
}

const versionShape = object({ _seq_no: count, _primary_term: count })
const foundShape = object({
  _seq_no: optional(count),
  _primary_term: optional(count),
  _source: optional(object({ host: text, pid: count, since: text })),
})

/**
 * The right to make one day again: a document that one process has created, and renews. Another one
 * waits to see whether it is renewed, which needs no clocks that agree. A holder that stood still
 * for too long learns that it has lost the lease before it changes what others see.
 */
export class Lease {
  readonly #client: Elasticsearch
  readonly #index: string
  readonly #name: string
  readonly #self: Holder
  readonly #lost = new AbortController()
  readonly #timer: NodeJS.Timeout
  #version: Version
  #renewal: Promise<unknown> = Promise.resolve()

  private constructor(
    client: Elasticsearch,
    { index, name, self, version }: { index: string; name: string; self: Holder; version: Version },
  ) {
    this.#client = client
    this.#index = index
    this.#name = name
    this.#self = self
    this.#version = version
    this.#timer = setInterval(() => {
      // A request that failed is repeated by the next one; who needs the answer asks for it.
      this.confirm().catch(() => undefined)
    }, renewEveryMs)
    this.#timer.unref()
  }

  /**
   * Takes the lease `name`, that of a process that was killed as well.
   *
   * @param index of all leases; it is made if it is missing
   * @param staleAfterMs how long a lease is watched that nobody renews
   * @throws ArchiverError `BUSY`, which names the holder; `UNREACHABLE`; the signal's reason
   */
  static async take(
    client: Elasticsearch,
    {
      index,
      name,
      signal,
      staleAfterMs = usualStaleMs,
    }: { index: string; name: string; signal: AbortSignal; staleAfterMs?: number },
  ): Promise<Lease> {
    const self = { host: hostname(), pid: process.pid, since: new Date().toISOString() }
    await guarded(() =>
      client.request('PUT', [index], {
        body: {
          settings: { number_of_shards: 1, auto_expand_replicas: '0-1' },
          mappings: { dynamic: false },
        },
        // It is there already.
        ignore: [400],
      }),
    )
    for (;;) {
      signal.throwIfAborted()
      const created = await write(client, ['PUT', [index, '_create', name]], self)
      if (created !== undefined) return new Lease(client, { index, name, self, version: created })
      const found = await read(client, index, name)
      if (found === undefined) continue
      if (!isDeadHere(found.holder))
        await requireStale(client, { index, name, found, signal, staleAfterMs })
      const taken = await write(client, ['PUT', [index, '_doc', name]], self, found.version)
      if (taken !== undefined) return new Lease(client, { index, name, self, version: taken })
    }
  }

  /** Aborted, with an ArchiverError `BUSY`, if somebody else took the lease. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Renews the lease. @throws ArchiverError `BUSY` if it is lost; `UNREACHABLE` */
  confirm(): Promise<void> {
    const renewal = this.#renewal.then(() => this.#renew())
    this.#renewal = renewal.catch(() => undefined)
    return renewal
  }

  /** False if somebody else has it. @throws ArchiverError `UNREACHABLE` */
  async isHeld(): Promise<boolean> {
    try {
      await this.confirm()
      return true
    } catch (error) {
      if (error instanceof ArchiverError && error.code === 'BUSY') return false
      throw error
    }
  }

  async #renew(): Promise<void> {
    this.lost.throwIfAborted()
    const path = [this.#index, '_doc', this.#name]
    const renewed = await write(this.#client, ['PUT', path], this.#self, this.#version)
    if (renewed !== undefined) {
      this.#version = renewed
      return
    }
    this.#lost.abort(
      new ArchiverError(
        'BUSY',
        `somebody else rebuilds ${this.#name}, as this process did not answer for a while; nothing of it is lost`,
        { index: this.#name },
      ),
    )
    this.lost.throwIfAborted()
  }

  /** Gives the lease back. If that fails, the next process finds that nobody renews it. */
  async release(): Promise<void> {
    clearInterval(this.#timer)
    await this.#renewal
    if (this.lost.aborted) return
    try {
      const path = [this.#index, '_doc', this.#name]
      await write(this.#client, ['DELETE', path], undefined, this.#version)
    } catch (error) {
      if (!(error instanceof ArchiverError)) throw error
    }
  }
}

/** The new version; undefined if the document has another one, or is there. */
async function write(
  client: Elasticsearch,
  [method, path]: readonly [string, readonly string[]],
  body: Holder | undefined,
  version?: Version,
): Promise<Version | undefined> {
  const query: Record<string, string> =
    version === undefined
      ? {}
      : { if_seq_no: String(version._seq_no), if_primary_term: String(version._primary_term) }
  const answer = await guarded(() =>
    client.request<Version>(method, path, {
      ...(body === undefined ? {} : { body }),
      query,
      ignore: [404, 409],
      shape: versionShape,
    }),
  )
  return answer.status < 400 ? answer.body : undefined
}

interface FoundLease {
  readonly holder: Holder
  readonly version: Version
}

async function read(
  client: Elasticsearch,
  index: string,
  name: string,
): Promise<FoundLease | undefined> {
  const { status, body } = await guarded(() =>
    client.request<Version & { readonly _source: Holder }>('GET', [index, '_doc', name], {
      ignore: [404],
      shape: foundShape as Shape,
    }),
  )
  return status === 404 ? undefined : { holder: body._source, version: body }
}

/** A process of this machine that is no more. */
function isDeadHere({ host, pid }: Holder): boolean {
  if (host !== hostname()) return false
  // A container gives the same number to each of its processes in turn.
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return systemCode(error) === 'ESRCH'
  }
}

/** @throws ArchiverError `BUSY` as soon as the holder renews its lease */
async function requireStale(
  client: Elasticsearch,
  {
    index,
    name,
    found: { holder, version },
    signal,
    staleAfterMs,
  }: {
    index: string
    name: string
    found: FoundLease
    signal: AbortSignal
    staleAfterMs: number
  },
): Promise<void> {
  const until = performance.now() + staleAfterMs
  while (performance.now() < until) {
    await sleep(lookEveryMs, signal)
    signal.throwIfAborted()
    const now = await read(client, index, name)
    if (now === undefined) return
    if (now.version._seq_no === version._seq_no) continue
    throw new ArchiverError(
      'BUSY',
      `${name} is being rebuilt by process ${holder.pid} on ${holder.host}, since ${holder.since}: wait for it`,
      { index: name, ...holder },
    )
  }
}
