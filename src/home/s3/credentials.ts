import {
  fromIni,
  fromNodeProviderChain,
  fromTemporaryCredentials,
} from '@aws-sdk/credential-providers'
import type { BucketSettings } from './settings.ts'

/** The SDK renews credentials that expire within five minutes. */
const renewedBeforeMs = 5 * 60_000
/** How often keys without an end are read again, in ms. */
const rereadMs = 5 * 60_000

type Source = ReturnType<typeof fromNodeProviderChain>

/**
 * Credentials of a profile, or of the SDK's chain: variables, profiles, SSO, a web identity, a
 * container, an instance. The SDK itself reads keys without an expiration once. But whoever rotates
 * keys rewrites the file of profiles, and a worker runs for months: so they are read again.
 */
export function renewedCredentials({
  profile,
  region,
}: Pick<BucketSettings, 'profile' | 'region'> = {}): Source {
  // By itself the SDK would go on to other sources if there is no such profile.
  const source: Source =
    profile === undefined
      ? fromNodeProviderChain({ ignoreCache: true })
      : fromIni({ profile, ignoreCache: true, ...inRegion(region) })
  let found: Awaited<ReturnType<Source>> | undefined
  return async (options) => {
    const isKept = found !== undefined && found.expiration === undefined
    try {
      found = await source(isKept ? { ...options, forceRefresh: true } : options)
    } catch (error) {
      // The file is being written. The keys of before may hold; if not, the store says so.
      if (!isKept) throw error
    }
    return found!.expiration === undefined
      ? { ...found!, expiration: new Date(Date.now() + rereadMs + renewedBeforeMs) }
      : found!
  }
}

/** The credentials for a bucket: its own, or those of the role that these may assume. */
export function credentialsFor(settings: BucketSettings): Source {
  const { roleArn, externalId, region } = settings
  const own = renewedCredentials(settings)
  if (roleArn === undefined) return own
  return fromTemporaryCredentials({
    masterCredentials: own,
    params: {
      RoleArn: roleArn,
      RoleSessionName: 'archiver',
      ...(externalId === undefined ? {} : { ExternalId: externalId }),
    },
    ...inRegion(region),
  })
}

function inRegion(region: string | undefined) {
  return region === undefined ? {} : { clientConfig: { region } }
}
