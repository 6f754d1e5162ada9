import { readFileSync } from 'node:fs'
import { Agent, type Dispatcher, FormData, fetch, type RequestInit } from 'undici'
import { redirected, unansweredHint } from '../runtime/address.ts'
import { boundedText } from '../runtime/bounded-text.ts'
import { ArchiverError, messageOf } from '../runtime/errors.ts'
import type { Logger } from '../runtime/log.ts'
import { describeProxy, noProxies } from '../runtime/proxies.ts'
import { sleep } from '../runtime/retry.ts'
import { proxyAgent } from '../runtime/tunnel.ts'
import {
  type Answer,
  describeFailure,
  firstLine,
  type ObjectName,
  objectKey,
  readAnswer,
  type StoredObject,
} from './answer.ts'
import type { KibanaConnection } from './connection.ts'
import { idInSpace, ndjson, type SavedObject } from './saved-object.ts'

/** Why Kibana is not ready yet. */
interface Waiting {
  readonly waiting: string
  /** Nobody answers at all. */
  readonly isSilent: boolean
}

type FetchOptions = RequestInit & { readonly base?: string }

/** The first version whose format our objects have. */
const oldest = { major: 8, minor: 12 }
const retryMs = 2000
/** All saved objects of a space fit into a part of it. */
const maxAnswerBytes = 64 * 2 ** 20

/** Kibana's API for saved objects: what is there, and an import whose answer is judged. */
export class Kibana {
  readonly #connection: KibanaConnection
  readonly #base: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #agent: Dispatcher
  /** ` through the proxy …`, or nothing. */
  readonly #way: string

