import { messageOf } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { sleep } from '../../runtime/retry.ts'
import type { Elasticsearch } from '../client/client.ts'
import { mendMixedNumbers } from '../sink/mixed-numbers.ts'
import type { IndexProfile } from './index-profile.ts'
import { compareTemplates, installedProfile, installTemplates } from './templates.ts'

/**
 * Sees to it that the cluster has this version's templates as long as a worker is at work, and that
 * no field leaves out fractions. A template that somebody deletes, or one of others that wins over
 * ours, decides how the indices of the next day are made, for good.
 */
export class TemplateWatch {
  readonly #client: Elasticsearch
  readonly #indexPrefix: string
  readonly #profile: IndexProfile | undefined
  readonly #everyMs: number
  readonly #stopping: AbortSignal
  readonly #log: Logger
  /** What is wrong since it was looked at last, and was said. */
  #said: ReadonlySet<string> = new Set()

  /** `everyMs`: how often it looks. It ends with `stopping`. */
  constructor(parts: {
    client: Elasticsearch
    indexPrefix: string
    profile: IndexProfile | undefined
    everyMs: number
    stopping: AbortSignal
    log: Logger
  }) {
    this.#client = parts.client
    this.#indexPrefix = parts.indexPrefix
    this.#profile = parts.profile
    this.#everyMs = parts.everyMs
    this.#stopping = parts.stopping
    this.#log = parts.log
  }

  /**
   * Installs, looks, and goes on looking. @throws ArchiverError `UNREACHABLE` where the cluster
   * refuses a template.
   */
  async start(): Promise<void> {
    await installTemplates(this.#client, this.#indexPrefix, this.#log, { profile: this.#profile })
    await this.#look()
    void this.#goOn()
  }

  async #goOn(): Promise<void> {
    while (await sleep(this.#everyMs, this.#stopping)) await this.#look()
  }

  /** Never fails: records go on without it. */
  async #look(): Promise<void> {
    const wrong = new Set<string>()
    try {
      const differences = await compareTemplates(this.#client, this.#indexPrefix)
      if (differences.some(({ state }) => state === 'missing' || state === 'older')) {
        // Another worker may have chosen another profile since: only where none is left it is ours.
        const profile = (await installedProfile(this.#client, this.#indexPrefix)) ?? this.#profile
        await installTemplates(this.#client, this.#indexPrefix, this.#log, { profile })
      }
      for (const { state, message } of differences) if (state === 'overridden') wrong.add(message)
    } catch (error) {
      wrong.add(`the index templates could not be looked at: ${messageOf(error)}`)
    }
    try {
      for (const message of await mendMixedNumbers(this.#client, this.#indexPrefix, this.#log))
        wrong.add(message)
    } catch (error) {
      wrong.add(
        `fields of whole numbers and fractions could not be looked for: ${messageOf(error)}`,
      )
    }
    if (this.#stopping.aborted) return
    for (const message of wrong) if (!this.#said.has(message)) this.#log.warn(message)
    this.#said = wrong
  }
}
