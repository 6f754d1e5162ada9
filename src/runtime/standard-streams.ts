import { fstatSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'
import { systemCode } from './errors.ts'
import type { Logger } from './log.ts'
import { readableLines } from './readable-text.ts'

/**
 * The only place that writes to standard output and standard error. A log line that cannot be
 * written is counted and dropped. A result that cannot be written is remembered, and the top of the
 * program gives it an exit code.
 *
 * Node writes to a file with one `write(2)` and ignores how many bytes it took: on a full disk, the
 * end of a result is missing without an error. So this class writes to files and devices itself,
 * until everything is written. Pipes, sockets and terminals are left to Node.
 */

/** Log lines beyond this are dropped, because the reader of the log is too slow or has stopped. */
const maxHeldBytes = 2 ** 20

export class StandardStream {
  readonly #fd: 1 | 2
  readonly #isDirect: boolean
  readonly isTTY: boolean
  /** Bytes that Node holds for a slow reader. */
  #held = 0
  #waiting: (() => void)[] = []
  #failure: Error | undefined
  #onFailure: ((error: Error) => void) | undefined
  #lostLines = 0
  #untoldLines = 0
  #log: Logger | undefined
  /** A write ended inside a line: the next one must not continue it. */
  #isCut = false

  constructor(fd: 1 | 2) {
    this.#fd = fd
    this.isTTY = isatty(fd)
    this.#isDirect = !this.isTTY && isFileOrDevice(fd)
    // Each write has its own callback; without a listener, an error would also end the process.
    this.#node.on('error', () => undefined)
  }

  get columns(): number | undefined {
    return this.isTTY ? this.#node.columns : undefined
  }

  /** The first error of a result; undefined if there was none. */
  get failure(): Error | undefined {
    return this.#failure
  }

  /** Log lines that could not be written. */
  get lostLines(): number {
    return this.#lostLines
  }

  /** Calls back, once, when a result cannot be written. */
  onFailure(listener: (error: Error) => void): void {
    this.#onFailure = listener
  }

  /** Reports lost lines to this log, as soon as it can be written again. */
  reportLostLinesTo(log: Logger): void {
    this.#log = log
  }

  /** Writes log lines as they are. Never throws; what cannot be written is counted. */
  write(text: string): void {
    if (text === '') return
    const lines = text.split('\n').length - 1
    if (this.#held > maxHeldBytes) {
      this.#lose(lines)
      return
    }
    this.#put(Buffer.from(this.#isCut ? `\n${text}` : text), (error, isPart) => {
      if (error === undefined) {
        this.#isCut = false
        this.#tell()
        return
      }
      this.#isCut ||= isPart
      this.#lose(lines)
    })
  }

  /** Prints a result for people: lines, without foreign control characters. */
  print(text: string): void {
    void this.send(Buffer.from(`${readableLines(text)}\n`))
  }

  /** Prints a result for programs: one line of JSON, with the same characters escaped. */
  printJson(value: unknown): void {
    void this.send(Buffer.from(`${readableLines(JSON.stringify(value))}\n`))
  }

  /**
   * Writes bytes of a result unchanged. Resolves when they are written, or when waiting is useless.
   */
  async send(bytes: Buffer, signal?: AbortSignal): Promise<void> {
    if (this.#failure !== undefined || signal?.aborted === true) return
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    const onAbort = () => end()
    signal?.addEventListener('abort', onAbort)
    this.#put(bytes, (error) => {
      if (error !== undefined) this.#fail(error)
      end()
    })
    await ended
    signal?.removeEventListener('abort', onAbort)
  }

  /** Resolves when Node holds nothing more for this stream. */
  async drained(): Promise<void> {
    if (this.#held > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  get #node(): NodeJS.WriteStream {
    return this.#fd === 1 ? process.stdout : process.stderr
  }

  #put(bytes: Buffer, done: (error: Error | undefined, isPart: boolean) => void): void {
    if (this.#isDirect) {
      let written = 0
      try {
        while (written < bytes.length) written += writeSync(this.#fd, bytes, written)
      } catch (error) {
        done(error as Error, written > 0)
        return
      }
      done(undefined, false)
      return
    }
    this.#held += bytes.length
    this.#node.write(bytes, (error) => {
      this.#held -= bytes.length
      done(error ?? undefined, false)
      if (this.#held === 0) for (const resume of this.#waiting.splice(0)) resume()
    })
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#onFailure?.(error)
  }

  #lose(lines: number): void {
    this.#lostLines += lines
    this.#untoldLines += lines
  }

  #tell(): void {
    const lines = this.#untoldLines
    if (lines === 0 || this.#log === undefined || this.#held > maxHeldBytes / 2) return
    this.#untoldLines = 0
    this.#log.warn(
      { event: 'log_lines_lost', lines },
      'log lines were lost: the log could not be written',
    )
  }
}

function isFileOrDevice(fd: number): boolean {
  try {
    const stat = fstatSync(fd)
    return stat.isFile() || stat.isCharacterDevice() || stat.isBlockDevice()
  } catch {
    // Node opens all three at its start. What cannot be examined is left to Node.
    return false
  }
}

/**
 * True if a stream has no reader any more: its pipe or socket is closed, or its terminal is gone.
 */
export function isReaderGone(error: Error, stream: Pick<StandardStream, 'isTTY'>): boolean {
  const code = systemCode(error)
  if (code === 'EIO') return stream.isTTY
  return code === 'EPIPE' || code === 'ECONNRESET' || code === 'ERR_STREAM_DESTROYED'
}

export const standardOutput = new StandardStream(1)
export const standardError = new StandardStream(2)
