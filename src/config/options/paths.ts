import { homedir } from 'node:os'
import { join } from 'node:path'
import { kind } from './kinds.ts'

function pathKind(what: string) {
  return kind<string>(
    () => `<${what}>`,
    () => (value) => {
      if (value === '' || value.includes('\0')) throw new Error(`the path of a ${what}`)
      const [, scheme] = /^([A-Za-z][A-Za-z0-9+.-]+):\//.exec(value) ?? []
      if (scheme !== undefined) {
        throw new Error(`the path of a ${what} in a mounted file system, without ${scheme}://`)
      }
      if (value.startsWith('~')) {
        const meant = /^~(\/|$)/.test(value)
          ? join(homedir(), value.slice(1))
          : `/home/${value.slice(1)}`
        throw new Error(
          `a whole path, such as ${meant}: no shell expands ~ here; a name that begins with it is ./~`,
        )
      }
      if (/\$[A-Za-z_{(]/.test(value)) {
        throw new Error(`a whole path, such as ${join(homedir(), what)}: no shell expands $ here`)
      }
      return value
    },
  )
}

/** A file or a directory, as it is written. URLs, and what only a shell expands, are refused. */
export const file = pathKind('file')
export const directory = pathKind('directory')
