import { basename } from 'node:path/posix'
import type { Home } from '../../home/home.ts'
import type { TopicPartition } from '../../record/record.ts'
import { readJsonFile } from '../log/json-file.ts'
import type { Manifest } from '../log/manifest.ts'
import { invalidManifest } from '../log/manifest-check.ts'
import { manifestDirectory, parseDataFileName } from '../log/path.ts'

/** Below the log of a partition: which files a copy publishes before their manifest. */
const noteName = 'copying.json'

/**
 * Files of a target that no manifest names yet, because they are copied before it. A note in the
 * log names them. So whoever continues the copy knows which ones are worth a look, and removes
 * those that a compaction at the source has replaced meanwhile.
 */
export class EarlyFiles {
  readonly #target: Home
  readonly #note: string
  #paths: ReadonlySet<string> = new Set()

  constructor(target: Home, tp: TopicPartition) {
    this.#target = target
    this.#note = `${manifestDirectory(tp)}/${noteName}`
  }

  /**
   * Reads the note of an earlier run.
   * @param position where the target's log ends: a manifest behind it names what is before it.
   * @throws ArchiverError `MANIFEST_INVALID`
   */
  async find(position: number): Promise<void> {
    const refuse = (why: string) => invalidManifest(this.#target.locate(this.#note), why)
    const note = await readJsonFile(this.#target, this.#note, { refuse })
    if (note === undefined) return
    const { from, paths } = note
    const isSane =
      Array.isArray(paths) && paths.every((path) => typeof path === 'string' && /^type=/.test(path))
    if (!isSane) throw refuse('it names no data files')
    this.#paths = new Set(paths as string[])
    // The run before died between the manifest and the end of the note.
    if (from !== position) await this.forget()
  }

  /** True if a file may be in place already. */
  has(path: string): boolean {
    return this.#paths.has(path)
  }

  /**
   * Removes those that the next manifest does not name: no later one can.
   * @param position where the target's log ends: what begins before it is committed.
   */
  async keepOnly({ files }: Manifest, position: number): Promise<void> {
    if (this.#paths.size === 0) return
    const wanted = new Set(files.map(({ path }) => path))
    const isStale = (path: string) =>
      !wanted.has(path) && (parseDataFileName(basename(path))?.first ?? -1) >= position
    await this.#target.remove([...this.#paths].filter(isStale))
  }

  /** Notes the files of a manifest, before the first of them is published. */
  async announce({ from, files }: Manifest): Promise<void> {
    const paths = files.map(({ path }) => path)
    if (paths.length === this.#paths.size && paths.every((path) => this.has(path))) return
    await this.#target.replace(this.#note, `${JSON.stringify({ from, paths }, undefined, 1)}\n`)
    this.#paths = new Set(paths)
  }

  /** The manifest that names them is there. */
  async forget(): Promise<void> {
    if (this.#paths.size === 0) return
    this.#paths = new Set()
    await this.#target.remove([this.#note])
  }
}
