import type { PartQueue } from '../../delivery/part-queue.ts'
import type { RejectLog } from '../../delivery/reject-log.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Elasticsearch } from '../client/client.ts'
import type { IndexNames } from '../index-name.ts'
import type { BulkBuilder, BulkRequest } from './bulk.ts'
import type { HeldIndices } from './held-indices.ts'
import type { ElasticsearchSinkOptions } from './options.ts'
import type { Pace } from './pace.ts'
import type { Part } from './part.ts'
import type { DocumentSearch } from './search.ts'

/** What those share that deal with the answers to bulk requests. */
export interface BulkContext {
  /** As `Sink.name`. */
  readonly sink: string
  readonly client: Elasticsearch
  readonly options: ElasticsearchSinkOptions
  readonly log: Logger
  readonly names: IndexNames
  readonly builder: BulkBuilder
  readonly pace: Pace
  /** Documents that wait to be sent. */
  readonly queue: PartQueue<Part>
  /** Documents that wait for their indices. */
  readonly held: HeldIndices
  /** Documents that do not get through while others do. */
  readonly search: DocumentSearch
  readonly rejectLog: RejectLog
  /** Aborted when the sink stops. */
  readonly stopping: AbortSignal

  /** Nothing is wrong with the documents: all requests wait, and come back fewer and smaller. */
  failed(reason: string, level: 'warn' | 'error'): void
  /** Elasticsearch takes documents. */
  recovered(): void
  /** Puts the documents of a request back, to be sent again. */
  putBack(request: BulkRequest): void
  /** Sends these documents and no others, before all that wait. `probes`: as in `BulkRequest`. */
  sendNow(parts: readonly Part[], probes?: string): void
  /** Whether a request that is known to be good passes now. */
  controlPasses(): Promise<boolean>
}
