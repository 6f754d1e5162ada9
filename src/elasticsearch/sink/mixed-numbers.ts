import { visitNumbers } from '../../record/json-numbers.ts'
import { messageOf } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'
import { anything, each, list, object, optional, text } from '../../runtime/shape.ts'
import type { Elasticsearch } from '../client/client.ts'
import { RequestFailure } from '../client/failure.ts'

/**
 * Fields that are `long` because a number beyond 2^53 came first, and that got a fraction later.
 * `long` ignores the fraction, and a sum would lack it. A runtime field of the same name reads all
 * numbers from the documents instead, as `double`, also those that are there already.
 */

/** This many fields with ignored values are checked, in this many indices each. */
const maxFields = 500
const maxIndices = 500
/** Documents with an ignored value that are searched for a fraction. */
const maxDocuments = 50
const patienceMs = 10_000
const anywhere = { ignore_unavailable: 'true', allow_no_indices: 'true' }
const maxLong = 2 ** 63

interface Buckets {
  readonly buckets: readonly { readonly key: string; readonly indices?: Buckets }[]
}

const buckets = (inner = {}) => object({ buckets: list(object({ key: text, ...inner })) })
const ignoredShape = object({
  aggregations: optional(object({ fields: buckets({ indices: optional(buckets()) }) })),
})
const capsShape = object({ fields: optional(each(anything)) })
const sourcesShape = object({
  hits: object({ hits: list(object({ _source: optional(object({})) })) }),
})

interface Mixed {
  readonly index: string
  readonly field: string
}

/**
 * Looks for such fields in the indices of the prefix and has them read as `double`. `refresh`: what
 * was stored a moment ago counts, too. `timeoutMs`: of one request.
 *
 * @returns what could not be mended, for people
 * @throws RequestFailure when Elasticsearch does not answer
 */
export async function mendMixedNumbers(
  client: Elasticsearch,
  indexPrefix: string,
  log: Logger,
  {
    refresh = false,
    timeoutMs = patienceMs,
  }: { readonly refresh?: boolean; readonly timeoutMs?: number } = {},
): Promise<string[]> {
  const failed: string[] = []
  if (refresh) {
    // Without the right to refresh, what is not visible yet is found the next time.
    await client.request('POST', [`${indexPrefix}*`, '_refresh'], {
      query: anywhere,
      ignore: [403],
      timeoutMs,
    })
  }
  for (const { index, field } of await ignoredFields(client, indexPrefix, timeoutMs)) {
    if (!(await hasFraction(client, index, field, timeoutMs))) continue
    try {
      await client.request('PUT', [index, '_mapping'], {
        body: { runtime: { [field]: { type: 'double' } } },
        timeoutMs,
      })
      log.info(
        { event: 'mixed_numbers', index, field },
        'reading a field of whole numbers and fractions as double',
      )
    } catch (error) {
      if (!(error instanceof RequestFailure) || error.status === undefined) throw error
      failed.push(
        `${field} of ${index} is long and leaves out fractions (${messageOf(error)}); see "Numbers" in docs/elasticsearch.md`,
      )
    }
  }
  return failed
}

/** Per request at the end: a server that does not answer delays no stop for long. */
const stopTimeoutMs = 3000

/** Mends what a sink stored last, before it stops. Never fails: what is left is found later. */
export async function mendAtTheEnd(
  client: Elasticsearch,
  indexPrefix: string,
  log: Logger,
): Promise<void> {
  try {
    const options = { refresh: true, timeoutMs: stopTimeoutMs }
    const failed = await mendMixedNumbers(client, indexPrefix, log, options)
    for (const reason of failed)
      log.warn({ event: 'mixed_numbers_left', reason }, 'a field leaves out fractions')
  } catch (error) {
    log.warn({ event: 'mixed_numbers_unknown', err: error }, 'searching for fractions failed')
  }
}

/** The fields that are `long` and ignored values. */
async function ignoredFields(
  client: Elasticsearch,
  indexPrefix: string,
  timeoutMs: number,
): Promise<Mixed[]> {
  const { body, status } = await client.request<{
    readonly aggregations?: { readonly fields: Buckets }
  }>('POST', [`${indexPrefix}*`, '_search'], {
    query: anywhere,
    // Before 8.15 this field cannot be aggregated.
    ignore: [400],
    shape: ignoredShape,
    timeoutMs,
    body: {
      size: 0,
      query: { exists: { field: '_ignored' } },
      aggs: {
        fields: {
          terms: { field: '_ignored', include: 'value\\..*', size: maxFields },
          aggs: { indices: { terms: { field: '_index', size: maxIndices } } },
        },
      },
    },
  })
  if (status >= 400) return []
  const fieldsOf = new Map<string, string[]>()
  for (const { key: field, indices } of body.aggregations?.fields.buckets ?? []) {
    for (const { key: index } of indices?.buckets ?? [])
      fieldsOf.set(index, [...(fieldsOf.get(index) ?? []), field])
  }
  const mixed: Mixed[] = []
  for (const [index, fields] of fieldsOf) {
    const { body: caps } = await client.request<{
      readonly fields?: Readonly<Record<string, object>>
    }>('GET', [index, '_field_caps'], {
      query: {
        ...anywhere,
        fields: 'value.*',
        types: 'long',
        filters: '-metadata,-parent,-multifield',
      },
      shape: capsShape,
      timeoutMs,
    })
    for (const field of fields) if (caps.fields?.[field] !== undefined) mixed.push({ index, field })
  }
  return mixed
}

/**
 * Whether a document with an ignored value in this field has a number that `long` leaves out only
 * for its fraction.
 */
async function hasFraction(
  client: Elasticsearch,
  index: string,
  field: string,
  timeoutMs: number,
): Promise<boolean> {
  const { body } = await client.request<{
    readonly hits: { readonly hits: readonly { readonly _source?: { readonly value?: unknown } }[] }
  }>('POST', [index, '_search'], {
    query: anywhere,
    shape: sourcesShape,
    timeoutMs,
    body: {
      size: maxDocuments,
      // For this search alone the field is what it would become, and the range keeps the numbers
      // that `long` could hold but for a fraction.
      runtime_mappings: { [field]: { type: 'double' } },
      query: {
        bool: {
          filter: [
            { term: { _ignored: field } },
            { range: { [field]: { gt: -maxLong, lt: maxLong } } },
          ],
        },
      },
    },
  })
  return body.hits.hits.some(({ _source: source }) => isFractionAt(source?.value, field))
}

function isFractionAt(value: unknown, field: string): boolean {
  const bytes = Buffer.from(JSON.stringify(value ?? null))
  let found = false
  visitNumbers(
    bytes,
    { start: 0, end: bytes.length },
    (path, start, end) => {
      const number = Number(bytes.toString('latin1', start, end))
      if (path === field && Number.isFinite(number) && !Number.isInteger(number)) found = true
    },
    'value',
  )
  return found
}
