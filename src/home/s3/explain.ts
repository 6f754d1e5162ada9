import { unansweredHint } from '../../runtime/address.ts'
import { ArchiverError, messageOf, systemCode } from '../../runtime/errors.ts'
import { describeProxy } from '../../runtime/proxies.ts'
import { TunnelRefused } from '../../runtime/tunnel.ts'
import { ForeignAnswer } from './answers.ts'
import { connectionCode, isPassing, readStoreError, statusOf, storeCode } from './errors.ts'
import {
  type BucketSettings,
  type Encryption,
  storeTitle,
  storeUrl,
  withOptionNames,
} from './settings.ts'

/** What a rejection by the store, or the lack of an answer, is called for people. */

/** A request, as a message names it. */
export interface Attempt {
  /** `PutObject`: also the name of the right in a policy, with few exceptions. */
  readonly operation: string
  /** The key that it is about; absent when it is about the bucket. */
  readonly key?: string | undefined
}

/** Amazon refuses requests that are 15 minutes off. */
const maxSkewMs = 5 * 60_000

/** Rights whose name in a policy is not that of the operation. */
const rights: Readonly<Record<string, string>> = {
  HeadObject: 's3:GetObject',
  HeadBucket: 's3:ListBucket',
  ListObjectsV2: 's3:ListBucket',
  ListMultipartUploads: 's3:ListBucketMultipartUploads',
  CreateMultipartUpload: 's3:PutObject',
  UploadPart: 's3:PutObject',
  CompleteMultipartUpload: 's3:PutObject',
  DeleteObjects: 's3:DeleteObject',
  GetBucketLifecycleConfiguration: 's3:GetLifecycleConfiguration',
}

/**
 * One line for a person: what went wrong with which bucket or key, and what to do. Names no secret:
 * what the store said is quoted only when it is not about a signature.
 */
export function explainStore(
  settings: BucketSettings,
  attempt: Attempt,
  error: unknown,
): ArchiverError {
  if (error instanceof ArchiverError) return error
  const why = withOptionNames(settings, reasonOf(settings, attempt, error))
  const isUnreached = statusOf(error) === undefined && isPassing(error)
  return new ArchiverError(
    isUnreached ? 'UNREACHABLE' : 'ARCHIVE_UNUSABLE',
    why,
    { bucket: settings.bucket, key: attempt.key, operation: attempt.operation },
    // A signature error carries the whole request that was signed.
    isAboutSignature(error) ? undefined : error,
  )
}

function isAboutSignature(error: unknown): boolean {
  return /Signature|AccessKey|Token|Credential/i.test(storeCode(error) ?? '')
}

function reasonOf(settings: BucketSettings, { operation, key }: Attempt, error: unknown): string {
  const { bucket } = settings
  const {
    name = '',
    message = messageOf(error),
    status,
    region,
    headers = {},
  } = readStoreError(error) ?? {}
  const at = storeTitle(settings)
  const via = at + wayTo(settings)
  const what = key === undefined ? `bucket ${bucket}` : `s3://${bucket}/${key}`
  const advice = named(settings, name, { operation, what, at, headers })
  if (advice !== undefined) return advice
  if (isWrongRegion(name, status, region)) {
    return region === undefined
      ? `bucket ${bucket} is in another region than ${settings.region ?? 'that of the profile'}: give --s3-region`
      : `bucket ${bucket} is in region ${region}, not in ${settings.region ?? 'that of the profile'}: give --s3-region ${region}`
  }
  const { location } = headers
  if (status !== undefined && status >= 300 && status < 400 && location !== undefined)
    return `${via} redirects to ${redirection(location, at)}: give --s3-endpoint the address of the store itself`
  // Of the service that gives credentials, before the store is asked.
  if (status === 403 && /sts:Assume/.test(message))
    return `the credentials that were found may not assume the role: ${firstLine(message)}; change the trust policy of the role, or --s3-role-arn`
  // A proxy has a 403 of its own.
  if (status === 403 && (via === at || name === 'AccessDenied')) {
    const right = rights[operation] ?? `s3:${operation}`
    const owner =
      settings.expectedOwner === undefined
        ? ''
        : `, or the bucket is not of account ${settings.expectedOwner} (--s3-expected-owner)`
    // The answer to a HEAD has no body that could say so.
    const skew = name === 'AccessDenied' ? 0 : skewOf(headers)
    if (Math.abs(skew) > maxSkewMs)
      return `${at} refused ${operation} of ${what} and gave no reason; the clock of this machine differs from its clock${describeSkew(headers)}: set it (NTP). If that does not help, ${right} is not allowed`
    return `${at} does not allow ${right} on ${what}${owner}: add that right to the policy of the user or role, or name another bucket with --archive-dir`
  }
  if (status === undefined) return unreached(via, settings, error)
  return `${via} refused ${operation} of ${what}: ${status} ${name}: ${firstLine(message)}`
}

