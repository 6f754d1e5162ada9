import { bytes, decimal, flag, group, integer, oneOf } from './options.ts'

/** How documents are sent to Elasticsearch. */
export const bulkGroup = group('Sending to Elasticsearch', {
  templates: flag({ default: true, explanation: 'Install index templates at the start.' }),
  indexProfile: oneOf(['standard', 'lean'], {
    explanation:
      'How new indices map values. standard indexes every field; lean indexes only type, time, key and position, which halves the work of Elasticsearch. By default the cluster keeps its profile; a new cluster gets standard.',
  }),
  bulkBytes: bytes({ default: '5MB', min: 1024, explanation: 'Size of a bulk request.' }),
  bulkConcurrency: integer({
    default: '4',
    min: 1,
    max: 64,
    explanation: 'Maximum number of bulk requests in flight; it adapts below that.',
  }),
  rejectBreaker: integer({
    default: '500',
    min: 0,
    max: 1_000_000,
    explanation:
      'Hold an index when more than half of its last <n> documents are rejected for one reason, which usually means a broken template. 0 disables this.',
  }),
  rejectHold: decimal({
    default: '10',
    min: 0,
    unit: 'minutes',
    explanation:
      'How long a held index waits for its template or mapping to be repaired, and a document that a proxy refuses waits for the proxy. After that, rejected documents go to the rejected index.',
  }),
  bulkLinger: integer({
    default: '200',
    min: 0,
    max: 60_000,
    unit: 'ms',
    explanation: 'Maximum time a document waits for others to fill a bulk request.',
  }),
})
