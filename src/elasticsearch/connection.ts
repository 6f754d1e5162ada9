import type { Proxies } from '../runtime/proxies.ts'

/** How to reach Elasticsearch. */
export interface ElasticsearchConnection {
  /** URLs without credentials. */
  readonly nodes: readonly string[]
  readonly username?: string | undefined
  readonly password?: string | undefined
  readonly apiKey?: string | undefined
  /** Certificate authority, as a PEM file. */
  readonly caFile?: string | undefined
  /** SHA-256 of the authority's certificate, or of the one certificate of a server. */
  readonly caFingerprint?: string | undefined
  /** A deployment of Elastic Cloud, instead of nodes. */
  readonly cloudId?: string | undefined
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly compression: boolean
  readonly requestTimeoutMs: number
  /** None if it is left out. */
  readonly proxies?: Proxies
}
