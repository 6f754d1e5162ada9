import type { Proxies } from '../runtime/proxies.ts'

/** How to reach Kafka. */
export interface KafkaConnection {
  /** `host:port` each; they name the rest of the cluster. */
  readonly brokers: readonly string[]
  /** Our name in the broker's logs and quotas; absent: that of the program. */
  readonly clientId?: string | undefined
  readonly tls: boolean
  /** Certificate authority of the brokers, in PEM; without one the public ones count. */
  readonly ca: Secret | undefined
  /** Our own certificate and its key, in PEM, for brokers that ask for one. */
  readonly certificate: { readonly certificate: Secret; readonly key: Secret } | undefined
  readonly login: Login | undefined
}

/**
 * A secret or a certificate: a text, or a file that is read again for every connection. `flag`
 * names it in messages.
 */
export type Secret = { readonly text: string } | { readonly file: string; readonly flag: string }

/** How we log in to the brokers. */
export type Login =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
      readonly username: string
      readonly password: Secret
    }
  | { readonly mechanism: 'oauthbearer'; readonly token: Secret | TokenEndpoint | MskLogin }

/** IAM of Amazon MSK: a token is signed with the AWS credentials that are found. */
export interface MskLogin {
  readonly region: string
  readonly proxies: Proxies
}

/**
 * An endpoint that gives a token for an id and a secret: the client credentials grant of OAuth 2.0
 * (RFC 6749, section 4.4).
 */
export interface TokenEndpoint {
  readonly url: string
  readonly clientId: string
  readonly clientSecret: Secret
  readonly scope: string | undefined
  /** None if it is left out. */
  readonly proxies?: Proxies
}
