import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/**
 * Loaded into a measured worker with `--import`: notes each batch that the files sink takes, with
 * the time, the partition and its offsets. A worker that is killed has written all of its notes.
 */

interface Batch {
  readonly topic: string
  readonly partition: number
  readonly from: number
  readonly next: number
}

const { BENCH_WRITES_FILE: path, BENCH_ROOT: root } = process.env
if (path !== undefined && root !== undefined) {
  const { FilesSink } = (await import(pathToFileURL(join(root, 'src/files/sink.ts')).href)) as {
    readonly FilesSink: { readonly prototype: { write(batch: Batch): Promise<void> } }
  }
  const { prototype } = FilesSink
  const { write } = prototype
  const file = openSync(path, 'a')
  prototype.write = function (batch) {
    const { topic, partition, from, next } = batch
    if (next > from) writeSync(file, `${Date.now()} ${topic}/${partition} ${from} ${next}\n`)
    return write.call(this, batch)
  }
  process.on('exit', () => closeSync(file))
}
