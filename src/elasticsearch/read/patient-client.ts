import { Backoff, sleep } from '../../runtime/retry.ts'
import { anything, type Shape } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { maxRawBytes, RequestFailure } from '../client/failure.ts'
import { guarded } from '../client/guarded.ts'

const firstRetryMs = 200
const maxRetryMs = 2000
/** How long shards may take until they answer. */
const patienceMs = 30_000

/** A question to Elasticsearch. */
export interface Question {
  readonly method: string
  readonly path: readonly string[]
  readonly body?: unknown
  readonly query?: Readonly<Record<string, string>>
}

/**
 * Asks for commands that read. A shard that cannot answer just now is asked again: one of an index
 * that a worker has just made, or one that moves. Any other failure is an `ArchiverError`
 * `UNREACHABLE`.
 */
export class PatientClient {
  readonly #client: Elasticsearch

  constructor(client: Elasticsearch) {
    this.#client = client
  }

  /** The parsed answer. `shape`: what it must have. */
  async ask<T>({ method, path, body, query = {} }: Question, shape: Shape = anything): Promise<T> {
    const content = body === undefined ? {} : { body }
    const answer = await guarded(() =>
      untilShardsAnswer(() => this.#client.request<T>(method, path, { ...content, query, shape })),
    )
    return answer.body
  }

  /** The bytes of the answer. `once`: the question may not be asked twice. */
  raw(
    { method, path, body, query = {} }: Question,
    { once = false }: { readonly once?: boolean } = {},
  ): Promise<Buffer> {
    const ask = () => this.#client.raw(method, path, body, query, maxRawBytes)
    return guarded(once ? ask : () => untilShardsAnswer(ask))
  }

  /** Deletes something that may be gone already. */
  async forget({ method, path, body }: Question): Promise<void> {
    await guarded(() => this.#client.request(method, path, { body, ignore: [404] }))
  }
}

async function untilShardsAnswer<T>(ask: () => Promise<T>): Promise<T> {
  const backoff = new Backoff({ firstMs: firstRetryMs, maxMs: maxRetryMs })
  const until = performance.now() + patienceMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      const mayPass =
        error instanceof RequestFailure && (error.status === 503 || error.status === 429)
      if (!mayPass || performance.now() > until) throw error
      await sleep(backoff.next())
    }
  }
}
