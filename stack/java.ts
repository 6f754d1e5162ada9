import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { otherWay, StackError } from './stack-error.ts'

export interface Java {
  /** The folder that holds `bin/java`. */
  readonly home: string
  /** The feature release: 17, 21, 25. */
  readonly version: number
}

/**
 * The feature release in `17.0.15`, `25`, `21-ea` or the `1.8.0_412` of old; undefined for anything
 * else.
 */
export function featureRelease(version: string): number | undefined {
  const match = /^(?:1\.)?(\d+)(?:[.\-+_]|$)/.exec(version)
  return match === null ? undefined : Number(match[1])
}

/** The version in a JDK's `release` file or in what `java -version` prints. */
export function versionIn(printed: string): string | undefined {
  return /(?:JAVA_VERSION=|version )"([^"]+)"/.exec(printed)?.[1]
}

/** The Java in a folder, or undefined if there is none. */
export function javaAt(home: string): Java | undefined {
  const program = join(home, 'bin', 'java')
  if (!existsSync(program)) return undefined
  const release = join(home, 'release')
  const printed = existsSync(release) ? readFileSync(release, 'utf8') : askVersion(program)
  const version = versionIn(printed)
  const feature = version === undefined ? undefined : featureRelease(version)
  return feature === undefined ? undefined : { home, version: feature }
}

/**
 * What the program says of itself; a stub that only offers to install a Java says nothing of use.
 */
function askVersion(program: string): string {
  const { stdout, stderr } = spawnSync(program, ['-version'], { encoding: 'utf8' })
  return `${stdout ?? ''}${stderr ?? ''}`
}

function entries(folder: string, below = ''): string[] {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name, below)) : []
}

function onPath(): string[] {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'java'))
    .filter((program) => existsSync(program))
    .map((program) => dirname(dirname(realpathSync(program))))
}

/** Every Java of this machine: JAVA_HOME first, then the PATH, then the usual folders. */
export function findJavas(): readonly Java[] {
  const homes = [
    ...(process.env.JAVA_HOME ? [process.env.JAVA_HOME] : []),
    ...onPath(),
    ...entries('/usr/lib/jvm'),
    ...entries('/opt'),
    ...entries('/opt/java'),
    ...entries('/usr/java'),
    ...entries('/Library/Java/JavaVirtualMachines', 'Contents/Home'),
    ...entries('/opt/homebrew/opt', 'libexec/openjdk.jdk/Contents/Home'),
    ...entries(join(homedir(), '.sdkman', 'candidates', 'java')),
  ]
  const real = new Set(homes.filter((home) => existsSync(home)).map((home) => realpathSync(home)))
  return [...real].map(javaAt).filter((java) => java !== undefined)
}

/**
 * The first Java that is new enough.
 *
 * @throws StackError that says what is needed and what was found.
 */
export function chooseJava(javas: readonly Java[], needed: number, what: string): Java {
  const chosen = javas.find((java) => java.version >= needed)
  if (chosen !== undefined) return chosen
  const found =
    javas.length === 0
      ? 'none was found (JAVA_HOME, PATH and the usual folders)'
      : `found only ${javas.map((java) => `${java.version} in ${java.home}`).join(', ')}`
  throw new StackError(
    `${what} needs Java ${needed} or newer; ${found}. Install a JDK or set JAVA_HOME, ${otherWay}`,
  )
}
