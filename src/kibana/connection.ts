import type { Proxies } from '../runtime/proxies.ts'

/** How to reach Kibana. */
export interface KibanaConnection {
  /** Without credentials; with the base path, if Kibana has one. It may end in `/s/<space>`. */
  readonly url: string
  /** The space to work in; undefined for the default one. */
  readonly space: string | undefined
  readonly username: string | undefined
  readonly password: string | undefined
  readonly apiKey: string | undefined
  /** Certificate authority, as a PEM file. */
  readonly caFile: string | undefined
  /** How long an answer may take, in ms. */
  readonly timeoutMs: number
  /** None if it is left out. */
  readonly proxies?: Proxies
}
