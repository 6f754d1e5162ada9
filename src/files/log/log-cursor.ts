import { firstBehind, type LogEntry } from './log-listing.ts'
import type { Manifest } from './manifest.ts'

/** Manifests that are read at once, ahead of the caller. */
export const manifestsAhead = 16
/** How often a manifest that is gone is looked up again. */
export const maxTries = 20

/** A manifest as readers get it. */
export type LoggedManifest = Manifest & {
  /**
   * True if it replaced manifests, and some of those had been read already. It begins where those
   * ended, and one of its files may begin earlier than its `first` says (see `isSlice`). Then the
   * number of its records is not known.
   */
  readonly isPart?: boolean
}

/** A manifest that cannot be read, and why. */
export interface UnreadableManifest {
  readonly from: number
  readonly error: unknown
}

/** What a cursor goes through. */
export interface CursorSource {
  /** The manifests in force, in ascending order. */
  readonly entries: readonly LogEntry[]
  /** Lists them again. */
  refresh(): Promise<void>
  /** @returns undefined if it is gone. */
  read(entry: LogEntry): Promise<Manifest | undefined>
  /** What to throw for a manifest that vanishes again and again. */
  vanished(from: number): Error
}

/**
 * Goes through the manifests of a commit log in order, and reads some ahead.
 *
 * It knows two numbers. Every manifest that begins at or below `#given` was returned, and
 * `#position` is the `next` of the last one. Between two calls a compaction may replace what it
 * listed. It detects that in two ways, lists the log again, and continues:
 *
 * - a manifest is gone, or the next one begins behind `#position`;
 * - a compacted manifest spans `#position`; its part from there on is next.
 */
export class LogCursor {
  readonly #log: CursorSource
  readonly #ahead = new Map<LogEntry, Promise<Manifest | UnreadableManifest | undefined>>()
  #given = -1
  /** Undefined at the beginning, and after a manifest that cannot be read. */
  #position: number | undefined

  constructor(log: CursorSource) {
    this.#log = log
  }

  /**
   * The next manifest; undefined at the end of the log. A later call there returns what was
   * committed and listed since.
   * @throws ArchiverError `MANIFEST_INVALID`
   */
  async next(): Promise<LoggedManifest | UnreadableManifest | undefined> {
    for (let tries = 0; ; tries++) {
      const found = this.#find()
      if (found === undefined) return undefined
      const { entry, spans } = found
      const manifest = await this.#take(entry)
      const isHole = this.#position !== undefined && entry.from > this.#position
      // A hole that is still there in a second listing is a real one: `verify` names it.
      if (manifest !== undefined && !(isHole && tries === 0)) return this.#give(manifest, spans)
      if (tries === maxTries) throw this.#log.vanished(entry.from)
      await this.#log.refresh()
    }
  }

  /** Reads the next manifest of the listing, and some that follow. */
  #find(): { readonly entry: LogEntry; readonly spans: boolean } | undefined {
    const { entries } = this.#log
    // It comes from a listing that is newer than the position: it replaced what was read, and more.
    const over = spanning(entries, this.#position)
    if (over !== undefined) {
      this.#readAhead([over])
      return { entry: over, spans: true }
    }
    const first = firstBehind(entries, this.#given)
    const entry = entries[first]
    if (entry === undefined) return undefined
    this.#readAhead(entries.slice(first, first + manifestsAhead))
    return { entry, spans: false }
  }

  #readAhead(entries: readonly LogEntry[]): void {
    const wanted = new Set(entries)
    for (const known of this.#ahead.keys()) if (!wanted.has(known)) this.#ahead.delete(known)
    for (const entry of entries) {
      if (!this.#ahead.has(entry)) {
        const read = this.#log.read(entry)
        this.#ahead.set(
          entry,
          read.catch((error: unknown) => ({ from: entry.from, error })),
        )
      }
      // A compacted one may be a hundred times as large.
      if (entry.compacted !== undefined) return
    }
  }

  #take(entry: LogEntry): Promise<Manifest | UnreadableManifest | undefined> {
    const reading = this.#ahead.get(entry)!
    this.#ahead.delete(entry)
    return reading
  }

  #give(
    manifest: Manifest | UnreadableManifest,
    spans: boolean,
  ): LoggedManifest | UnreadableManifest {
    if ('error' in manifest) {
      this.#position = undefined
      this.#given = Math.max(this.#given, manifest.from)
      return manifest
    }
    const given = spans ? partFrom(this.#position!, manifest) : manifest
    this.#position = manifest.next
    this.#given = spans ? manifest.next - 1 : manifest.from
    return given
  }
}

/** The compacted manifest that holds a position and begins before it. */
function spanning(
  entries: readonly LogEntry[],
  position: number | undefined,
): LogEntry | undefined {
  if (position === undefined) return undefined
  const entry = entries[firstBehind(entries, position - 1) - 1]
  return entry?.compacted !== undefined && position < entry.compacted.next ? entry : undefined
}

/**
 * What a manifest says about the offsets from `position` on, for a reader that has read the rest.
 */
function partFrom(position: number, manifest: Manifest): LoggedManifest {
  return {
    ...manifest,
    from: position,
    files: manifest.files
      .filter(({ last }) => last >= position)
      .map((file) => (file.first >= position ? file : { ...file, first: position })),
    gaps: manifest.gaps
      .filter(({ next }) => next > position)
      .map((gap) => ({ ...gap, from: Math.max(gap.from, position) })),
    isPart: true,
  }
}
