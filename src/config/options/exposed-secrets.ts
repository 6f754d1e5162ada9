import { statSync } from 'node:fs'
import { flagName, type Options } from './option.ts'
import { readYamlFile } from './yaml-file.ts'

/**
 * The names of the options that hold a secret in a YAML file which other users than its owner and
 * its group may read. A URL counts if it has credentials.
 *
 * @throws ArchiverError `USAGE` as `readOptions` does
 */
export function exposedSecrets(declared: Options, path: string): readonly string[] {
  const isReadByOthers = process.platform !== 'win32' && (statSync(path).mode & 0o004) !== 0
  if (!isReadByOthers) return []
  const secrets = new Set(
    Object.keys(declared)
      .filter((key) => declared[key]!.isSecret !== undefined)
      .map(flagName),
  )
  return [...readYamlFile(path)]
    .filter(([name, { value = '' }]) => {
      const text = typeof value === 'string' ? value : value.join()
      return secrets.has(name) && text !== '' && (!/^\w+:\/\//.test(text) || text.includes('@'))
    })
    .map(([name]) => name)
}
