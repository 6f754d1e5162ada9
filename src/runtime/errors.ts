/**
 * Errors that a person or the top of the program acts on. Each says what happened, to what, and
 * what to do. Only the top of the program turns them into an exit code.
 */

/**
 * The exit code for each error: this list is the manual of exit codes and of `code` in log lines.
 */
export const errorCodes = {
  /** A wrong flag, variable or configuration key. Exit code 2. */
  USAGE: 2,
  /** Kafka, Elasticsearch or MySQL did not answer at the start, or refused us. Exit code 1. */
  UNREACHABLE: 1,
  /** A topic that was named does not exist. Exit code 1. */
  NO_SUCH_TOPIC: 1,
  /**
   * A topic to restore to cannot take the records because of its settings, a broker's settings, or
   * its partitions; or nobody would find them in the index to restore to. Exit code 1.
   */
  TARGET_UNFIT: 1,
  /**
   * The archive cannot be used: no permission, another file system inside it, a file in its place.
   * Exit code 1.
   */
  ARCHIVE_UNUSABLE: 1,
  /**
   * The archive belongs to another cluster or group, or has a format that this version does not
   * know. Exit code 1.
   */
  ARCHIVE_MISMATCH: 1,
  /** A manifest cannot be read, or the chain of manifests has a hole. Exit code 1. */
  MANIFEST_INVALID: 1,
  /** The archive does not hold what was asked for. Exit code 1. */
  NOT_FOUND: 1,
  /**
   * A data file cannot be read or does not hold what its manifest says, or a proof failed. Exit
   * code 1.
   */
  DAMAGED: 1,
  /**
   * Another worker committed the range that this worker had staged. Handled inside the program,
   * which reopens the partition.
   */
  FENCED: 1,
  /** Another worker began with the same --group-instance-id. Exit code 1. */
  INSTANCE_FENCED: 1,
  /**
   * Kafka no longer has the records, or the archive is ahead of the log's end. Stops that
   * partition. Exit code 1 with --until-end.
   */
  GAP: 1,
  /**
   * Another process does the same at this moment, or somebody changed what was worked on. Exit code
   * 1.
   */
  BUSY: 1,
  /** No record of the type that was named is archived. Exit code 1. */
  NO_SUCH_TYPE: 1,
  /** Kibana did not answer, refused us, or did not accept an import. Exit code 1. */
  KIBANA: 1,
  /** `setup --check` found a difference from what this version installs. Exit code 1. */
  DIFFERS: 1,
  /** `cat --strict` left out records that strict readers refuse. Exit code 1. */
  REFUSED: 1,
  /** `retry-rejected` left rejects: rejected again, or not removable. Exit code 1. */
  REJECTED: 1,
  /** A message, a batch or an answer breaks an assumption of this program. Exit code 1. */
  INTERNAL: 1,
} as const

export type ErrorCode = keyof typeof errorCodes

/**
 * The one error class of this program. `message` is a sentence for a person, `context` names the
 * things that it is about.
 */
export class ArchiverError extends Error {
  readonly code: ErrorCode
  readonly context: Readonly<Record<string, unknown>>

  constructor(
    code: ErrorCode,
    message: string,
    context: Record<string, unknown> = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'ArchiverError'
    this.code = code
    this.context = context
  }

  get exitCode(): number {
    return errorCodes[this.code]
  }
}

/** The archive is damaged there, which does not pass by itself. */
export function isDamage(error: unknown): error is ArchiverError {
  return (
    error instanceof ArchiverError &&
    (error.code === 'MANIFEST_INVALID' || error.code === 'DAMAGED')
  )
}

/** The message of anything that was thrown, with the messages of its causes. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // If a host has several addresses, the message is empty.
  const own = error.message || systemCode(error) || error.name
  if (error instanceof ArchiverError || error.cause === undefined) return own
  const cause = messageOf(error.cause)
  return own.includes(cause) ? own : `${own}: ${cause}`
}

/** The first error of the chain of causes. */
export function rootCause(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? rootCause(error.cause) : error
}

/** The `code` of a system error (`ENOSPC`), or undefined. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** The fields of a log line about something that was thrown; `code` if it has one. */
export function errorFields(error: unknown): {
  readonly err: string
  readonly code: string | undefined
} {
  const code = error instanceof ArchiverError ? error.code : systemCode(error)
  return { err: messageOf(error), code }
}
