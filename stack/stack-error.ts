/**
 * Something the person at the keyboard can mend: the message is one sentence with what to do. Exit
 * code 1.
 */
export class StackError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'StackError'
  }
}

/** The end of every message about something this machine lacks. */
export const otherWay = 'or use "docker compose up" instead'
