import { execFile } from 'node:child_process'
import { chmod, chown, mkdir, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const mebibyte = 2 ** 20

/**
 * The file system of the archive, to be filled, made read-only and forbidden. A small tmpfs if
 * this user may mount one; else a plain directory, which only `forbid` can break.
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
    // Refused if more is used by then.
    await untilAllowed(async () => {
      const { blocks, bfree, bsize } = await statfs(this.path)
      const used = (blocks - bfree) * bsize
      await this.#remount(`size=${Math.ceil((used + leaveBytes) / 4096) * 4096}`)
    })
  }

  async empty(): Promise<void> {
    await this.#remount(`size=${this.#bytes}`)
  }

  async makeReadOnly(): Promise<void> {
    // Refused while a file is open for writing: by a worker that is frozen for as long as that.
    await untilAllowed(() => this.#remount('ro'))
  }

  async makeWritable(): Promise<void> {
    await this.#remount('rw')
  }

  /** A directory of another user, for a process that does not run as root. */
  async makeOpenTo(uid: number): Promise<void> {
    await mkdir(this.path, { recursive: true })
    await chmod(dirname(this.path), 0o755)
    if (process.getuid?.() === 0) await chown(this.path, uid, uid)
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

async function untilAllowed(remount: () => Promise<void>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await remount()
      return
    } catch (error) {
      if (attempt === 1000) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

/** Room for an archive of a run of this many seconds. */
export function diskBytes(seconds: number): number {
  return (256 + seconds) * mebibyte
}
