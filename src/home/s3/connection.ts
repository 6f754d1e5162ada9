import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { ArchiverError } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { ProxiedHandler } from '../../runtime/proxied-handler.ts'
import { refuseForeignAnswers } from './answers.ts'
import { credentialsFor } from './credentials.ts'
import { Retrier } from './retry.ts'
import { type BucketSettings, withOptionNames } from './settings.ts'

/** Who sends the requests of a home, and what all of them have in common. */
export interface StoreConnection {
  readonly settings: BucketSettings
  readonly s3: S3Client
  readonly retrier: Retrier
  readonly common: {
    readonly Bucket: string
    readonly ExpectedBucketOwner?: string
    readonly RequestPayer?: 'requester'
  }
}

const connectTimeoutMs = 10_000
/** No request waits for a connection: how many there are at once is up to the `Retrier`. */
const maxSockets = Number.POSITIVE_INFINITY

/**
 * Sends nothing yet.
 *
 * @param patienceMs how long a request that does not get through is sent again.
 * @throws ArchiverError `USAGE` if nothing says which region is meant.
 */
export async function connectStore(
  settings: BucketSettings,
  log: Logger,
  patienceMs: number,
): Promise<StoreConnection> {
  const known = { ...settings, region: settings.region ?? (await regionOf(settings)) }
  const { bucket, expectedOwner, requesterPays } = settings
  const s3 = new S3Client(configuration(known))
  refuseForeignAnswers(s3)
  return {
    settings: known,
    s3,
    retrier: new Retrier(known, log, patienceMs),
    common: {
      Bucket: bucket,
      ...(expectedOwner === undefined ? {} : { ExpectedBucketOwner: expectedOwner }),
      ...(requesterPays ? { RequestPayer: 'requester' } : {}),
    },
  }
}

/** The region of the environment or profile. A store of one's own has none: any does there. */
async function regionOf(settings: BucketSettings): Promise<string> {
  const unsent = new S3Client(configuration(settings))
  try {
    return await unsent.config.region()
  } catch (error) {
    if (settings.endpoint !== undefined) return 'us-east-1'
    throw new ArchiverError(
      'USAGE',
      withOptionNames(
        settings,
        `no region for bucket ${settings.bucket}: give --s3-region or AWS_REGION, or --s3-endpoint for a store that is not Amazon's`,
      ),
      { bucket: settings.bucket },
      error,
    )
  } finally {
    unsent.destroy()
  }
}

function configuration(settings: BucketSettings): S3ClientConfig {
  const { endpoint, region, pathStyle, profile, requestTimeoutMs, proxies } = settings
  const agent = { keepAlive: true, maxSockets }
  const timeouts = {
    connectionTimeout: connectTimeoutMs,
    requestTimeout: requestTimeoutMs,
    throwOnRequestTimeout: true,
    // A body that stops in its middle.
    socketTimeout: requestTimeoutMs,
  }
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    forcePathStyle: pathStyle,
    // See `Retrier`.
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler:
      proxies === undefined || proxies.isEmpty
        ? { ...timeouts, httpAgent: agent, httpsAgent: agent }
        : new ProxiedHandler(proxies, { ...timeouts, agent }),
    ...(profile === undefined ? {} : { profile }),
    credentials: credentialsFor(settings),
  }
}

/** The line for which a body gets time beside `--s3-timeout`. */
const minBytesPerSecond = 64 * 2 ** 10

/** A timeout counts from the first byte that is sent, so a large body gets more. */
export function timeoutOf({ requestTimeoutMs }: BucketSettings, body: Buffer) {
  return { requestTimeout: requestTimeoutMs + (body.length * 1000) / minBytesPerSecond }
}

/** What every object is stored with. */
export function storedWith({ encryption, kmsKey, tags }: BucketSettings) {
  const tagging = new URLSearchParams(tags).toString()
  return {
    ...(encryption === 'bucket' ? {} : { ServerSideEncryption: encryption }),
    ...(kmsKey === undefined ? {} : { SSEKMSKeyId: kmsKey }),
    ...(tagging === '' ? {} : { Tagging: tagging }),
  }
}

export const checksumAlgorithms = { crc32: 'CRC32', crc32c: 'CRC32C', sha256: 'SHA256' } as const

/** The checksum that goes with a body; the SDK computes it. */
export function checksummedBy({ checksum }: BucketSettings): {
  ChecksumAlgorithm?: 'CRC32' | 'CRC32C' | 'SHA256'
} {
  return checksum === 'none' ? {} : { ChecksumAlgorithm: checksumAlgorithms[checksum] }
}