  /** @throws ArchiverError `USAGE` if the certificate authority cannot be read. */
  constructor(connection: KibanaConnection) {
    const { username, password, apiKey, caFile, timeoutMs } = connection
    const parsed = new URL(connection.url)
    const [suffix = '', inPath] = /\/s\/([^/]+)\/?$/.exec(parsed.pathname) ?? []
    const space = connection.space ?? inPath
    parsed.pathname = parsed.pathname.slice(0, parsed.pathname.length - suffix.length)
    this.#connection = { ...connection, space, url: parsed.href.replace(/\/$/, '') }
    this.#base = `${this.#connection.url}${space === undefined ? '' : `/s/${encodeURIComponent(space)}`}`
    this.#headers = {
      'kbn-xsrf': 'archiver',
      ...(apiKey !== undefined
        ? { authorization: `ApiKey ${apiKey}` }
        : username !== undefined
          ? {
              authorization: `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`,
            }
          : {}),
    }
    const tls = caFile === undefined ? undefined : { ca: readCertificate(caFile) }
    const silence = { headersTimeout: timeoutMs, bodyTimeout: timeoutMs }
    const proxy = (connection.proxies ?? noProxies).of(parsed)
    this.#way = proxy === undefined ? '' : ` through ${describeProxy(proxy)}`
    this.#agent =
      proxy === undefined
        ? new Agent({ ...silence, connect: tls ?? {} })
        : proxyAgent(proxy, parsed.protocol, tls, silence)
  }

  /** Its address for people, without credentials. */
  get address(): string {
    return this.#base
  }

  /** The space that it works in; undefined for the default one. */
  get space(): string | undefined {
    return this.#connection.space
  }

  /** The address of a dashboard of ours, by the id that it has in the default space. */
  dashboardUrl(id: string): string {
    return `${this.#base}/app/dashboards#/view/${encodeURIComponent(idInSpace(id, this.space))}`
  }

  async close(): Promise<void> {
    await this.#agent.close()
  }

  /**
   * Waits up to `waitMs` until Kibana answers, and checks that it takes our objects and has our
   * space.
   * @returns its version.
   * @throws ArchiverError `KIBANA`.
   */
  async ready(waitMs: number, log: Logger): Promise<string> {
    const deadline = performance.now() + waitMs
    let hasTold = false
    for (;;) {
      const outcome = await this.#status()
      if ('version' in outcome) {
        this.#checkVersion(outcome.version)
        await this.#checkSpace()
        return outcome.version
      }
      if (performance.now() + retryMs > deadline) {
        const waited = `${outcome.waiting}; waited ${Math.round(waitMs / 1000)} s for it (--kibana-wait)`
        throw outcome.isSilent ? this.#unanswered(waited) : this.#failure(waited)
      }
      if (!hasTold)
        log.info(`Kibana at ${this.address} is not ready yet: ${outcome.waiting}; waiting for it`)
      hasTold = true
      await sleep(retryMs)
    }
  }

  /** The status of Kibana: its version, or the reason to wait. */
  async #status(): Promise<{ readonly version: string } | Waiting> {
    let answer: Answer
    try {
      answer = await this.#fetch('/api/status')
    } catch (error) {
      if (error instanceof ArchiverError) throw error
      const message = messageOf(error)
      // A container that is starting refuses connections, or is not even known by name.
      if (/ECONNREFUSED|ECONNRESET|EAI_AGAIN|other side closed|timeout/i.test(message))
        return { waiting: message, isSilent: true }
      throw this.#unanswered(message)
    }
    if (answer.status === 503) return { waiting: 'it is still starting', isSilent: false }
    const status = readAnswer.status(answer.text)
    if (answer.status === 401 || answer.status === 403) throw this.#refused(answer)
    if (answer.status !== 200 || status === undefined) {
      throw this.#failure(
        `what answers there is not Kibana (${firstLine(answer)}); is --kibana right, with its base path?`,
      )
    }
    // Without a login, Kibana says that it is well, but not its version.
    if (status.version?.number === undefined) {
      throw this.#failure(
        'it wants to know who asks; give --kibana-user and --kibana-password, or --kibana-api-key',
      )
    }
    const { level } = status.status.overall
    if (level === 'critical' || level === 'unavailable')
      return { waiting: `its status is ${level}`, isSilent: false }
    return { version: status.version.number }
  }

  #checkVersion(version: string): void {
    const [major = 0, minor = 0] = version.split('.').map(Number)
    if (major > oldest.major || (major === oldest.major && minor >= oldest.minor)) return
    throw this.#failure(
      `it is version ${version}; dashboards need ${oldest.major}.${oldest.minor} or newer`,
    )
  }

  /** A space that does not exist takes objects anyway, and nobody ever sees them. */
  async #checkSpace(): Promise<void> {
    const { space } = this.#connection
    if (space === undefined) return
    const answer = await this.#ask(`/api/spaces/space/${encodeURIComponent(space)}`, {
      base: this.#connection.url,
    })
    if (answer.status === 404)
      throw this.#failure(`it has no space "${space}" (--kibana-space), or we may not see it`)
    if (answer.status !== 200) throw this.#refused(answer)
  }

  /**
   * Those of the objects that are there, by `objectKey`.
   * @throws ArchiverError `KIBANA`
   */
  async find(names: readonly ObjectName[]): Promise<ReadonlyMap<string, StoredObject>> {
    if (names.length === 0) return new Map()
    const answer = await this.#export(names)
    if (answer.status === 200) {
      const lines = answer.text.split('\n').filter((line) => line.trim() !== '')
      const objects = lines.map(readAnswer.object)
      if (!objects.every((object) => object !== undefined)) {
        throw this.#failure(`its export is not understood (${firstLine(answer)})`)
      }
      return new Map(objects.map((object) => [objectKey(object), object]))
    }
    // Kibana refuses the whole export if an object is absent, and names the absent ones.
    const body = readAnswer.absent(answer.text)
    const absent = new Set(
      (body?.attributes.objects ?? []).filter(({ error }) => error !== undefined).map(objectKey),
    )
    const present = names.filter((name) => !absent.has(objectKey(name)))
    if (answer.status !== 400 || absent.size === 0 || present.length === names.length)
      throw this.#refused(answer)
    return this.find(present)
  }

  async #export(names: readonly ObjectName[]): Promise<Answer> {
    return this.#ask('/api/saved_objects/_export', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        objects: names.map(({ type, id }) => ({ type, id })),
        includeReferencesDeep: false,
        excludeExportDetails: true,
      }),
    })
  }

  /**
   * Imports objects in place of those with the same ids.
   * @throws ArchiverError `KIBANA` if Kibana did not take all of them: an answer of 200 says
   *   nothing about that.
   */
  async import(objects: readonly SavedObject[]): Promise<void> {
    if (objects.length === 0) return
    const form = new FormData()
    form.append(
      'file',
      new Blob([ndjson(objects)], { type: 'application/x-ndjson' }),
      'archiver.ndjson',
    )
    const answer = await this.#ask('/api/saved_objects/_import?overwrite=true', {
      method: 'POST',
      body: form,
    })
    if (answer.status === 422) {
      throw this.#failure(`it is too old for these objects (${firstLine(answer)})`)
    }
    if (answer.status !== 200) throw this.#refused(answer)
    const result = readAnswer.import(answer.text)
    if (result === undefined) {
      throw this.#failure(`its answer to the import is not understood (${firstLine(answer)})`)
    }
    const errors = result.errors ?? []
    if (!result.success || errors.length > 0 || result.successCount !== objects.length) {
      const reasons = errors.map(describeFailure)
      throw this.#failure(
        `it took ${result.successCount} of ${objects.length} objects: ${reasons.join('; ') || 'it does not say why'}`,
      )
    }
  }

  /** @throws ArchiverError `KIBANA` without an answer */
  async #ask(path: string, options: FetchOptions = {}): Promise<Answer> {
    try {
      return await this.#fetch(path, options)
    } catch (error) {
      throw error instanceof ArchiverError ? error : this.#unanswered(messageOf(error))
    }
  }

  async #fetch(path: string, options: FetchOptions = {}): Promise<Answer> {
    const { base = this.#base, headers = {}, ...init } = options
    try {
      const response = await fetch(`${base}${path}`, {
        ...init,
        headers: { ...this.#headers, ...(headers as Record<string, string>) },
        redirect: 'manual',
        dispatcher: this.#agent,
        signal: AbortSignal.timeout(this.#connection.timeoutMs),
      })
      if (response.status >= 300 && response.status < 400) {
        await response.body?.cancel()
        throw this.#failure(
          `what answers there is not Kibana: ${redirected(response.status, response.headers.get('location'))}`,
        )
      }
      return { status: response.status, text: await boundedText(response, maxAnswerBytes) }
    } catch (error) {
      // `fetch failed` alone says nothing; its cause does.
      throw error instanceof TypeError && error.cause !== undefined ? error.cause : error
    }
  }

  #refused(answer: Answer): ArchiverError {
    if (answer.status === 401)
      return this.#failure('it refused the user, password or API key (401)')
    if (answer.status === 403) {
      return this.#failure(
        `we may not do that (${firstLine(answer)}); the role needs Saved Objects Management: all`,
      )
    }
    return this.#failure(`it answered ${firstLine(answer)}`)
  }

  #unanswered(message: string): ArchiverError {
    return this.#failure(`${message}; ${unansweredHint('--kibana')}`)
  }

  #failure(message: string): ArchiverError {
    return new ArchiverError('KIBANA', `Kibana at ${this.address}${this.#way}: ${message}`, {
      kibana: this.address,
    })
  }
}

function readCertificate(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new ArchiverError('USAGE', `--kibana-ca ${file} cannot be read: ${messageOf(error)}`)
  }
}
