import { createHash, randomBytes } from 'node:crypto'
import { ArchiverError } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import type { ObjectHead } from './objects.ts'
import { type BucketSettings, storeTitle, withOptionNames } from './settings.ts'
import type { Store } from './store.ts'
import type { ObjectFacts, StoredUpload } from './uploads.ts'

/** Creates at the same moment, and how often: a race that two win is not lost every time. */
const racers = 8
const rounds = 4
/** A bucket that ends uploads sooner may end the only copy of a committed file. */
const minAbortDays = 2
const safeAbortDays = 7

/**
 * What the names of a proof begin with. Spark, Hive and the archive's own readers skip what begins
 * like this.
 */
export const probeBeginning = '_archive.json.probe-'

/** What is proved with the names and the operations that a flush uses. */
interface ProofContext {
  /** Of keys of the archive, with its slash. */
  readonly prefix: string
  readonly log: Logger
}

interface Creator {
  readonly title: string
  create(name: string, content: string): Promise<boolean>
}

/**
 * Finds out whether a store keeps what exactly-once rests upon. Some accept `If-None-Match` and do
 * not honour it (Google's S3 API, s3rver), or honour it without excluding (S3Mock, s3s-fs): two
 * workers would both commit. About 60 requests, once a start.
 *
 * @throws ArchiverError `ARCHIVE_UNUSABLE` that names what the store does not keep.
 */
export async function proveStore(
  home: Creator,
  store: Store,
  { prefix, log }: ProofContext,
): Promise<void> {
  const unique = randomBytes(6).toString('hex')
  const name = (what: string) => `${probeBeginning}${unique}-${what}`
  const made: string[] = []
  const refuse = (why: string): never => {
    const at = storeTitle(store.settings)
    throw new ArchiverError(
      'ARCHIVE_UNUSABLE',
      `${at} cannot hold an archive: ${why}. Use a store of the list in docs/object-store.md`,
      { bucket: store.settings.bucket, endpoint: at },
    )
  }
  try {
    await proveCreate(
      home,
      (what) => {
        made.push(prefix + name(what))
        return name(what)
      },
      refuse,
    )
    // Names of data files have these signs, which some stores change.
    const key = prefix + name('upload+%2F=')
    made.push(key)
    await proveUploads(store, { key, log }, refuse)
  } finally {
    await store.objects.remove(made)
  }
  await checkLifecycle(store, prefix, log)
}

async function proveCreate(
  home: Creator,
  nameOf: (what: string) => string,
  refuse: (why: string) => never,
): Promise<void> {
  const name = nameOf('create')
  if (!(await home.create(name, 'one'))) refuse('a new name was taken')
  if (await home.create(name, 'other')) {
    refuse(
      'it takes PUT with "If-None-Match: *" and overwrites all the same, so two workers could commit the same records',
    )
  }
  for (let round = 0; round < rounds; round++) {
    const contended = nameOf(`race-${round}`)
    const racing = Array.from({ length: racers }, (_, i) => home.create(contended, `racer ${i}`))
    const winners = (await Promise.all(racing)).filter((won) => won).length
    if (winners !== 1) {
      refuse(
        `of ${racers} writers that create one name at the same moment ${winners} succeed, so two workers could commit the same records`,
      )
    }
  }
}

async function proveUploads(
  store: Store,
  { key, log }: { readonly key: string; readonly log: Logger },
  refuse: (why: string) => never,
): Promise<void> {
  const body = Buffer.from('can be uploaded and completed\n')
  const facts = { bytes: body.length, sha256: createHash('sha256').update(body).digest('hex') }
  const id = await store.uploads.create(key, facts.sha256)
  try {
    await proveUpload(store, { key, id, body, facts, log }, refuse)
  } catch (error) {
    // The first error says more than one of this request, without which the upload would stay.
    await store.uploads.abort(key, id).catch(() => undefined)
    throw error
  }
}

interface ProofUpload {
  readonly key: string
  readonly id: string
  readonly body: Buffer
  readonly facts: ObjectFacts
  readonly log: Logger
}

/** Upload, complete, head, list, remove; and what was removed does not come back. */
async function proveUpload(
  { objects, uploads, settings }: Store,
  { key, id, body, facts, log }: ProofUpload,
  refuse: (why: string) => never,
): Promise<void> {
  const upload: StoredUpload = { id, parts: [await uploads.uploadPart(key, id, 1, body)] }
  const isListed = async () =>
    (await objects.listNames(key)).objects.some((listed) => listed.key === key)
  if ((await objects.head(key)) !== undefined || (await isListed()))
    refuse('an upload can be seen before it is completed')
  if (!(await uploads.complete(key, upload, facts))) refuse('an upload cannot be completed')
  if (!(await uploads.isThere(key, facts)))
    refuse('an object does not keep its size and the metadata "sha256" that its upload was given')
  if (!(await isListed())) refuse('an object is not listed by its name once it is written')
  checkStoredAs(await objects.head(key), settings, log)
  await objects.remove([key])
  if ((await objects.head(key)) !== undefined || (await isListed()))
    refuse('an object is still there after it was removed')
}

/**
 * Some stores take the headers of encryption and classes, and ignore them (versitygw 1.8.0). Who
 * asks for encryption must not believe in one that is not there.
 *
 * @throws ArchiverError `ARCHIVE_UNUSABLE`
 */
function checkStoredAs(head: ObjectHead | undefined, settings: BucketSettings, log: Logger): void {
  const { bucket, encryption, storageClass } = settings
  if (encryption !== 'bucket' && head?.encryption !== encryption) {
    throw new ArchiverError(
      'ARCHIVE_UNUSABLE',
      withOptionNames(
        settings,
        `${storeTitle(settings)} takes --s3-sse ${encryption}, and does not encrypt so: leave the option out, or use a store that does`,
      ),
      { bucket, encryption: head?.encryption },
    )
  }
  if (storageClass === undefined || storageClass === (head?.storageClass ?? 'STANDARD')) return
  log.warn(
    { event: 'store_ignores_storage_class', bucket, storage_class: head?.storageClass },
    'object store ignores the storage class',
  )
}

/**
 * Between manifest and completion an open upload is the only copy of a file.
 * @throws ArchiverError `ARCHIVE_UNUSABLE`
 */
async function checkLifecycle(store: Store, prefix: string, log: Logger): Promise<void> {
  const days = await store.uploads.abortAfterDays(prefix)
  const { bucket } = store.settings
  if (days === undefined || days >= safeAbortDays) return
  if (days < minAbortDays) {
    throw new ArchiverError(
      'ARCHIVE_UNUSABLE',
      `a lifecycle rule of bucket ${bucket} ends incomplete uploads after ${days} day: give AbortIncompleteMultipartUpload ${safeAbortDays} days, or a prefix that is not the archive's`,
      { bucket, days },
    )
  }
  log.warn(
    { event: 'store_aborts_uploads_early', bucket, days },
    'lifecycle rule ends incomplete uploads early',
  )
}
