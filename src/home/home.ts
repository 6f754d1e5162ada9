import type { ArchiverError } from '../runtime/errors.ts'

export { MayBeCreated, NotRegular, StagingGone } from './refusals.ts'

/**
 * Where an archive lives: a directory of a POSIX file system, or a bucket. The commit log,
 * compaction, every reader and `verify` know only this contract, so their reasoning holds for each
 * home that keeps it. `test/helpers/home-contract.ts` is the same list of promises as a suite.
 *
 * **Names** are relative to the root, with `/` between segments, as `files/log/path.ts` makes them.
 * The root itself is the empty name. A home neither knows what a name means nor trusts a name that
 * lies in it: on a file system no link below the root is followed, and nothing but a regular file
 * is opened.
 *
 * **Durable** means: it is there after a power cut of every machine of the home.
 *
 * **Errors.** What may pass by itself and is not about one name (a throttled store, a reset
 * connection), a home retries itself. Anything else it throws, as an `ArchiverError` or as the
 * system's own error, which `explain` turns into one. Unless a call says otherwise, after an error
 * its effect may have happened, may not have happened, or may still happen: a request may arrive
 * long after its sender gave up. The commit log is built so that each of the three is harmless.
 *
 * **Concurrency.** Any number of calls may run at once, in any number of processes.
 */

/** A name that is there. */
export interface NameStat {
  readonly bytes: number
  /** Changes whenever the content does. Callers only compare it. */
  readonly stamp: string
}

/** A file in a listing. */
export interface NameSize {
  readonly name: string
  readonly bytes: number
  /** What the store computed of its content; undefined if it cannot be compared. */
  readonly checksum?: string | undefined
}

/**
 * An open file. What is published never changes, so all reads see one content, also when the name
 * is removed meanwhile. A bucket may lose it then: a read throws, and `stat` says that it is gone.
 */
export interface HomeFile {
  readonly bytes: number
  /**
   * Fills `target` from byte `at` of the file on. Returns how many bytes it read: fewer than the
   * target holds only at the end, 0 behind it.
   */
  read(target: Buffer, at: number): Promise<number>
  close(): Promise<void>
}

/** The entry of a manifest says this of a file that a home with directories staged. */
export interface StagedInDirectory {
  /** The name that the file has until it is published. */
  readonly staged: string
}

/** The entry of a manifest says this of a file that a bucket staged: an open multipart upload. */
export interface StagedAsUpload {
  readonly upload: {
    readonly id: string
    /** The ETags of its parts, in order. */
    readonly parts: readonly string[]
    /**
     * The checksums of its parts, in order. The store wants them again when the upload is
     * completed. Absent if the upload began without checksums.
     */
    readonly checksums?: readonly string[]
  }
}

/**
 * Where a committed file is until it is published. The manifest holds it, so that anybody can
 * publish the file after its writer died.
 */
export type Staged = StagedInDirectory | StagedAsUpload

