import type { Rejection } from '../rejected.ts'
import { numberTemplates } from '../templates/number-templates.ts'

/**
 * What Elasticsearch's answers mean. An answer is judged in three scopes, by `error.type` and
 * reason and not by status alone: a status of 400 can be one bad document, or a closed index that
 * will be opened again.
 *
 * - request: nothing is wrong with the documents. They are sent again later, with less in flight.
 * - index: nothing is wrong with the documents, but their index takes none now. It is held and
 *   retried, and an alarm is raised.
 * - document: this document will never be taken as it is. It is kept as a reject.
 * - template: the index lacks a dynamic template that the action line names. The document is sent
 *   again without it.
 */
export type Scope = 'stored' | 'exists' | 'request' | 'index' | 'document' | 'template'

export interface ItemError {
  readonly type: string
  readonly reason: string
  readonly caused_by?: ItemError
}

/** One item of a bulk answer, as `filter_path` leaves it. */
export interface BulkItem {
  readonly status: number
  readonly error?: ItemError
  /** `used` or `failed` if a failure store took the document instead of its index. */
  readonly failure_store?: string
}

/** Temporary for one item: the queue of a node, a circuit breaker, a shard that moves. */
const requestTypes = new Set([
  'es_rejected_execution_exception',
  'circuit_breaking_exception',
  'unavailable_shards_exception',
  'process_cluster_event_timeout_exception',
  'no_shard_available_action_exception',
  'node_closed_exception',
  'node_not_connected_exception',
  'node_disconnected_exception',
  'receive_timeout_transport_exception',
  'timeout_exception',
  'cluster_manager_not_discovered_exception',
  'master_not_discovered_exception',
  'shard_not_found_exception',
  'alias_unavailable_exception',
])

/** The ones among them that are about the shards of one index: other indices need not wait. */
const shardTypes = new Set([
  'unavailable_shards_exception',
  'no_shard_available_action_exception',
  'shard_not_found_exception',
])

/**
 * Something about the index, the cluster's limits or our rights: good documents wait until somebody
 * mends it.
 */
const indexTypes = new Set([
  'cluster_block_exception',
  'index_closed_exception',
  'index_not_found_exception',
  'invalid_index_name_exception',
  'invalid_alias_name_exception',
  'security_exception',
  'validation_exception',
  'index_create_block_exception',
  'invalid_index_template_exception',
  'resource_not_found_exception',
  'retention_lease_not_found_exception',
])

/**
 * The shard limit comes as `illegal_argument_exception` when a bulk request would create the index.
 * Anchored, and used for no other type: reasons quote field names and values, and a message
 * must not hold its index by what it says.
 */
const indexReasons = [
  /^(Validation Failed: \d+: )?this action would add \[\d+\] (total )?shards/,
  /maximum (normal |frozen )?shards open;?$/,
  /^no such index \[/,
  /^index \[[^\]]*\] is closed/,
  // The pipeline that the index names.
  /^pipeline with id \[[^\]]*\] does not exist$/,
]

const documentTypes = new Set([
  'document_parsing_exception',
  'mapper_parsing_exception',
  'strict_dynamic_mapping_exception',
  'parsing_exception',
  'parse_exception',
  'x_content_parse_exception',
  'json_parse_exception',
  'stream_constraints_exception',
  'illegal_argument_exception',
  'mapper_exception',
  'action_request_validation_exception',
  'number_format_exception',
  'max_bytes_length_exceeded_exception',
  'array_index_out_of_bounds_exception',
  'null_pointer_exception',
  'class_cast_exception',
  'ingest_processor_exception',
  'fail_processor_exception',
  'script_exception',
  'document_size_exceeded_exception',
])

/** Errors that a single document provokes although their status is 500. */
const documentTypesOf500 = new Set([
  'array_index_out_of_bounds_exception',
  'null_pointer_exception',
  'class_cast_exception',
  'number_format_exception',
  'ingest_processor_exception',
  'fail_processor_exception',
])

/**
 * An index that was made before the templates had these names, or by somebody else's template.
 * Anchored: what a message says comes later in a reason.
 */
const missingTemplate = new RegExp(
  `^(\\[\\d+:\\d+\\] )?Can't find dynamic template for dynamic template name \\[(${Object.values(numberTemplates).join('|')})\\]`,
)

/** Judges one item of a bulk answer to a `create`. */
export function judgeItem(item: BulkItem): Scope {
  const { status, error } = item
  if (item.failure_store === 'used' || isDropped(item)) return 'document'
  if (error === undefined) return status === 201 ? 'stored' : scopeOfStatus(status)
  if (status === 409 || error.type === 'version_conflict_engine_exception') return 'exists'
  if (missingTemplate.test(error.reason ?? '')) return 'template'
  if (indexTypes.has(error.type)) return 'index'
  if (requestTypes.has(error.type)) return 'request'
  if (status >= 500 && documentTypesOf500.has(error.type)) return 'document'
  if (status === 429 || status >= 500) return 'request'
  if (error.type === 'illegal_argument_exception' && isAboutTheIndex(error)) return 'index'
  if (documentTypes.has(error.type)) return 'document'
  // Unrecognized error type: hold the index and raise an alarm, instead of rejecting thousands of
  // documents.
  return 'index'
}

