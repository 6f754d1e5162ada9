import { LineEncoder } from '../../src/record/line/encoder.ts'
import type { RecordBatch, SourceRecord } from '../../src/record/record.ts'

const encoder = new LineEncoder({ from: 'value', path: ['type'] })

const noPadding = Buffer.alloc(0)
const end = Buffer.from('"}')

/**
 * A batch as the worker hands it to the sinks: offsets `[from, next)`, each record of
 * `typeOf(offset)` at `timestampOf(offset)`.
 */
export function makeBatch(
  tp: { readonly topic: string; readonly partition: number },
  from: number,
  next: number,
  typeOf: (offset: number) => string = () => 'a',
  timestampOf: (offset: number) => number = () => Date.UTC(2026, 0, 1),
  paddingOf: () => Buffer = () => noPadding,
): RecordBatch {
  const records: SourceRecord[] = []
  for (let offset = from; offset < next; offset++) {
    records.push({
      offset,
      timestamp: timestampOf(offset),
      key: null,
      value: Buffer.concat([
        Buffer.from(`{"type":"${typeOf(offset)}","n":${offset},"padding":"`),
        paddingOf(),
        end,
      ]),
      headers: [],
    })
  }
  return encoder.encode({ ...tp, from, next, records })
}
