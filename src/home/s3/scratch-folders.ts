import { lstat, readdir, readFile, readlink, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, systemCode } from '../../runtime/errors.ts'
import type { Logger } from '../../runtime/log.ts'

/**
 * Folders of scratch, one for each process, and which of them belong to the dead. A scratch
 * directory may be shared by hosts and by containers, in which the same process ids mean others.
 */

const ownerName = 'owner.json'
const folderName = /^archiver-scratch-\d+-[0-9a-f]{8}$/
const maxOwnerBytes = 4096

/** How often a process says that it lives, in ms. */
export const signOfLifeMs = 5 * 60_000
/**
 * Without a sign of life for this long, in ms, a process of elsewhere is dead. One that was only
 * frozen finds its files gone, and reads what it had staged from Kafka again.
 */
export const silentMs = 12 * signOfLifeMs

/** A process that no other one is, on Linux. Elsewhere only its id is known. */
interface Owner {
  readonly pid: number
  /** Of this start of the machine. */
  readonly boot?: string
  /** In which the process id means something: a container has one of its own. */
  readonly namespace?: string
  /** When the process began, in ticks since the machine did. */
  readonly started?: string
}

/** When a process began; undefined if there is none with this id. */
async function startOf(pid: number | 'self'): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // Field 22 (proc(5)). The second one, the name of the program, may have blanks.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return undefined
  }
}

async function thisProcess(): Promise<Owner> {
  const { pid } = process
  try {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
    const namespace = await readlink('/proc/self/ns/pid')
    const started = await startOf('self')
    return started === undefined ? { pid } : { pid, boot, namespace, started }
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return { pid }
  }
}

/** Says in a folder whose it is. */
export async function claimFolder(folder: string): Promise<void> {
  await writeFile(join(folder, ownerName), JSON.stringify(await thisProcess()), { mode: 0o600 })
}

/** Says that the owner of a folder lives. */
export async function showLife(folder: string): Promise<void> {
  const now = new Date()
  await utimes(folder, now, now)
}

/**
 * Removes folders whose processes are surely dead. Leaves links, folders of other users, and
 * everything that has another name.
 */
export async function removeDeadFolders(parent: string, log: Logger): Promise<void> {
  const self = await thisProcess()
  for (const name of await readdir(parent)) {
    if (!folderName.test(name)) continue
    const folder = join(parent, name)
    try {
      if (!(await isDead(folder, self))) continue
      await rm(folder, { recursive: true, force: true })
      log.debug({ event: 'scratch_removed', path: folder }, 'removed scratch of a dead process')
    } catch (error) {
      // Another start removes it at the same time, or it is not ours to remove.
      log.debug({ event: 'scratch_left', path: folder, err: messageOf(error) }, 'left scratch')
    }
  }
}

async function isDead(folder: string, self: Owner): Promise<boolean> {
  const found = await lstat(folder)
  if (!found.isDirectory() || found.uid !== process.getuid?.()) return false
  const owner = await ownerOf(folder)
  const isHere =
    owner?.boot !== undefined && owner.boot === self.boot && owner.namespace === self.namespace
  if (isHere) return (await startOf(owner.pid)) !== owner.started
  return Date.now() - found.mtimeMs > silentMs
}

/** Undefined if the folder does not say: its process was killed before it could. */
async function ownerOf(folder: string): Promise<Owner | undefined> {
  const path = join(folder, ownerName)
  try {
    const found = await lstat(path)
    if (!found.isFile() || found.size > maxOwnerBytes) return undefined
    const owner = JSON.parse(await readFile(path, 'utf8')) as Owner | null
    return Number.isSafeInteger(owner?.pid) ? owner! : undefined
  } catch (error) {
    if (error instanceof SyntaxError || systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