/**
 * A `create` that made a document answers 201. With 200 and no error an ingest pipeline of the
 * index has dropped it.
 */
function isDropped({ status, error }: BulkItem): boolean {
  return status === 200 && error === undefined
}

/**
 * What a log may say of an error. Reasons quote values, names of fields and whole pieces of a
 * document, each kind of error in its own way. So only a reason that is about an index, the cluster
 * or our rights is logged. Of any other error the types are logged:
 * `document_parsing_exception, illegal_argument_exception`. The reject has the reason.
 *
 * @param max characters of each reason
 */
export function sayableOf(error: ItemError, max: number): string {
  const isOfNoDocument =
    indexTypes.has(error.type) || requestTypes.has(error.type) || isAboutTheIndex(error)
  return isOfNoDocument ? `${error.type}: ${reasonOf(error, max)}` : typesOf(error).join(', ')
}

/** The same for a request as a whole whose `error.type` is known. */
export function isSayable(type: string): boolean {
  return indexTypes.has(type) || requestTypes.has(type)
}

function typesOf({ type, caused_by: cause }: ItemError): string[] {
  return cause === undefined ? [type] : [type, ...typesOf(cause)]
}

/**
 * Why a document is not in its index, for an item that is neither `stored` nor `exists`.
 * @param max characters of each reason
 */
export function rejectionOf(item: BulkItem, max: number): Rejection {
  if (item.error !== undefined) {
    return {
      type: item.error.type,
      reason: reasonOf(item.error, max),
      sayable: sayableOf(item.error, max),
    }
  }
  if (item.failure_store !== undefined)
    return { type: 'failure_store', reason: 'the index put the document into its failure store' }
  if (isDropped(item))
    return {
      type: 'dropped_by_pipeline',
      reason: 'an ingest pipeline of the index dropped the document',
    }
  return { type: `status ${item.status}`, reason: `status ${item.status}` }
}

/**
 * True for an unrecognized error: it holds the index for a while only, then it is taken for the
 * document's own.
 */
export function isUnrecognized({ status, error }: BulkItem): boolean {
  return (
    error !== undefined &&
    judgeItem({ status, error }) === 'index' &&
    !indexTypes.has(error.type) &&
    !isAboutTheIndex(error)
  )
}

/** True for what is temporary, and about the shards of one index alone. */
export function isAboutShards(error: ItemError | undefined): boolean {
  return error !== undefined && shardTypes.has(error.type)
}

/** True if the error itself, or what caused it, is about the index. */
function isAboutTheIndex({ reason, caused_by: cause }: ItemError): boolean {
  if (indexReasons.some((pattern) => pattern.test(reason ?? ''))) return true
  return cause !== undefined && isAboutTheIndex(cause)
}

function scopeOfStatus(status: number): Scope {
  return status === 429 || status >= 500 ? 'request' : 'index'
}

/**
 * The reason with that of its causes: Elasticsearch says "failed to parse" and hides why in
 * `caused_by`. Each is cut to `max` characters, as they quote values.
 */
export function reasonOf(error: ItemError, max: number = Number.POSITIVE_INFINITY): string {
  const own = (error.reason ?? '').slice(0, max)
  if (error.caused_by === undefined) return own
  const inner = reasonOf(error.caused_by, max)
  return own.includes(inner) ? own : `${own}: ${inner}`
}

/**
 * What documents that are refused for the same thing have in common: `error.type`, and the reason
 * without its values, positions and ids.
 */
export function kindOf(error: ItemError): string {
  const words = (error.reason ?? '')
    .replace(/ in document with id .*$/s, '')
    .replace(/'[^']*'/g, '…')
    .replace(/\s+at \[Source.*$/s, '')
    .replace(/\d+/g, 'N')
    .slice(0, 160)
  return `${error.type}: ${words}`
}

/** What the answer to a whole bulk request asks of the sink. */
export type RequestScope =
  /** Send the same again later. */
  | 'again'
  /** The body is larger than the server takes: send the same in two halves. */
  | 'halve'
  /** One document breaks the request: send the same in two halves, until that one is alone. */
  | 'bisect'
  /** Nothing of this sink gets through until somebody mends it: credentials, rights, a proxy. */
  | 'refused'

/** Errors for which one document can make Elasticsearch refuse a whole request. */
const bisectTypes = new Set([
  'illegal_argument_exception',
  'action_request_validation_exception',
  'parse_exception',
  'parsing_exception',
  'x_content_parse_exception',
  'json_parse_exception',
  'json_e_o_f_exception',
  'stream_constraints_exception',
])

/**
 * Judges a request that has no items to judge, by its status (undefined: no answer at all) and
 * `error.type`.
 */
export function judgeRequest(status: number | undefined, type?: string): RequestScope {
  if (status === 413) return 'halve'
  if (status === undefined || status === 408 || status === 429 || status >= 500) return 'again'
  if (status === 400 && type !== undefined && bisectTypes.has(type)) return 'bisect'
  return 'refused'
}
