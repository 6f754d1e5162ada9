import { readFileSync } from 'node:fs'
import { basename } from 'node:path'

/**
 * The ancestors of this process that exist only for its sake: tsx, npx, npm and the like, the `sh
 * -c` between them, `timeout`. The user knows only the topmost of them. If one is killed without
 * passing the signal on, nobody can stop this process any more, so it stops by itself.
 *
 * The end of a parent alone is no such sign: a shell that started a background job ends, and so
 * does setsid. So only ancestors are watched that wait for this command and for nothing else.
 */
export interface ProcessFacts {
  readonly pid: number
  readonly parent: number
  /**
   * Clock ticks since the system's start: distinguishes a process from a later one with the same
   * pid.
   */
  readonly startedAt: string
  readonly words: readonly string[]
}

/** Stops at the first ancestor that is no wrapper. `own` is the command line of this process. */
export function wrappersOf(
  parent: number,
  own: readonly string[],
  read: (pid: number) => ProcessFacts | undefined = readProcess,
): ProcessFacts[] {
  const found: ProcessFacts[] = []
  for (
    let facts = read(parent);
    facts !== undefined && isWrapper(facts.words, own);
    facts = read(facts.parent)
  ) {
    found.push(facts)
  }
  return found
}

const packageManager = /^(npm|npx|yarn|yarnpkg|pnpm|pnpx|bun|bunx|corepack)(-cli)?(\.c?js)?$/
const shell = /^-?(sh|bash|dash|ash|zsh|ksh|busybox)$/
/** These end at once and leave the command running. */
const detaching = /^(setsid|nohup|daemon|daemonize|start-stop-daemon)$/

/** True if the process with these words waits for the command `own` and for nothing else. */
export function isWrapper(words: readonly string[], own: readonly string[]): boolean {
  const [program = '', ...rest] = words
  const name = basename(program)
  if (detaching.test(name)) return false
  // npm puts its whole command line into the first word.
  if (packageManager.test(basename(program.split(' ', 1)[0]!))) return true
  const option = shell.test(name)
    ? words.findIndex((word, i) => i > 0 && /^-[a-z]*c$/.test(word))
    : -1
  if (option !== -1) return isForeground(words[option + 1] ?? '', own, endsWith(words, own))
  const script = rest.find((word) => !word.startsWith('-')) ?? ''
  if (name === 'node' && packageManager.test(basename(script))) return true
  if (name === 'node' && /[\\/](tsx|tsx[\\/]dist[\\/]cli\.[cm]?js)$/.test(script)) return true
  return endsWith(words, own)
}

/**
 * True if the script of a shell runs this command in the foreground. `isArgument`: the shell has
 * the command as its arguments, and the script says `"$@"`.
 */
function isForeground(code: string, own: readonly string[], isArgument: boolean): boolean {
  const line = code.replace(/'[^']*'|"[^"]*"/g, (quoted) => quoted.slice(1, -1).replaceAll('&', ''))
  const isBackground = /(?<![&><])&(?![&>])/.test(line)
  if (isBackground || /(^|[\s;(])(nohup|setsid|disown|coproc|daemon)\b/.test(line)) return false
  const [script, ...args] = own
  if (isArgument && /\$[@*]/.test(line)) return true
  return line.includes(commandName(script!)) || (args.length > 0 && line.includes(args.join(' ')))
}

/**
 * True if a command line ends with another, apart from the folder and the extension of its script.
 */
function endsWith(words: readonly string[], own: readonly string[]): boolean {
  if (words.length <= own.length) return false
  const [script, ...args] = words.slice(-own.length)
  return (
    commandName(script!) === commandName(own[0]!) && args.every((word, i) => word === own[i + 1])
  )
}

function commandName(path: string): string {
  return basename(path).replace(/\.[cm]?[jt]s$/, '')
}

/**
 * What Linux says of a process; undefined if it is gone, a zombie or hidden, and on other systems.
 */
export function readProcess(pid: number): ProcessFacts | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name is in brackets and may contain any character: see proc_pid_stat(5).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, parent] = fields
    if (state === 'Z' || state === 'X') return undefined
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replace(/\0+$/, '').split('\0')
    return { pid, parent: Number(parent), startedAt: fields[19]!, words }
  } catch {
    return undefined
  }
}

const lookMs = 1000

/**
 * Calls back, once, when one of the wrappers of this process is gone. Does not keep the process
 * alive.
 */
export function watchWrappers(onGone: () => void): void {
  const wrappers = wrappersOf(process.ppid, process.argv.slice(1))
  if (wrappers.length === 0) return
  const timer = setInterval(() => {
    const isThere = ({ pid, startedAt }: ProcessFacts) => readProcess(pid)?.startedAt === startedAt
    if (wrappers.every(isThere)) return
    clearInterval(timer)
    onGone()
  }, lookMs)
  timer.unref()
}
