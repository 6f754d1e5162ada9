import { open, readFile, writeFile } from 'node:fs/promises'
import { IndexNames } from '../../src/elasticsearch/index-name.ts'
import { documentId } from '../../src/elasticsearch/sink/part.ts'
import { numberTemplatesOf } from '../../src/elasticsearch/templates/number-templates.ts'
import { LineEncoder } from '../../src/record/line/encoder.ts'
import { lineStart, type RecordBatch } from '../../src/record/record.ts'
import { readTopic } from './read-topic.ts'

/**
 * Bulk bodies made beforehand, one after another in a file; the lengths of the bodies lie beside
 * it.
 */

/**
 * The documents of a batch as the worker sends them, each behind its action line. `naming`: with
 * the dynamic templates that their numbers need, for indices that have these.
 */
export function bulkDocuments(batch: RecordBatch, names: IndexNames, naming = true): Buffer[] {
  return Array.from({ length: batch.count }, (_, i) => {
    const index = names.of(batch.types[batch.typeIndexes[i]!]!, batch.hours[i]!)
    const templates = naming ? numberTemplatesOf(batch, i) : undefined
    const named = templates === undefined ? '' : `,"dynamic_templates":${templates}`
    const action = `{"create":{"_index":"${index}","_id":"${documentId(batch, batch.offsets[i]!)}"${named}}}\n`
    return Buffer.concat([
      Buffer.from(action),
      batch.lines.subarray(lineStart(batch, i), batch.ends[i]),
    ])
  })
}

export interface Body {
  readonly bytes: number
  readonly documents: number
}

const lengthsOf = (path: string) => `${path}.lengths.json`

/** Reads a whole topic and writes its documents as bodies of about `bodyBytes`. */
export async function writeBodies(options: {
  readonly path: string
  readonly brokers: readonly string[]
  readonly topic: string
  readonly group: string
  readonly indexPrefix: string
  readonly bodyBytes: number
  /** See `bulkDocuments`. */
  readonly naming?: boolean
  /** Sees each batch before its documents are made. */
  readonly look?: (batch: RecordBatch) => void
}): Promise<readonly Body[]> {
  const names = new IndexNames(options.indexPrefix)
  const encoder = new LineEncoder({ from: 'value', path: ['type'] })
  const file = await open(options.path, 'w')
  const bodies: Body[] = []
  let documents: Buffer[] = []
  let bytes = 0
  // Writes are queued one behind another; the reader does not wait for them.
  let written: Promise<unknown> = Promise.resolve()
  const cut = () => {
    if (documents.length === 0) return
    const body = Buffer.concat(documents)
    bodies.push({ bytes, documents: documents.length })
    written = written.then(() => file.writeFile(body))
    written.catch(() => {})
    documents = []
    bytes = 0
  }
  try {
    await readTopic(options, (batch) => {
      const encoded = encoder.encode(batch)
      options.look?.(encoded)
      for (const document of bulkDocuments(encoded, names, options.naming)) {
        if (bytes + document.length > options.bodyBytes) cut()
        documents.push(document)
        bytes += document.length
      }
    })
    cut()
    await written
  } finally {
    await file.close()
  }
  await writeFile(lengthsOf(options.path), JSON.stringify(bodies))
  return bodies
}

export async function readBodies(path: string): Promise<readonly Body[]> {
  return JSON.parse(await readFile(lengthsOf(path), 'utf8')) as readonly Body[]
}
