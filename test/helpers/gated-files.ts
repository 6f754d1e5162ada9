import fsPromises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import type { TestContext } from 'node:test'
import { Gates } from './gates.ts'

/**
 * Calls of `node:fs/promises` that take a path: the places where a process may be stopped, for a
 * while or for good.
 */
const gatedCalls = [
  'link',
  'lstat',
  'mkdir',
  'open',
  'readFile',
  'readdir',
  'rename',
  'rm',
  'rmdir',
  'stat',
  'unlink',
] as const

/** A look whether a directory is a link is no step of its own. */
const isFile = /\.(?:gz|part)$/

/** No test pulls the plug here, and fsync is most of what a flush takes. */
function withoutSync(result: unknown): unknown {
  if (typeof result === 'object' && result !== null && 'sync' in result)
    result.sync = async () => {}
  return result
}

/** Gates before the calls of the file system that this process makes until the test ends. */
export class GatedFiles extends Gates {
  constructor(t: TestContext) {
    super()
    const calls = fsPromises as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
    for (const name of gatedCalls) {
      const real = calls[name]!
      calls[name] = async (...args) => {
        const paths = args.filter((arg) => typeof arg === 'string')
        if (name === 'lstat' && !isFile.test(paths[0] ?? '')) return await real(...args)
        return withoutSync(await this.pass(name, paths, () => real(...args)))
      }
      t.after(() => {
        calls[name] = real
        syncBuiltinESMExports()
      })
    }
    syncBuiltinESMExports()
  }
}
