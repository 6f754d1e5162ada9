import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { systemCode } from '../../src/runtime/errors.ts'

/** What Linux says about processes and the machine (proc(5)). Times are CPU seconds. */

/**
 * A tick of /proc is a hundredth of a second on every Linux that this runs on (`getconf CLK_TCK`).
 */
const ticksPerSecond = 100

function readProc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, 'utf8')
  } catch (error) {
    // A process may end at any time, and some belong to others.
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR'].includes(systemCode(error) ?? ''))
      return undefined
    throw error
  }
}

export interface ProcessTimes {
  /** The name of the program, up to 15 characters. */
  readonly name: string
  readonly parent: number
  /** Of the process itself. */
  readonly own: number
  /** Of its children that have ended and were waited for. */
  readonly ofEnded: number
}

/** `/proc/<pid>/stat`. The name is in brackets and may contain any character. */
export function parseStat(stat: string): ProcessTimes {
  const close = stat.lastIndexOf(')')
  const fields = stat.slice(close + 2).split(' ')
  const seconds = (field: number) => Number(fields[field]) / ticksPerSecond
  return {
    name: stat.slice(stat.indexOf('(') + 1, close),
    parent: Number(fields[1]),
    own: seconds(11) + seconds(12),
    ofEnded: seconds(13) + seconds(14),
  }
}

/** Undefined if the process has ended. */
export function processTimes(pid: number): ProcessTimes | undefined {
  const stat = readProc(`${pid}/stat`)
  return stat === undefined ? undefined : parseStat(stat)
}

export function allProcesses(): Map<number, ProcessTimes> {
  const processes = new Map<number, ProcessTimes>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const times = processTimes(Number(name))
    if (times !== undefined) processes.set(Number(name), times)
  }
  return processes
}

/** A process and all that descend from it. */
export function treeOf(root: number, processes: ReadonlyMap<number, ProcessTimes>): number[] {
  const tree = [root]
  for (const pid of tree)
    for (const [child, { parent }] of processes) if (parent === pid) tree.push(child)
  return tree
}

export interface MachineTimes {
  /** Worked for any process on this machine. */
  readonly busy: number
  /** Taken by the host for other machines. */
  readonly stolen: number
}

/**
 * The first line of `/proc/stat`: user nice system idle iowait irq softirq steal guest guest_nice.
 */
export function parseMachine(stat: string): MachineTimes {
  const [user, nice, system, , , irq, softirq, steal] = stat
    .slice(0, stat.indexOf('\n'))
    .trim()
    .split(/\s+/)
    .slice(1)
    .map((ticks) => Number(ticks) / ticksPerSecond)
  return { busy: user! + nice! + system! + irq! + softirq!, stolen: steal ?? 0 }
}

export function machineTimes(): MachineTimes {
  return parseMachine(readFileSync('/proc/stat', 'utf8'))
}

/** The max resident memory of a process so far, in bytes; undefined if it has ended. */
export function peakMemory(pid: number): number | undefined {
  const [, kibibytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readProc(`${pid}/status`) ?? '') ?? []
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}

/** The socket that listens on a port, by its inode, in the text of `/proc/net/tcp` or `tcp6`. */
export function listeningInode(table: string, port: number): string | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  for (const line of table.split('\n')) {
    const [, local, , state, , , , , , inode] = line.trim().split(/\s+/)
    if (state === '0A' && local?.endsWith(`:${hex}`)) return inode
  }
  return undefined
}

/**
 * The process on this machine that listens on a TCP port; undefined if there is none, or it may
 * not be looked at.
 */
export function listenerOf(port: number): number | undefined {
  const inode = ['net/tcp', 'net/tcp6']
    .map((table) => listeningInode(readProc(table) ?? '', port))
    .find((found) => found !== undefined)
  if (inode === undefined) return undefined
  for (const name of readdirSync('/proc')) {
    if (/^\d+$/.test(name) && hasSocket(Number(name), inode)) return Number(name)
  }
  return undefined
}

function hasSocket(pid: number, inode: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => isSocket(`/proc/${pid}/fd/${fd}`, inode))
  } catch (error) {
    if (['ENOENT', 'EACCES', 'EPERM'].includes(systemCode(error) ?? '')) return false
    throw error
  }
}

function isSocket(path: string, inode: string): boolean {
  try {
    return readlinkSync(path) === `socket:[${inode}]`
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false
    throw error
  }
}