/** ` through the proxy …`, or nothing. */
function wayTo(settings: BucketSettings): string {
  const proxy = settings.proxies?.of(new URL(storeUrl(settings)))
  return proxy === undefined ? '' : ` through ${describeProxy(proxy)}`
}

/** Rejections whose name says what to do. */
function named(
  settings: BucketSettings,
  name: string,
  {
    operation,
    what,
    at,
    headers,
  }: {
    readonly operation: string
    readonly what: string
    readonly at: string
    readonly headers: Readonly<Record<string, string>>
  },
): string | undefined {
  const { bucket } = settings
  switch (name) {
    case 'NoSuchBucket':
      return `there is no bucket ${bucket} at ${at}: make it, or name another with --archive-dir or --s3-endpoint`
    case 'InvalidBucketName':
      return `${at} cannot have a bucket ${bucket}: name another with --archive-dir`
    case 'InvalidAccessKeyId':
    // versitygw 1.8.0, with 404.
    case 'XAdminUserNotFound':
      return `${at} does not know the access key that was found (AWS_ACCESS_KEY_ID, a profile or a role): give one of this store`
    case 'SignatureDoesNotMatch':
      return `${at} does not accept the secret key that was found (AWS_SECRET_ACCESS_KEY, a profile or a role): it is not that of the access key`
    case 'RequestTimeTooSkewed':
    case 'RequestExpired':
      return `the clock of this machine differs too much from that of ${at}${describeSkew(headers)}: set it (NTP)`
    case 'ExpiredToken':
    case 'ExpiredTokenException':
    case 'TokenRefreshRequired':
      return `the session token that was found has expired: log in again, or give credentials that renew themselves`
    case 'InvalidToken':
      return `${at} does not accept the session token that was found (AWS_SESSION_TOKEN)`
    case 'CredentialsProviderError':
      if (settings.profile !== undefined)
        return `profile ${settings.profile} (--s3-profile) gives no credentials: it must be in the configuration files of AWS (AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE), with keys, a login or a role`
      return 'no credentials for the bucket were found: give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), a web identity, or the role of a container or instance'
    case 'AllAccessDisabled':
    case 'AccountProblem':
      return `${at} has locked the account of bucket ${bucket}`
    case 'InvalidStorageClass':
      return `${at} does not know the storage class ${settings.storageClass}: change --s3-storage-class`
    case 'InvalidTag':
      return `${at} does not accept the tags of --s3-tags`
    case 'InvalidObjectState':
      return `${what} lies in a storage class that must be restored before it can be read`
    case 'NoSuchUpload':
      return `the upload of ${what} is gone`
    case 'EntityTooLarge':
      return `${at} does not take an object as large as ${what}: lower --flush-bytes or --compact-max-bytes`
    case 'NotImplemented':
      return `${at} does not know ${operation}${optionsOf(settings)}: leave the options out that it does not know, or use another store`
    case 'QuotaExceeded':
    case 'InsufficientStorage':
    case 'XMinioStorageFull':
      return `${at} has no space left for ${what}`
    default:
      return encryption(settings.encryption, name, at)
  }
}

