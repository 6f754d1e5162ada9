import { S3Home } from '../../src/home/s3/home.ts'
import { createLogger } from '../../src/runtime/log.ts'
import { compactNow, flush, tp } from './bucket-archive.ts'
import { createFilesSink } from './files-sink.ts'
import { bucketSettings } from './object-stores.ts'

/**
 * A writer in a process of its own, which dies at the point that `ARCHIVER_FAULT` names:
 * `bucket-writer.ts <endpoint> <prefix> <scratch> <next> [compact]` writes what is missing up to
 * `next` in flushes of ten records.
 */

const [endpoint, prefix, scratchDir, next, compact] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string?,
]
const log = createLogger({ level: 'warn', stream: process.stderr })
const home = await S3Home.open(bucketSettings(endpoint, { prefix }), {
  scratchDir,
  log,
  patienceMs: 30_000,
})
const sink = createFilesSink('', { home, worker: `process-${process.pid}` }, log)
await sink.start(() => {})
const { next: position = 0 } = await sink.open(tp, 0)
for (let from = position; from < Number(next); from += 10)
  await flush(sink, from, Math.min(from + 10, Number(next)))
if (compact !== undefined) await compactNow(home)
await sink.stop()
