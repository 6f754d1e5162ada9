import { createHash, createHmac } from 'node:crypto'
import { fromNodeProviderChain } from '@aws-sdk/credential-providers'
import { messageOf } from '../runtime/errors.ts'
import { ProxiedHandler } from '../runtime/proxied-handler.ts'
import type { MskLogin } from './connection.ts'

/** What signs a token. */
export interface AwsKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

const service = 'kafka-cluster'
/** As Amazon's own signers have it. A broker of MSK takes no longer one. */
const lifetimeSeconds = 900
const requestTimeoutMs = 10_000

/**
 * Tokens for a cluster of Amazon MSK, each with the credentials that the SDK has at that moment:
 * variables, a profile, a web identity, the role of a container or of an instance.
 */
export function mskTokens({ region, proxies }: MskLogin): () => Promise<string> {
  const credentials = fromNodeProviderChain({
    ignoreCache: true,
    clientConfig: {
      region,
      requestHandler: new ProxiedHandler(proxies, { agent: {}, requestTimeout: requestTimeoutMs }),
    },
  })
  return async () => {
    let keys: AwsKeys
    try {
      // The SDK reads keys without an end once, but whoever rotates them rewrites the file.
      keys = await credentials({ forceRefresh: true })
    } catch (error) {
      throw new Error(`no AWS credentials for --sasl-msk-region: ${messageOf(error)}`, {
        cause: error,
      })
    }
    return mskToken(region, keys, new Date())
  }
}

/**
 * A token of IAM for Amazon MSK, as aws-msk-iam-sasl-signer-js 1.0.3 makes it: the URL of a signed
 * request `kafka-cluster:Connect`, in base64url. It is signed here, and not by that package, which
 * would bring its own copy of the SDK for these lines.
 *
 * The signature is that of "Signature Version 4", with the parameters in the query ("Authenticating
 * Requests: Using Query Parameters", Amazon S3 API Reference).
 */
export function mskToken(region: string, keys: AwsKeys, now: Date): string {
  const host = `kafka.${region}.amazonaws.com`
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '')
  const day = time.slice(0, 8)
  const scope = `${day}/${region}/${service}/aws4_request`
  const query = Object.entries({
    Action: `${service}:Connect`,
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${keys.accessKeyId}/${scope}`,
    'X-Amz-Date': time,
    'X-Amz-Expires': String(lifetimeSeconds),
    ...(keys.sessionToken === undefined ? {} : { 'X-Amz-Security-Token': keys.sessionToken }),
    'X-Amz-SignedHeaders': 'host',
  })
    // The names are in the order of their bytes.
    .map(([name, value]) => `${name}=${escaped(value)}`)
    .join('&')
  const request = ['GET', '/', query, `host:${host}`, '', 'host', sha256('')].join('\n')
  const text = ['AWS4-HMAC-SHA256', time, scope, sha256(request)].join('\n')
  const key = [day, region, service, 'aws4_request'].reduce<Buffer>(
    (secret, part) => hmac(secret, part),
    Buffer.from(`AWS4${keys.secretAccessKey}`),
  )
  const signature = hmac(key, text).toString('hex')
  const url = `https://${host}/?${query}&X-Amz-Signature=${signature}&User-Agent=archiver`
  return Buffer.from(url).toString('base64url')
}

/** All but the unreserved characters of RFC 3986, section 2.3. */
function escaped(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
