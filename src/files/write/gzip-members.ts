import type { Transform } from 'node:stream'
import { constants, createGzip, type ZlibReset } from 'node:zlib'

/** Up to this size, lines have fewer symbols than zlib's smaller setting holds for one block. */
const maxSmall = 2 ** 16

/**
 * How much memory zlib takes, and clears for each member. Ten thousand buckets have ten thousand
 * small members: with the 384 KiB of the max setting, they take half as much CPU again.
 *
 * `chunkSize`: output is cut from buffers of this size. Each end of one is a turn of the event
 * loop.
 */
const settings = {
  small: { memLevel: 8, chunkSize: 2 ** 16 },
  large: { memLevel: 9, chunkSize: 2 ** 18 },
} as const
type Size = keyof typeof settings

/**
 * Idle streams kept of each size: 0.3 MB each for all small members that are in the making at once,
 * and 0.8 MB each for zlib's four threads.
 */
const maxIdle = { small: 16, large: 4 } as const

/** Output waits to be read once a member is whole: no stream may wait for a reader before that. */
const highWaterMark = Number.MAX_SAFE_INTEGER

/** What Node's gzip streams are: gzip is deflate with a header of its own. */
type GzipStream = Transform & ZlibReset & { close(): void }

/**
 * Makes gzip members (RFC 1952, section 2.2), in zlib's thread pool. A stream of Node's for each
 * member takes as long as compressing 30 kB does, so streams are used again.
 */
export class GzipMembers {
  readonly #level: number
  readonly #idle: Record<Size, GzipStream[]> = { small: [], large: [] }

  /** `level`: 1 fast to 9 small. */
  constructor(level: number) {
    this.#level = level
  }

  /** A member with these bytes, which must not change meanwhile. */
  async compress(bytes: Buffer): Promise<Buffer> {
    const size = bytes.length > maxSmall ? 'large' : 'small'
    const stream = this.#idle[size].pop() ?? this.#begin(size)
    const member = await memberOf(stream, bytes)
    if (this.#idle[size].length < maxIdle[size]) {
      stream.reset()
      this.#idle[size].push(stream)
    } else stream.close()
    return member
  }

  #begin(size: Size): GzipStream {
    // Each write is a member by itself.
    const options = { level: this.#level, flush: constants.Z_FINISH, highWaterMark }
    return createGzip({ ...options, ...settings[size] }) as unknown as GzipStream
  }
}

function memberOf(stream: GzipStream, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    stream.once('error', reject)
    stream.write(bytes, (error) => {
      if (error) {
        reject(error)
        return
      }
      stream.off('error', reject)
      resolve(stream.read() as Buffer)
    })
  })
}
