import type { Observer } from '../../pipeline/observer.ts'
import type { IndexProfile } from '../templates/index-profile.ts'

export interface ElasticsearchSinkOptions {
  readonly indexPrefix: string
  /** Bytes of one bulk request. */
  readonly bulkBytes: number
  /** Max bulk requests in flight. */
  readonly bulkConcurrency: number
  /** How long a document may wait for others to fill a request, in ms. */
  readonly bulkLingerMs: number
  /**
   * How long the server may wait for a shard or a new index within a request, in ms; less than the
   * request's own timeout.
   */
  readonly shardTimeoutMs: number
  /**
   * The breaker looks at this many documents of an index, and holds the index when more than half
   * of them are refused for one reason; 0: never.
   */
  readonly rejectBreaker: number
  /** How long such an index is held before its documents are rejected after all, in ms. */
  readonly rejectHoldMs: number
  /** Bytes of records in memory at which partitions are paused. */
  readonly memoryLimit: number
  /** Files are kept of the same records: they have a value that is omitted here. */
  readonly hasFiles: boolean
  /** Log lines and states for people may hold parts of refused records. */
  readonly logSamples: boolean
  readonly installTemplates: boolean
  /** How often the sink checks that the templates are there, and win over others, in ms. */
  readonly templateCheckMs: number
  /** Of the templates; undefined: as it is on the cluster. */
  readonly indexProfile?: IndexProfile | undefined
  readonly observer?: Observer
}
