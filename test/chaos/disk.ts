import { execFile } from 'node:child_process'
import { chmod, mkdir, statfs } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const mebibyte = 2 ** 20

/**
 * The file system of the archive, to be filled, made read-only and forbidden. A small tmpfs where this user may mount one; else a
 * plain directory, which only `forbid` can break.
 */
export class Disk {
  readonly path: string
  readonly #bytes: number
  #mounted = false

  constructor(path: string, bytes: number) {
    this.path = path
    this.#bytes = bytes
  }

  get isMounted(): boolean {
    return this.#mounted
  }

  async mount(): Promise<void> {
    await mkdir(this.path, { recursive: true })
    try {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${this.#bytes}`, 'archiver-chaos', this.path])
      this.#mounted = true
    } catch {
      // Not permitted to this user: the run goes on without, and says so.
    }
  }

  async unmount(): Promise<void> {
    if (!this.#mounted) return
    await run('umount', ['-l', this.path])
    this.#mounted = false
  }

  /** Takes all room but a little, so that a flush may begin and cannot end. */
  async fill(leaveBytes: number): Promise<void> {
    const { blocks, bfree, bsize } = await statfs(this.path)
    const used = (blocks - bfree) * bsize
    await this.#remount(`size=${Math.ceil((used + leaveBytes) / 4096) * 4096}`)
  }

  async empty(): Promise<void> {
    await this.#remount(`size=${this.#bytes}`)
  }

  async makeReadOnly(): Promise<void> {
    // Refused while a file is open for writing, which is never for long.
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#remount('ro')
        return
      } catch (error) {
        if (attempt === 50) throw error
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  }

  async makeWritable(): Promise<void> {
    await this.#remount('rw')
  }

  /** Takes the permission from everybody but root. */
  async forbid(): Promise<void> {
    await chmod(this.path, 0o000)
  }

  async permit(): Promise<void> {
    await chmod(this.path, 0o755)
  }

  async #remount(option: string): Promise<void> {
    await run('mount', ['-o', `remount,${option}`, this.path])
  }
}

/** Room for an archive of a run of this many seconds. */
export function diskBytes(seconds: number): number {
  return (256 + seconds) * mebibyte
}
