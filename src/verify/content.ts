import { type CommitLog, hourOfFile, typeOf } from '../files/log/commit-log.ts'
import type { ManifestFile } from '../files/log/manifest.ts'
import { isGone, readBlocks } from '../files/read/members.ts'
import type { ReadableHome } from '../home/home.ts'
import { LF } from '../record/ascii.ts'
import { LineHead } from '../record/line/head.ts'
import type { OffsetRange } from '../record/record.ts'
import { ArchiverError } from '../runtime/errors.ts'
import type { CheckedLines } from './file-lines.ts'
import { LineSums } from './line-sums.ts'
import type { ComparedStore, StoreCheck } from './store-check.ts'

/**
 * Finds the records of a store that are not their lines. Adds up all lines first, and reads files
 * again only where the sums differ.
 */
export class ContentComparison {
  readonly #home: ReadableHome
  readonly #log: CommitLog
  readonly #end: number
  readonly #sums = new LineSums()

  /** Offsets from `end` on are not compared: they are not acknowledged yet. */
  constructor(home: ReadableHome, log: CommitLog, end: number) {
    this.#home = home
    this.#log = log
    this.#end = end
  }

  /** Adds the lines of a file. */
  add({ text, offsets, starts }: CheckedLines): void {
    for (const [i, offset] of offsets.entries()) {
      if (offset >= this.#end) return
      this.#sums.add(offset, text.subarray(starts[i]!, text.indexOf(LF, starts[i]!)))
    }
  }

  /** Compares a store, once all lines are added. */
  async compare({ check, sums }: ComparedStore): Promise<void> {
    if (sums === undefined) return
    for (const chunk of this.#sums.differing(await sums())) await this.#compareChunk(check, chunk)
  }

  async #compareChunk(check: StoreCheck, chunk: OffsetRange): Promise<void> {
    const log = this.#log
    await log.refresh()
    for (let position = chunk.from; position < chunk.next; ) {
      const manifest = await log.covering(position).catch(() => undefined)
      if (manifest === undefined) {
        position = log.entries.find(({ from }) => from > position)?.from ?? chunk.next
        continue
      }
      for (const file of manifest.files) {
        if (file.last < chunk.from || file.first >= chunk.next) continue
        await this.#compareFile(check, file, chunk)
      }
      position = manifest.next
    }
  }

  async #compareFile(check: StoreCheck, file: ManifestFile, chunk: OffsetRange): Promise<void> {
    const head = new LineHead()
    try {
      for await (const text of readBlocks(this.#home, file.path)) {
        const offsets: number[] = []
        const starts: number[] = []
        for (let start = 0; start < text.length; start = text.indexOf(LF, start) + 1) {
          if (!head.read(text, start) || head.offset < chunk.from || head.offset >= chunk.next)
            continue
          offsets.push(head.offset)
          starts.push(start)
        }
        const lines = { type: typeOf(file), hour: hourOfFile(file), text, offsets, starts }
        await check.compareContent(lines, this.#end)
      }
    } catch (error) {
      const replacement = isGone(error) ? await this.#log.replacementOf(file) : undefined
      if (replacement !== undefined) return this.#compareFile(check, replacement, chunk)
      // A file that cannot be read, or was pruned meanwhile, is reported by the first read.
      if (!(error instanceof ArchiverError) || error.code !== 'DAMAGED') throw error
    }
  }
}
