import { flag, list, readOptions, text } from '../../src/config/options.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import { readTopic } from './read-topic.ts'

/**
 * A worker without sinks: reads a topic and encodes every record, unless an option turns this off.
 * Prints what it read.
 */

const values = readOptions(
  {
    brokers: list({ explanation: 'Brokers.', default: '127.0.0.1:9092' }),
    topic: text({ explanation: 'The topic.', default: 'events' }),
    group: text({ explanation: 'A group of its own.', default: 'bench' }),
    encode: flag({ explanation: 'Only read.', default: true }),
  },
  { argv: process.argv.slice(2), env: {} },
)

const encoder = new LineEncoder({ from: 'value', path: ['type'] })
let records = 0
let bytes = 0
await readTopic(
  values,
  (batch) => {
    records += batch.records.length
    if (values.encode) bytes += encoder.encode(batch).lines.length
  },
  () => console.log('joined'),
)
console.log(JSON.stringify({ records, bytes }))
