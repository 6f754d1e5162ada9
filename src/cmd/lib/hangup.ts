import { readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'

/**
 * Whether this process was started with SIGHUP ignored, as `nohup` does. Node resets every ignored
 * signal to its default before a program starts (ResetSignalHandlers in src/node.cc), so the kernel
 * can no longer tell. Three traces are left: the name of the command that the shell started, the
 * write-only standard input that GNU nohup substitutes for a terminal, and a parent that still
 * ignores the signal, e.g. a shell below nohup.
 */
export function isHangupIgnored(
  env: Readonly<Record<string, string | undefined>> = process.env,
): boolean {
  if (env[hangupVariable] === 'ignored') return true
  if (basename(env._ ?? '') === 'nohup') return true
  if (process.platform !== 'linux') return false
  return isInputOfNohup() || isIgnoredBy(process.ppid)
}

/** A supervisor passes its finding to the process below it in this variable. */
export const hangupVariable = '_ARCHIVER_SIGHUP'

function isInputOfNohup(): boolean {
  try {
    const [, flags] = /^flags:\s*(\d+)/m.exec(readFileSync('/proc/self/fdinfo/0', 'utf8')) ?? []
    const isWriteOnly = (Number.parseInt(flags ?? '0', 8) & 3) === 1
    return isWriteOnly && readlinkSync('/proc/self/fd/0') === '/dev/null'
  } catch {
    // No /proc, or standard input is closed: no trace.
    return false
  }
}

/** Bit 0 of the mask is signal 1: see proc_pid_status(5). */
function isIgnoredBy(pid: number): boolean {
  try {
    const [, mask] =
      /^SigIgn:\s*([0-9a-f]+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return mask !== undefined && (BigInt(`0x${mask}`) & 1n) === 1n
  } catch {
    // The parent is gone or hidden.
    return false
  }
}
