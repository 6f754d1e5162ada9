import { bytes, group, integer } from './options.ts'

/** How rows are sent. */
export const mysqlSinkGroup = group('Sending to MySQL', {
  mysqlBatchBytes: bytes({
    default: '2MB',
    min: 1024,
    explanation: 'Size of a statement. It always stays below max_allowed_packet of the server.',
  }),
  mysqlConcurrency: integer({
    default: '2',
    min: 1,
    max: 64,
    explanation: 'Maximum number of statements in flight, and of connections.',
  }),
  mysqlLinger: integer({
    default: '200',
    min: 0,
    max: 60_000,
    unit: 'ms',
    explanation: 'Maximum time a row waits for others to fill a statement.',
  }),
})
