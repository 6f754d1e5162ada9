/** Errors of a home that its callers tell apart: see `home.ts`. */

/** Something that is no regular file has a file's name, so it is not opened. */
export class NotRegular extends Error {}

/**
 * What was staged has been removed by others. They remove only what can never be committed any
 * more. So this call committed none of it, and no later call will.
 */
export class StagingGone extends Error {
  /** As the error behind it says it, for `explain`. */
  readonly code: string
  readonly path: string

  constructor(path: string, cause: Error & { readonly code?: unknown }) {
    super(cause.message, { cause })
    this.path = path
    this.code = typeof cause.code === 'string' ? cause.code : 'ENOENT'
  }
}

/**
 * A commit has no known answer: the name may exist, or may still appear. What is staged must not be
 * removed, because a manifest may name it.
 */
export class MayBeCreated extends Error {
  constructor(name: string, cause: unknown) {
    super(`${name} may have been created`, { cause })
  }
}