function encryption(choice: Encryption, name: string, at: string): string | undefined {
  if (!/^(KMS\.|InvalidEncryption|ServerSideEncryption)/.test(name)) return undefined
  return `${at} cannot encrypt with ${choice}: ${name}; check --s3-sse, --s3-kms-key, and the rights kms:GenerateDataKey and kms:Decrypt`
}

function isWrongRegion(
  name: string,
  status: number | undefined,
  region: string | undefined,
): boolean {
  if (name === 'PermanentRedirect' || name === 'TemporaryRedirect') return true
  // Servers before a store redirect as well: to https, or to a page for people.
  if (status === 301 || status === 307) return region !== undefined
  return /AuthorizationHeaderMalformed|IllegalLocationConstraint/.test(name) && region !== undefined
}

/** How far the clock of this machine is ahead of the store's, in ms; NaN if it does not say. */
function skewOf(headers: Readonly<Record<string, string>>): number {
  return Date.now() - Date.parse(headers.date ?? '')
}

function describeSkew(headers: Readonly<Record<string, string>>): string {
  const skew = skewOf(headers)
  return Number.isNaN(skew) ? '' : ` (by ${Math.round(skew / 1000)} s)`
}

/** The options that a store may not know. */
function optionsOf({ encryption, tags, storageClass, checksum }: BucketSettings): string {
  const used = [
    ...(encryption === 'bucket' ? [] : ['--s3-sse']),
    ...(Object.keys(tags).length === 0 ? [] : ['--s3-tags']),
    ...(storageClass === undefined ? [] : ['--s3-storage-class']),
    ...(checksum === 'none' ? [] : ['--s3-checksum']),
  ]
  return used.length === 0 ? '' : ` with ${used.join(', ')}`
}

function unreached(at: string, { endpoint }: BucketSettings, error: unknown): string {
  if (error instanceof TunnelRefused) return error.message
  if (error instanceof ForeignAnswer)
    return `${at} does not answer as an object store does (${error.answer}): check --s3-endpoint (http or https, host, port), and what is between`
  const code = systemCode(error) ?? connectionCode(error)
  const text = error instanceof Error && error.message === '' ? code : messageOf(error)
  if (/CERT|SELF_SIGNED|ALTNAME|UNABLE_TO_VERIFY/.test(code ?? '')) {
    return `the certificate of ${at} is not trusted (${code}): name its authority with NODE_EXTRA_CA_CERTS, or check --s3-endpoint`
  }
  if (/EPROTO|ERR_SSL|HPE_/.test(code ?? ''))
    return `${at} does not speak the protocol of that URL (${code}): check http or https in --s3-endpoint`
  if (/^(ENOTFOUND|EAI_AGAIN)$/.test(code ?? ''))
    return `the name${hostnameIn(error)} of ${at} is not known (${code}): check --s3-endpoint and --s3-region; stores without a name for each bucket need --s3-path-style`
  const secure =
    /hang up/.test(text ?? '') && /^http:/.test(at) ? ', and does this port want https' : ''
  const hint =
    endpoint === undefined
      ? 'is there a way to it, and is --s3-region right?'
      : unansweredHint('--s3-endpoint', secure)
  return `no answer from ${at}: ${firstLine(text ?? 'no reason given')}; ${hint}`
}

/** The name that was looked for: a bucket has one below that of the store, a proxy its own. */
function hostnameIn(error: unknown): string {
  const { hostname } = error as { readonly hostname?: unknown }
  return typeof hostname === 'string' ? ` ${hostname}` : ''
}

/** Without a query, which may be signed. */
function redirection(location: string, base: string): string {
  const target = URL.parse(location, base)
  return target === null ? 'elsewhere' : target.origin + target.pathname
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!.slice(0, 300)
}

/** A page of a listing that is not the last one, from a store that does not say where to go on. */
export function endlessListing(settings: BucketSettings): ArchiverError {
  const at = storeTitle(settings)
  return new ArchiverError(
    'ARCHIVE_UNUSABLE',
    `${at} ends a listing of bucket ${settings.bucket} and does not say where it goes on. Use a store of the list in docs/object-store.md`,
    { bucket: settings.bucket, endpoint: at },
  )
}