/** A file to publish, as its manifest describes it. */
export type Publishable = Staged & {
  /** Its final name. Never used for another content, neither before nor afterwards. */
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

/** What is known of a staged file once its last byte is known. */
export interface StagedFacts {
  /** The final name. A bucket needs it to upload, so no upload begins before. */
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

/**
 * Who takes the steps of a commit. The chaos tests break the program at `<label>.<step>`, see
 * `runtime/fault.ts`; a label has no other effect.
 */
export type CommitLabel = 'origin' | 'files' | 'compaction'

/** What a compaction removes, for the chaos tests. */
export type RemovalLabel = 'compaction.replaced' | 'compaction.manifest'

/** What readers need of a home. */
export interface ReadableHome extends AsyncDisposable {
  /** What people call it: `/srv/archive`, `s3://bucket/prefix`. */
  readonly title: string

  /** The format of its manifests: 1 names what lies in directories, 2 names open uploads. */
  readonly manifestFormat: 1 | 2

  /** What people call a name of it: `/srv/archive/_archive.json`. */
  locate(name: string): string

  /**
   * Opens a file to read it; undefined if nothing has the name. If `list` or a manifest named it
   * and it is not found, somebody has removed it since.
   *
   * @param from the byte that is read first: a bucket brings the bytes from there along.
   * @throws NotRegular; ArchiverError `ARCHIVE_UNUSABLE` if a directory above it is a link.
   */
  open(name: string, from?: number): Promise<HomeFile | undefined>

  /** What is known of a name without opening it; undefined if nothing has the name. */
  stat(name: string): Promise<NameStat | undefined>

  /**
   * The last segments of all names directly below a directory that begin with `beginning`, in no
   * particular order. None if nothing is there.
   *
   * **It is not stale**: a name whose `create`, `publish` or `remove` settled anywhere before this
   * call began is listed, or not, as that left it. The guard of a flush rests upon this (P13).
   *
   * @throws ArchiverError `ARCHIVE_UNUSABLE` if something else than a directory has that name.
   */
  list(directory: string, beginning?: string): Promise<string[]>

  /**
   * All names below a directory. The names below one directory come together, in the home's own
   * order. `walk` calls `enters` for each directory that it reaches, with its whole name, and
   * perhaps for names that are no directories. If it returns true, the names below it come; if
   * false, the name of the directory comes instead. Something that is no directory has nothing
   * below it. A directory that is empty may come or not.
   *
   * For readers: it reads as it goes, so memory does not grow with the archive. Changes meanwhile
   * may be seen or not.
   */
  walk(directory: string, enters: (directory: string) => boolean): AsyncIterable<string>

  /**
   * The files below a directory whose names begin with `beginning`, with their sizes, in no
   * particular order. Undefined if this home tells no more at once than `stat` of each name does.
   *
   * It reads as it goes, and changes meanwhile may be seen or not.
   */
  sizes(directory: string, beginning: string): AsyncIterable<NameSize> | undefined

  /** What `sizes` shows of it if its store computes that from its parts. Some do not: a hint. */
  storedChecksum?(file: Publishable): string | undefined

  /** True if what was staged can still be published: `publish` has not come to it yet. */
  isStaged(file: Publishable): Promise<boolean>

  /** Any error of this home in words that say what happened and what to do. */
  explain(error: unknown): Promise<ArchiverError>
}

/** A home that can be written. */
export interface Home extends ReadableHome {
  /**
   * Makes the root if there is none. From then on this object means that one place, also when a
   * link on the way to it is changed.
   */
  begin(): Promise<void>

  /**
   * The path, for people, of a directory above the root that holds this name: an archive inside
   * another one would count as part of it. Undefined if nothing above has the name, or nothing can
   * be seen there.
   */
  above(name: string): Promise<string | undefined>

  /**
   * Finds out, before anything is read from Kafka, whether this home keeps its promises: a file can
   * be staged, `create` excludes (also several at the same moment), publish works. Leaves nothing
   * behind but the directories that an archive needs.
   * @throws ArchiverError `ARCHIVE_UNUSABLE` that names what it does not keep.
   */
  prove(names: Probe): Promise<void>

  /**
   * Gives a content a name that nothing has yet. Others see it whole or not at all. Durable, name
   * and content, when it settles. In a home with directories, `prove` or `Staging.sync` has made
   * the one of the name.
   *
   * **It excludes**: of all who ever create a name, at any time, exactly one gets `true`, until it
   * is removed.
   *
   * **It knows its own lost answer**: if the request took effect and the answer was lost, a retry
   * that finds this very content has won, and returns true. So a content that must have one owner
   * differs from any other: manifests of format 2 have a nonce. Returns false only if the content
   * that has the name is another one.
   */
  create(name: string, content: string): Promise<boolean>

  /**
   * Gives a name this content, whatever it had before. Others see the old one or the new one,
   * whole. Durable when it settles. Of two at the same moment either may be left.
   */
  replace(name: string, content: string): Promise<void>

  /**
   * Makes a name durable that somebody else created: the creator may have died before it was
   * durable. To be called before any step that only this name justifies.
   */
  confirm(name: string): Promise<void>

  /**
   * Begins to stage below a directory that nobody else ever uses, `_staging/<…>/<worker>-<hex>`.
   * Nothing that is staged is ever seen by readers.
   */
  stage(directory: string): Promise<Staging>

  /**
   * Makes committed files visible under their final names, durably when it settles.
   *
   * Only for files of a manifest that was created. **Idempotent, by anybody, at any time, at the
   * same moment too**: what is published already stays as it is, and after its removal it does not
   * come back.
   *
   * @returns the files that are nowhere, for good: no later call publishes them. They were
   *   published and removed since, or they are lost. The caller knows which.
   */
  publish<T extends Publishable>(
    files: readonly T[],
    label: Exclude<CommitLabel, 'origin'>,
  ): Promise<T[]>

  /**
   * Removes names, in any order; one that is gone already is fine. When it settles, none of them
   * comes back after a power cut, except with `emptied`.
   */
  remove(names: readonly string[], how?: Removal): Promise<void>

  /**
   * Removes what others staged, by the names of their directories, as `list` gave them. It removes
   * only what this program puts there. The caller knows that none of it can be committed any more.
   * A home without staging directories lists none, and does nothing.
   */
  removeStaging(directories: readonly string[]): Promise<void>

  /**
   * Ends every call that waits for a store which does not answer: it throws, and its effect may
   * have happened, may not have happened, or may still happen. So does every later call.
   * @returns what was waited for, for people; undefined if nothing was
   */
  giveUp?(): string | undefined

  /** Free and total bytes of the home for this user; undefined if it does not say. */
  space(): Promise<Space | undefined>
}

/** Names that nothing has, for `prove`: where files are staged, created and published. */
export interface Probe {
  readonly staged: string
  readonly created: string
  readonly published: string
}

/** What a home has, in bytes. */
export interface Space {
  /** Free for this user. */
  readonly free: number
  readonly total: number
}

/** How names are removed. */
export interface Removal {
  /** For the chaos tests. */
  readonly label?: RemovalLabel
  /**
   * Also the directories that are empty then. Not durable: a prune that a power cut takes back is
   * repeated.
   */
  readonly emptied?: boolean
}

/**
 * What one writer stages, and what it commits of it. Every call except `create` works on files that
 * nobody else touches, except to remove them; then each call throws `StagingGone`.
 */
export interface Staging {
  /** Relative to the root. */
  readonly directory: string

  /** The local path of a scratch file, which is never durable and goes with `remove`. */
  scratch(name: string): string

  /** A file to be written, by the name that it has while it is staged. Does nothing yet. */
  file(name: string): StagedFile

  /**
   * Makes the names of all staged files durable, and prepares the place for these final names. So a
   * publication does not fail for lack of room after the commit. A bucket has nothing to do here:
   * uploads are complete.
   */
  sync(paths: Iterable<string>): Promise<void>

  /**
   * **The commit point**: `Home.create` for a manifest or an origin, which may be larger than one
   * string. What the content names as staged is durable before.
   *
   * @returns false if somebody else created the name: the caller is fenced.
   * @throws MayBeCreated; after any other error nothing was created, and nothing will be.
   */
  create(name: string, content: Iterable<string>, label: CommitLabel): Promise<boolean>

  /**
   * Removes everything that is staged and not published: files, open uploads, scratch. To be called
   * only if no manifest that names it can be there.
   */
  remove(): Promise<void>
}

/**
 * One file in the making. Calls come one after another. It keeps no descriptor and no connection
 * open between them: thousands are in the making at once.
 */
export interface StagedFile {
  /**
   * Appends bytes, or all pieces as they come. Not durable yet. A piece is overwritten once the
   * next one is requested, so a caller that keeps it copies it.
   */
  append(bytes: Buffer | AsyncIterable<Buffer>): Promise<void>

  /**
   * Appends the last bytes and makes the whole content durable; nothing is appended after that. A
   * bucket uploads here. Returns where it is, for the manifest.
   *
   * @throws ArchiverError `ARCHIVE_UNUSABLE` if somebody changed the file. After any error the file
   *   is staged again from its first byte, under another name: the result of a second fsync is not
   *   reliable.
   */
  complete(facts: StagedFacts, last?: Buffer): Promise<Staged>

  /** Removes all that exists of it. */
  remove(): Promise<void>
}
