import { messageOf } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { sleep } from '../../runtime/retry.ts'
import type { Elasticsearch } from '../client/client.ts'
import { mendMixedNumbers } from '../sink/mixed-numbers.ts'
import { installedProfile } from './cluster.ts'
import { compareTemplates } from './compare.ts'
import type { IndexProfile } from './index-profile.ts'
import { installTemplates } from './install.ts'

/**
 * Keeps this version's templates on the cluster while a worker works, and has fractions counted. A
 * template that somebody deletes, or somebody else's that wins over ours, decides how the indices
 * of the next day are made, for good.
 */
export class TemplateWatch {
  readonly #client: Elasticsearch
  readonly #indexPrefix: string
  readonly #profile: IndexProfile | undefined
  readonly #everyMs: number
  readonly #stopping: AbortSignal
  readonly #log: Logger
  /** What was wrong at the last look, and was logged. */
  #said: ReadonlySet<string> = new Set()

  /** @param parts.everyMs how often it looks, until `stopping` */
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
   * Installs, looks, and goes on looking. @throws ArchiverError `UNREACHABLE` if the cluster
   * refuses a template
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
    const found: Finding[] = []
    try {
      const differences = await compareTemplates(this.#client, this.#indexPrefix)
      if (differences.some(({ state }) => state === 'missing' || state === 'older')) {
        // Another worker may have chosen another profile meanwhile: ours counts only if none is
        // left.
        const profile = (await installedProfile(this.#client, this.#indexPrefix)) ?? this.#profile
        await installTemplates(this.#client, this.#indexPrefix, this.#log, { profile })
      }
      for (const { name, state, message } of differences)
        if (state === 'overridden')
          found.push({ event: 'template_overridden', template: name, reason: message })
    } catch (error) {
      found.push({ event: 'templates_unknown', reason: messageOf(error) })
    }
    try {
      for (const reason of await mendMixedNumbers(this.#client, this.#indexPrefix, this.#log))
        found.push({ event: 'mixed_numbers_left', reason })
    } catch (error) {
      found.push({ event: 'mixed_numbers_unknown', reason: messageOf(error) })
    }
    if (this.#stopping.aborted) return
    for (const finding of found)
      if (!this.#said.has(keyOf(finding))) this.#log.warn(finding, messages[finding.event])
    this.#said = new Set(found.map(keyOf))
  }
}

/** Something that is wrong on the cluster. */
interface Finding {
  readonly event: keyof typeof messages
  readonly reason: string
  readonly template?: string
}

const messages = {
  template_overridden: 'another template wins over ours',
  templates_unknown: 'checking the index templates failed',
  mixed_numbers_left: 'a field leaves out fractions',
  mixed_numbers_unknown: 'searching for fractions failed',
} as const

function keyOf({ event, reason }: Finding): string {
  return `${event} ${reason}`
}
