import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type BulkItem,
  judgeItem,
  judgeRequest,
  reasonOf,
  type Scope,
} from '../../../../src/elasticsearch/sink/answer.ts'

const item = (status: number, type: string, reason = '', causedBy?: string): BulkItem => ({
  status,
  error: {
    type,
    reason,
    ...(causedBy === undefined ? {} : { caused_by: { type: 'inner', reason: causedBy } }),
  },
})

const shardLimit =
  'Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;'

/**
 * What Elasticsearch 8 and 9 answer, and what it means: an answer is judged by its type and reason,
 * not by status alone.
 */
const rows: readonly (readonly [Scope, BulkItem])[] = [
  ['stored', { status: 201 }],
  [
    'exists',
    item(
      409,
      'version_conflict_engine_exception',
      '[events+3+7]: version conflict, document already exists',
    ),
  ],

  [
    'request',
    item(429, 'es_rejected_execution_exception', 'rejected execution of coordinating operation'),
  ],
  ['request', item(429, 'circuit_breaking_exception', '[parent] Data too large')],
  ['request', item(503, 'unavailable_shards_exception', 'primary shard is not active')],
  [
    'request',
    item(
      503,
      'process_cluster_event_timeout_exception',
      'failed to process cluster event (put-mapping)',
    ),
  ],
  ['request', item(503, 'no_shard_available_action_exception')],
  ['request', item(500, 'node_closed_exception')],
  ['request', item(500, 'timeout_exception')],
  ['request', item(502, 'some_new_exception')],
  ['request', item(429, 'some_new_exception')],
  ['request', { status: 503 }],
  ['request', { status: 429 }],

  [
    'index',
    item(403, 'cluster_block_exception', 'index [a] blocked by: [FORBIDDEN/8/index write (api)];'),
  ],
  [
    'index',
    item(
      429,
      'cluster_block_exception',
      'index [a] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];',
    ),
  ],
  ['index', item(400, 'index_closed_exception', 'closed')],
  ['index', item(400, 'validation_exception', shardLimit)],
  ['index', item(400, 'illegal_argument_exception', shardLimit)],
  [
    'index',
    item(
      400,
      'illegal_argument_exception',
      'this action would add [2] shards, but this cluster has maximum shards open',
    ),
  ],
  [
    'index',
    item(
      404,
      'index_not_found_exception',
      'no such index [a] and [action.auto_create_index] is [false]',
    ),
  ],
  ['index', item(400, 'invalid_index_name_exception', 'Invalid index name')],
  ['index', item(400, 'invalid_alias_name_exception')],
  ['index', item(403, 'security_exception', 'action is unauthorized')],
  ['index', item(401, 'security_exception', 'missing authentication credentials')],
  ['index', item(400, 'a_type_nobody_has_met', 'whatever')],
  ['index', { status: 418 }],

  [
    'template',
    item(
      400,
      'document_parsing_exception',
      "[1:27] Can't find dynamic template for dynamic template name [whole_numbers_beyond_double] of field [value.id]",
    ),
  ],
  // A name that is not ours, and a message that quotes ours.
  [
    'document',
    item(
      400,
      'document_parsing_exception',
      "[1:27] Can't find dynamic template for dynamic template name [x]",
    ),
  ],
  [
    'document',
    item(
      400,
      'document_parsing_exception',
      "failed to parse field [a]: Can't find dynamic template for dynamic template name [numbers_beyond_double]",
    ),
  ],
  ['document', item(400, 'document_parsing_exception', '[1:10] failed to parse field [a]')],
  ['document', item(400, 'mapper_parsing_exception', 'failed to parse')],
  ['document', item(400, 'strict_dynamic_mapping_exception', 'mapping set to strict')],
  [
    'document',
    item(
      400,
      'illegal_argument_exception',
      "Document contains at least one immense term in field='a'",
    ),
  ],
  ['document', item(400, 'parse_exception')],
  ['document', item(400, 'x_content_parse_exception', 'Duplicate field')],
  ['document', { status: 201, failure_store: 'used' }],
  // What an ingest pipeline dropped: its result is `noop`.
  ['document', { status: 200 }],
  // Reasons quote what a message says: it must not hold its index by that.
  [
    'document',
    item(400, 'document_parsing_exception', "Preview of field's value: 'the door is closed'"),
  ],
  ['document', item(400, 'document_parsing_exception', 'failed to parse', 'no such index [a]')],
  [
    'document',
    item(
      400,
      'illegal_argument_exception',
      'mapper [no such index] cannot be changed from type [long]',
    ),
  ],
  ['index', item(400, 'illegal_argument_exception', 'failed', shardLimit)],
]

for (const [scope, answer] of rows) {
  const { status, error, failure_store: failureStore } = answer
  const shown =
    `${status} ${error?.type ?? failureStore ?? ''} ${error?.reason.slice(0, 40) ?? ''}`.trim()
  test(`${scope}: ${shown}`, () => assert.equal(judgeItem(answer), scope))
}

test('the reason is the innermost one', () => {
  assert.equal(
    reasonOf(item(400, 'a', 'failed to parse', 'For input string: "x"').error!),
    'failed to parse: For input string: "x"',
  )
  assert.equal(reasonOf(item(400, 'a', 'failed: because', 'because').error!), 'failed: because')
})

test('a whole request: again, in halves, or refused until somebody mends it', () => {
  for (const status of [undefined, 408, 429, 500, 502, 503, 504])
    assert.equal(judgeRequest(status), 'again')
  assert.equal(judgeRequest(413), 'halve')
  for (const status of [400, 401, 403, 404, 406]) assert.equal(judgeRequest(status), 'refused')
})
